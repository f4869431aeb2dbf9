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
internal sealed partial class Sequencer(GroupContext context, MessageFetcher fetcher)
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
}
