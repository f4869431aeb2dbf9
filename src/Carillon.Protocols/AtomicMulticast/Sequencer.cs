using Carillon.Protocols.Cluster;
using Carillon.Protocols.Primacy;

namespace Carillon.Protocols.AtomicMulticast;

/// <summary>What this server does as the group's sequencer.</summary>
public enum SequencerState : byte
{
    /// <summary>It does not sequence: not elected, stepped down, or deposed.</summary>
    Idle = 0,

    /// <summary>Elected: it collects promises and what is assigned, gets what is missing, and numbers nothing new ◆.</summary>
    Recovering = 1,

    /// <summary>It gives numbers.</summary>
    Leading = 2,
}

/// <summary>
/// Steps 3 and 5: gives each message one number, once, has it stored by a majority of the commit servers, and tells the group. It is a
/// replica that numbers only after applying up to its base ◆, so the session table judges duplicates together with what is open.
/// </summary>
internal sealed class Sequencer(GroupContext context, MessageFetcher fetcher)
{
    private readonly Dictionary<MessageId, ulong> _openIds = [];
    private readonly Queue<GroupData> _queue = new();

    // Committed, and not applied yet: until the sessions know them, a request that comes late must not get them a second number.
    private readonly Queue<(ulong Number, MessageId Id)> _unapplied = new();
    private readonly Dictionary<MessageId, Reports> _reports = [];
    private readonly ulong[] _upTo = new ulong[ClusterConfiguration.MaxServers];
    private readonly Instant[] _progressAt = new Instant[ClusterConfiguration.MaxServers];
    private readonly CheckpointReports _checkpoints = new(context);
    private readonly SenderOrder _order = new(context);
    private SequencerRecovery? _recovery;
    private OpenNumber[] _open = new OpenNumber[1024];
    private Instant _leaseEnd;
    private Instant _gossipAt = Instant.Never;
    private Instant _resendAt = Instant.Never;
    private Epoch _lastEpoch;
    private ulong _base;
    private ulong _committed;
    private ulong _next = 1;
    private ulong _sent;
    private ulong _announced;
    private ulong _prepares;
    private ulong _recovered;

    // The number of a change of the configuration that is not in force yet; 0: there is none.
    private ulong _change;

    // What was recovered behind that number was left out.
    private bool _isCut;

    public SequencerState State { get; private set; }

    public Epoch Epoch { get; private set; }

    public Instant NextDeadline => State switch
    {
        SequencerState.Recovering => _recovery!.NextDeadline,
        SequencerState.Leading => Instant.Min(_gossipAt, _resendAt),
        _ => Instant.Never,
    };

    /// <summary>
    /// How far it has committed, if a read may rest on that: all that was recovered is committed in its own epoch ◆; no change of the
    /// configuration has a number and is not in force yet, since under that others may commit without any voter of this epoch ◆; and,
    /// looked at behind the number ◆, its lease lasts, so that nobody else had committed anything before it was asked.
    /// </summary>
    public bool TryTell(Instant now, out ulong committed)
    {
        committed = _committed;
        bool isWhole = _committed >= _recovered || SeededBug.Is("read-before-all-is-recovered");
        bool isAlone = _change == 0 || SeededBug.Is("read-beside-a-change");
        return State == SequencerState.Leading && isWhole && isAlone && (now < _leaseEnd || SeededBug.Is("read-without-lease"));
    }

    private ulong OpenCount => _next - 1 - _committed;

    /// <summary>This server was elected.</summary>
    public void Begin(Epoch epoch, Instant leaseEnd, Instant now)
    {
        if (epoch <= _lastEpoch || !context.IsCommit)
        {
            return;
        }

        StepDown();
        _lastEpoch = epoch;
        Epoch = epoch;
        _leaseEnd = leaseEnd;
        State = SequencerState.Recovering;
        context.Figures.Recoveries++;
        _recovery = new SequencerRecovery(context, fetcher, epoch, ++_prepares);
        _recovery.Begin(now);
    }

    public void ExtendLease(Epoch epoch, Instant leaseEnd)
    {
        if (epoch == Epoch)
        {
            _leaseEnd = leaseEnd;
        }
    }

    public void StepDown()
    {
        _change = 0;
        State = SequencerState.Idle;
        _recovery = null;
        _openIds.Clear();
        _unapplied.Clear();
        _queue.Clear();
        _order.Clear();
        _reports.Clear();
        _checkpoints.Clear();
        Array.Clear(_open);
        Array.Clear(_upTo);
    }

    /// <summary>The configuration's roles are others now: what is open is recovered, and assigned again, under the new version.</summary>
    public void RolesChanged()
    {
        if (State == SequencerState.Recovering)
        {
            Fail("the configuration changed while it recovered");
        }
        else if (State == SequencerState.Leading)
        {
            // Voters of this version have promised this epoch nothing: it recovers from them, in an epoch that they gave ◆.
            Fail("the configuration changed");
        }
    }

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

