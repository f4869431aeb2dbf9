using Carillon.Protocols.Cluster;

namespace Carillon.Protocols.AtomicMulticast;

/// <content>Step 3, up to the number: who asks for one, and who gets one.</content>
internal sealed partial class Sequencer
{
    /// <summary>A message is held here: where roles are shared that is enough to number it.</summary>
    public void Held(in GroupData data)
    {
        if (State == SequencerState.Leading && context.Roles.IsShortCut)
        {
            Enqueue(data);
        }
    }

    /// <summary>Step 2 came.</summary>
    public void OnRequest(NodeId from, in NumberRequestMessage message, Instant now)
    {
        if (State != SequencerState.Leading || message.Configuration != context.Roles.Configuration)
        {
            return;
        }

        int bit = context.Roles.BitOf(from);
        if (!context.Roles.Data.Contains(bit))
        {
            return;
        }

        foreach (ref readonly GroupData data in message.Run.Span)
        {
            if (_openIds.ContainsKey(data.Id) || context.Sessions.Judge(data.Id, data.Timestamp, out _) != SessionVerdict.Fresh)
            {
                continue;
            }

            if (!context.Roles.IsShortCut)
            {
                Report(bit, data);
            }
            else if (!context.HoldsExactly(data.ToAssignment()))
            {
                fetcher.Add(data.ToAssignment(), 0, from, isUrgent: true, now);
            }
            else
            {
                Enqueue(data);
            }
        }
    }

    private void Enqueue(in GroupData data)
    {
        // Beyond the window messages wait at the data servers, which ask again.
        if (_queue.Count < context.Options.AssignWindow)
        {
            _queue.Enqueue(data);
        }
    }

    private void Report(int bit, in GroupData data)
    {
        if (!_reports.TryGetValue(data.Id, out Reports? reports))
        {
            if (_reports.Count >= context.Options.AssignWindow)
            {
                // Data servers ask again; what too few of them ever hold must not stand in the way for ever.
                _reports.Clear();
            }

            _reports.Add(data.Id, reports = new Reports { Data = data });
        }

        if (reports.Data.Hash != data.Hash)
        {
            return;
        }

        reports.Servers = reports.Servers.With(bit);
        int wanted = SeededBug.Is("numbered-before-k-data") ? 1 : context.Roles.DataQuorum;
        if (reports.Servers.Count >= wanted)
        {
            _reports.Remove(data.Id);
            Enqueue(reports.Data);
        }
    }

    private void Number(Instant now)
    {
        ForgetApplied();
        _order.Expire(now);
        while ((_change == 0 || SeededBug.Is("numbers-behind-a-change"))
            && OpenCount < (ulong)context.Options.AssignWindow && _next <= context.Sessions.Number + context.MostAhead
            && TryTakeNext(now, out GroupData data))
        {
            bool isFresh = !_openIds.ContainsKey(data.Id) && context.Sessions.Judge(data.Id, data.Timestamp, out _) == SessionVerdict.Fresh;
            if (!isFresh && !SeededBug.Is("message-numbered-twice"))
            {
                _order.Passed(data.Id.Session);
                continue;
            }

            Place(data.ToAssignment(), now);
            context.Figures.Assigned++;
            if (context.Host.IsChange(data.Id))
            {
                _change = _next - 1;
            }
        }
    }

    private bool TryTakeNext(Instant now, out GroupData data)
    {
        while (!_order.TryTakeReady(out data))
        {
            if (!_queue.TryDequeue(out data))
            {
                return false;
            }

            if (_order.Admits(data, now))
            {
                return true;
            }
        }

        return true;
    }

    private void Place(in Assignment value, Instant now)
    {
        if (_next - _announced >= (ulong)_open.Length)
        {
            Grow();
        }

        At(_next) = new OpenNumber { Value = value };
        if (!value.IsNoOp)
        {
            _openIds[value.Id] = _next;
            _order.Placed(value.Id, now);
        }

        _next++;
    }

    private void ForgetApplied()
    {
        while (_unapplied.TryPeek(out (ulong Number, MessageId Id) next) && next.Number <= context.Sessions.Number)
        {
            _unapplied.Dequeue();
            _openIds.Remove(next.Id);
            _order.Applied(next.Id);
        }
    }

    private sealed class Reports
    {
        public required GroupData Data { get; init; }

        public VoterSet Servers { get; set; }
    }
}
