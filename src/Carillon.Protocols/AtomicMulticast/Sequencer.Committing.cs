using Carillon.Protocols.Cluster;

namespace Carillon.Protocols.AtomicMulticast;

/// <content>Steps 3 to 5 behind the number: assignments leave, acknowledgements come, and what a majority has is told.</content>
internal sealed partial class Sequencer
{
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

    private bool NamesMessages =>
        context.Host.HasListeners || ((context.Roles.Data | context.Roles.Checkpoint) & context.Roles.Commit)
            != (context.Roles.Data | context.Roles.Checkpoint);

    private GossipMessage Gossip() =>
        new(context.Roles.Configuration, Epoch, _committed, context.Advertised, context.CheckpointDue);
}