    /// <summary>Step 4 came.</summary>
    public void OnAck(NodeId from, in AckMessage message, Instant now)
    {
        if (State == SequencerState.Idle || message.Configuration != context.Roles.Configuration)
        {
            return;
        }

        if (message.Epoch > Epoch)
        {
            Depose(message.Epoch);
            return;
        }

        int bit = context.Roles.BitOf(from);
        if (State != SequencerState.Leading || message.Epoch != Epoch || !context.Roles.Commit.Contains(bit))
        {
            return;
        }

        ulong last = Math.Min(message.UpTo, _next - 1);
        for (ulong number = Math.Max(_upTo[bit], _committed) + 1; number <= last; number++)
        {
            At(number).Acks |= 1UL << bit;
        }

        if (last > _upTo[bit])
        {
            _upTo[bit] = last;
            _progressAt[bit] = now;
        }

        foreach (NumberRange range in message.Beyond.Span)
        {
            // Ranges are a peer's word: only what is open is looked at.
            ulong first = Math.Max(range.First, _committed + 1);
            ulong end = range.First > ulong.MaxValue - range.Count ? _next : Math.Min(range.First + range.Count, _next);
            for (ulong number = first; number < end; number++)
            {
                At(number).Acks |= 1UL << bit;
            }
        }

        Advance();
    }

    /// <summary>An answer to Prepare.</summary>
    public void OnPrepared(NodeId from, in PreparedMessage message, Instant now)
    {
        if (State != SequencerState.Recovering || message.Configuration != context.Roles.Configuration)
        {
            return;
        }

        if (message.Epoch > Epoch)
        {
            Depose(message.Epoch);
        }
        else if (message.Epoch == Epoch)
        {
            _recovery!.OnPrepared(from, message, now);
        }
    }

    /// <summary>A checkpoint server reports.</summary>
    public void OnReport(NodeId from, CheckpointMark mark)
    {
        int bit = context.Roles.BitOf(from);
        if (State == SequencerState.Idle || !context.Roles.Checkpoint.Contains(bit) || mark.Number < context.Advertised.Number
            || mark.Number.Value > context.Numbers.Heard)
        {
            return;
        }

        if (_checkpoints.Count(bit, mark))
        {
            _gossipAt = default;
        }
    }

    /// <summary>Time has passed.</summary>
    /// <returns>True when the recovery is done just now: what is held and has no number may be numbered.</returns>
    public bool Advance(CommitServer here, Instant now)
    {
        if (State != SequencerState.Idle && here.Promised > Epoch)
        {
            Depose(here.Promised);
        }

        if (State == SequencerState.Recovering)
        {
            return Recover(here, now);
        }

        if (State == SequencerState.Leading)
        {
            if (now >= _resendAt)
            {
                Resend(here, now);
            }

            if (now >= _gossipAt)
            {
                _checkpoints.Want(_committed, _next, now);
                _gossipAt = now + context.Options.GossipInterval;
                if (_committed < _recovered)
                {
                    // Who has forgotten what it acknowledged takes this for the word that nothing below rests on that any more ◆.
                    return false;
                }

                here.HearRecovered(context.Roles.Configuration, Epoch, _committed);
                context.Multicast(NamesMessages ? GroupChannel.Global : GroupChannel.Commit, Gossip());
            }
        }

        return false;
    }

    /// <summary>Gives numbers to what has gathered, and tells what is committed.</summary>
    public void Flush(CommitServer here, Instant now)
    {
        if (State != SequencerState.Leading)
        {
            return;
        }

        if (_change != 0 && context.Sessions.Number >= _change)
        {
            // It is delivered, and made no other version: another one was ahead of it.
            if (_isCut)
            {
                Fail("what stands behind a change is to be recovered");
                return;
            }

            _change = 0;
        }

        if (now < _leaseEnd)
        {
            Number(now);
        }

        SendAssigned(here, now);
        Announce();
    }

    private bool NamesMessages =>
        context.Host.HasListeners || ((context.Roles.Data | context.Roles.Checkpoint) & context.Roles.Commit)
            != (context.Roles.Data | context.Roles.Checkpoint);

    private GossipMessage Gossip() =>
        new(context.Roles.Configuration, Epoch, _committed, context.Advertised, context.CheckpointDue);

    private bool Recover(CommitServer here, Instant now)
    {
        switch (_recovery!.Step(now))
        {
            case RecoveryStep.Failed:
                Fail(_recovery.Why, _recovery.IsLost);
                return false;
            case RecoveryStep.Running:
                return false;
        }

        State = SequencerState.Leading;
        _change = 0;
        _isCut = false;
        _base = _recovery.Base;
        _committed = _base;
        _announced = _base;
        _sent = _base;
        _next = _base + 1;
        foreach (Assignment value in _recovery.Chosen)
        {
            context.Figures.Filled += value.IsNoOp ? 1 : 0;
            Place(value, now);
            if (!value.IsNoOp && context.Host.IsChange(value.Id))
            {
                // What stands behind it was assigned under the version that it makes: it is recovered under that.
                _change = _next - 1;
                _isCut = true;
                break;
            }
        }

        _recovered = _next - 1;
        _recovery = null;
        context.HearSequencer(context.Self, Epoch);
        _gossipAt = now;
        Array.Fill(_upTo, _base);
        SendAssigned(here, now);
        Advance();
        context.Host.Note(new GroupEvent.Recovered(Epoch, new SequenceNumber(_recovered)));
        return true;
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

    private void SendAssigned(CommitServer here, Instant now)
    {
        while (_sent + 1 < _next)
        {
            int count = (int)Math.Min((ulong)context.Options.MaxRun, _next - 1 - _sent);
            AssignMessage message = Run(_sent + 1, count);
            _sent += (ulong)count;
            context.Multicast(GroupChannel.Commit, message);
            here.OnAssign(context.Self, message, now);
            _resendAt = Instant.Min(_resendAt, now + context.Options.AssignRetry);

            // The committed number went with it: where nobody but commit servers listens, that is step 5.
            _announced = NamesMessages ? _announced : _committed;
        }
    }

    private AssignMessage Run(ulong first, int count)
    {
        var run = new Assignment[count];
        for (int i = 0; i < count; i++)
        {
            run[i] = At(first + (ulong)i).Value;
        }

        return new AssignMessage(context.Roles.Configuration, Epoch, _base, _committed, first, run);
    }

    private void Advance()
    {
        while (_committed + 1 < _next)
        {
            ref OpenNumber open = ref At(_committed + 1);
            var acks = new VoterSet(open.Acks);
            int wanted = SeededBug.Is("commit-before-a-majority") ? context.Roles.CommitQuorum - 1 : context.Roles.CommitQuorum;
            bool isData = !context.Roles.IsShortCut || (acks & context.Roles.Data).Count >= Math.Min(wanted, context.Roles.DataQuorum);
            if ((acks & context.Roles.Commit).Count < wanted || !isData)
            {
                break;
            }

            _committed++;
            context.Numbers.Learn(_committed, open.Value);
            if (!open.Value.IsNoOp)
            {
                _unapplied.Enqueue((_committed, open.Value.Id));
            }
        }
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

    private void Announce()
    {
        if (_announced >= _committed)
        {
            return;
        }

        if (!NamesMessages)
        {
            if (_committed < _recovered)
            {
                // As in every gossip ◆; assignments say what is committed meanwhile.
                return;
            }

            _announced = _committed;
            context.Multicast(GroupChannel.Commit, Gossip());
            return;
        }

        while (_announced < _committed)
        {
            int count = (int)Math.Min((ulong)context.Options.MaxRun, _committed - _announced);
            var run = new Assignment[count];
            for (int i = 0; i < count; i++)
            {
                run[i] = At(_announced + 1 + (ulong)i).Value;
            }

            context.Multicast(GroupChannel.Global, new CommitMessage(Epoch, _announced + 1, run));
            _announced += (ulong)count;
        }
    }

    private void Resend(CommitServer here, Instant now)
    {
        _resendAt = Instant.Never;
        if (_committed + 1 >= _next)
        {
            return;
        }

        _resendAt = now + context.Options.AssignRetry;
        for (int bit = 0; bit < context.Roles.Servers.Length; bit++)
        {
            ulong first = Math.Max(_upTo[bit], _committed) + 1;
            if (!context.Roles.Commit.Contains(bit) || first >= _next || now - _progressAt[bit] < context.Options.AssignRetry)
            {
                continue;
            }

            _progressAt[bit] = now;
            AssignMessage message = Run(first, (int)Math.Min((ulong)context.Options.MaxRun, _next - first));
            if (bit == context.Bit)
            {
                here.OnAssign(context.Self, message, now);
            }
            else if (context.Host.IsConnected(context.Roles.Servers[bit]))
            {
                context.Send(context.Roles.Servers[bit], message);
            }
        }
    }

    private void Depose(Epoch by)
    {
        Epoch epoch = Epoch;
        StepDown();
        context.Host.Note(new GroupEvent.Deposed(epoch, by));
    }

    private void Fail(string why, bool isLost = false)
    {
        Epoch epoch = Epoch;
        StepDown();
        context.Host.Note(new GroupEvent.CannotLead(epoch, why) { IsLost = isLost });
    }

    private ref OpenNumber At(ulong number) => ref _open[number & (ulong)(_open.Length - 1)];

    private void Grow()
    {
        var larger = new OpenNumber[_open.Length * 2];
        for (ulong number = _announced + 1; number < _next; number++)
        {
            larger[number & (ulong)(larger.Length - 1)] = At(number);
        }

        _open = larger;
    }

    private struct OpenNumber
    {
        public Assignment Value;
        public ulong Acks;
    }

    private sealed class Reports
    {
        public required GroupData Data { get; init; }

        public VoterSet Servers { get; set; }
    }
}
