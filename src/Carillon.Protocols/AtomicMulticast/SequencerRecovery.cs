using Carillon.Protocols.Cluster;
using Carillon.Protocols.Primacy;

namespace Carillon.Protocols.AtomicMulticast;

/// <summary>How a recovery stands.</summary>
internal enum RecoveryStep : byte
{
    /// <summary>Answers, values or messages are missing.</summary>
    Running = 0,

    /// <summary>It is known what is to be assigned again.</summary>
    Done = 1,

    /// <summary>It can't be done in this epoch.</summary>
    Failed = 2,
}

/// <summary>
/// Phase 1 of a new sequencer: promises of a majority, never fewer ◆; what is committed is the greatest N of any answer ◆ and is not
/// touched;
/// above it the assignment of the greatest epoch stands at each number ◆, a gap becomes a no-op, and a message that stands twice stays
/// once ◆;
/// and each is assigned again only when its message is here ◆.
/// </summary>
internal sealed class SequencerRecovery(GroupContext context, MessageFetcher fetcher, Epoch epoch, ulong counter)
{
    private readonly Answer?[] _answers = new Answer?[ClusterConfiguration.MaxServers];
    private readonly List<HeldAssignment> _chosen = [];

    // Of the chosen ones, those that do something where they stand; null: it was not needed so far.
    private List<HeldAssignment>? _effective;
    private VoterSet _dropped;

    // Those of a memory-only group that were restarted and say so: they promise nothing.
    private VoterSet _forgotten;
    private Instant _askAt;
    private Instant _patienceEnd;
    private ulong _progress;
    private bool _isDirty = true;
    private bool _isCollected;
    private ulong _asked;
    private int _missing = int.MaxValue;

    /// <summary>Everything up to this is committed.</summary>
    public ulong Base { get; private set; }

    /// <summary>Why it failed.</summary>
    public string Why { get; private set; } = "";

    /// <summary>True if it failed since so many servers have forgotten the group that it can't go on ever.</summary>
    public bool IsLost => context.Roles.Commit.Count - (_forgotten & context.Roles.Commit).Count < context.Roles.CommitQuorum;

    /// <summary>What is to be assigned again, from <see cref="Base"/> + 1 on.</summary>
    public IEnumerable<Assignment> Chosen
    {
        get
        {
            foreach (HeldAssignment held in _chosen)
            {
                yield return held.Assignment;
            }
        }
    }

    public Instant NextDeadline => Instant.Min(_askAt, _patienceEnd);

    public void Begin(Instant now)
    {
        _askAt = now;
        _patienceEnd = Instant.Never;
    }

    public void OnPrepared(NodeId from, in PreparedMessage message, Instant now)
    {
        int bit = context.Roles.BitOf(from);
        if (!context.Roles.Commit.Contains(bit) || _dropped.Contains(bit) || message.Counter >> 16 != counter)
        {
            return;
        }

        if (message.Parts == 0)
        {
            _forgotten = _forgotten.With(bit);
            return;
        }

        Answer? answer = _answers[bit];
        if (answer is null || answer.Counter < message.Counter)
        {
            _answers[bit] = answer = new Answer(message.Counter, message.Parts) { Committed = message.Committed };
        }

        if (answer.Counter != message.Counter || !answer.Add(message))
        {
            return;
        }

        _isDirty |= answer.IsComplete;
    }

    /// <summary>Goes on as far as it can.</summary>
    public RecoveryStep Step(Instant now)
    {
        if (now >= _askAt)
        {
            Ask(now);
        }

        VoterSet complete = Complete();
        int wanted = SeededBug.Is("prepared-by-a-minority") ? Math.Max(1, context.Roles.CommitQuorum - 1) : context.Roles.CommitQuorum;
        if (IsLost)
        {
            Why = $"its messages are lost: {_forgotten.Count} of {context.Roles.Commit.Count} servers were restarted and have forgotten them";
            return RecoveryStep.Failed;
        }

        if (context.Roles.Commit.Count - _dropped.Count < context.Roles.CommitQuorum)
        {
            Why = Why.Length > 0 ? Why : "too few commit servers answer";
            return RecoveryStep.Failed;
        }

        if (complete.Count < wanted)
        {
            _patienceEnd = Instant.Never;
            return RecoveryStep.Running;
        }

        if (!_isCollected)
        {
            _isCollected = true;
            _patienceEnd = now + context.Options.RecoveryPatience;
        }

        _patienceEnd = _patienceEnd == Instant.Never ? now + context.Options.RecoveryPatience : _patienceEnd;
        return HasBase(complete, now) && HasMessages(complete, now) ? RecoveryStep.Done : RecoveryStep.Running;
    }

    private void Ask(Instant now)
    {
        _askAt = now + context.Options.PrepareRetry;
        for (int bit = 0; bit < context.Roles.Servers.Length; bit++)
        {
            NodeId node = context.Roles.Servers[bit];
            if (context.Roles.Commit.Contains(bit) && !_dropped.Contains(bit) && _answers[bit] is not { IsComplete: true }
                && (bit == context.Bit || context.Host.IsConnected(node)))
            {
                // A fresh number for each question: parts of two answers are never taken for one.
                ulong number = (counter << 16) | (++_asked & 0xFFFF);
                context.Send(node, new PrepareMessage(context.Roles.Configuration, epoch, context.Numbers.Known, number));
            }
        }
    }

    private VoterSet Complete()
    {
        VoterSet complete = default;
        for (int bit = 0; bit < context.Roles.Servers.Length; bit++)
        {
            if (_answers[bit] is { IsComplete: true } && !_dropped.Contains(bit))
            {
                complete = complete.With(bit);
            }
        }

        return complete;
    }

    // Nothing up to the base is assigned again: its values are fetched, and applied, before anything is judged.
    private bool HasBase(VoterSet complete, Instant now)
    {
        ulong known = context.Numbers.Known;
        for (int bit = 0; bit < context.Roles.Servers.Length; bit++)
        {
            if (complete.Contains(bit) && !SeededBug.Is("base-is-the-own-number"))
            {
                known = Math.Max(known, _answers[bit]!.Committed);
            }
        }

        if (known != Base)
        {
            Base = known;
            _isDirty = true;
        }

        context.Numbers.HearAny(Base);
        ulong applied = context.Sessions.Number;
        if (applied > _progress)
        {
            _progress = applied;
            _patienceEnd = now + context.Options.RecoveryPatience;
        }

        if (applied >= Base || SeededBug.Is("numbers-before-applying"))
        {
            return true;
        }

        if (now >= _patienceEnd)
        {
            Drop(complete, bit => _answers[bit]!.Committed > applied, $"the values of numbers up to {Base} can't be had", now);
        }

        return false;
    }

    private bool HasMessages(VoterSet complete, Instant now)
    {
        if (_isDirty)
        {
            _isDirty = false;
            Choose(complete);
        }

        int missing = 0;
        foreach (HeldAssignment held in Missing())
        {
            missing++;
            fetcher.Add(held.Assignment, held.Number, Holder(complete, held), isUrgent: true, now);
        }

        if (missing == 0)
        {
            return true;
        }

        if (missing < _missing)
        {
            _patienceEnd = now + context.Options.RecoveryPatience;
        }

        _missing = missing;
        if (now >= _patienceEnd)
        {
            Drop(complete, NamesMissing, $"{missing} messages that stand at numbers can't be had", now);
        }

        return false;
    }

    private bool NamesMissing(int bit)
    {
        foreach (HeldAssignment held in Missing())
        {
            if (_answers[bit]!.Held.TryGetValue(held.Number, out HeldAssignment own) && own.Assignment == held.Assignment)
            {
                return true;
            }
        }

        return false;
    }

    // ◆ Only what does something where it stands needs its message: nobody has to keep that of any other. Whether it does is judged by the
    // table as it will be there, behind all that is assigned again in front of it.
    private IEnumerable<HeldAssignment> Missing()
    {
        if (SeededBug.Is("reassigned-before-fetch") || _chosen.TrueForAll(IsHere))
        {
            return [];
        }

        if (_effective is null)
        {
            SessionTable ahead = context.Sessions.Copy();
            _effective = _chosen.FindAll(held =>
            {
                bool isFirst = ahead.IsFirst(held.Assignment);
                ahead.Apply(held.Assignment);
                return isFirst;
            });
        }

        return _effective.FindAll(held => !IsHere(held));
    }

    private bool IsHere(HeldAssignment held) => held.Assignment.IsNoOp || context.HoldsExactly(held.Assignment);

    // Answers whose values or messages can't be had are as if they had not come, while a majority remains.
    private void Drop(VoterSet complete, Predicate<int> which, string why, Instant now)
    {
        for (int bit = 0; bit < context.Roles.Servers.Length; bit++)
        {
            if (complete.Contains(bit) && which(bit))
            {
                _dropped = _dropped.With(bit);
            }
        }

        Why = why;
        _isDirty = true;
        _missing = int.MaxValue;
        _patienceEnd = now + context.Options.RecoveryPatience;
    }

    private NodeId Holder(VoterSet complete, in HeldAssignment held)
    {
        for (int bit = 0; bit < context.Roles.Servers.Length; bit++)
        {
            if (complete.Contains(bit) && bit != context.Bit && context.Roles.Data.Contains(bit)
                && _answers[bit]!.Held.TryGetValue(held.Number, out HeldAssignment own) && own.Assignment == held.Assignment)
            {
                return context.Roles.Servers[bit];
            }
        }

        return default;
    }

    private void Choose(VoterSet complete)
    {
        var greatest = new SortedDictionary<ulong, HeldAssignment>();
        for (int bit = 0; bit < context.Roles.Servers.Length; bit++)
        {
            if (!complete.Contains(bit))
            {
                continue;
            }

            foreach (HeldAssignment held in _answers[bit]!.Held.Values)
            {
                bool isGreater = !greatest.TryGetValue(held.Number, out HeldAssignment other)
                    || (held.Epoch > other.Epoch) != SeededBug.Is("lower-epoch-wins");
                if (held.Number > Base && isGreater)
                {
                    greatest[held.Number] = held;
                }
            }
        }

        _effective = null;
        _chosen.Clear();
        foreach ((ulong number, HeldAssignment held) in greatest)
        {
            for (ulong gap = Base + (ulong)_chosen.Count + 1; gap < number; gap++)
            {
                _chosen.Add(new HeldAssignment(gap, default, default));
            }

            _chosen.Add(held);
        }

        if (!SeededBug.Is("message-stays-at-two-numbers"))
        {
            RemoveDoubles();
        }
    }

    // ◆ A message that has a number already stands nowhere else; one at two numbers stays where the greater epoch has it. A message that
    // its sender settled is left where it is: it does nothing there, on any server, and to change it could change what is committed.
    private void RemoveDoubles()
    {
        var places = new Dictionary<MessageId, int>();
        for (int i = 0; i < _chosen.Count; i++)
        {
            HeldAssignment held = _chosen[i];
            if (held.Assignment.IsNoOp)
            {
                continue;
            }

            SessionVerdict verdict = context.Sessions.Judge(held.Assignment.Id, ulong.MaxValue, out ulong number);
            bool hasNumber = verdict == SessionVerdict.Numbered && number != 0;
            if (hasNumber)
            {
                Fill(i);
            }
            else if (!places.TryAdd(held.Assignment.Id, i))
            {
                int other = places[held.Assignment.Id];
                bool isGreater = held.Epoch > _chosen[other].Epoch;
                Fill(isGreater ? other : i);
                places[held.Assignment.Id] = isGreater ? i : other;
            }
        }
    }

    private void Fill(int place) => _chosen[place] = new HeldAssignment(_chosen[place].Number, default, default);

    private sealed class Answer(ulong counter, int parts)
    {
        private readonly bool[] _seen = new bool[parts];
        private int _left = parts;

        public ulong Counter => counter;

        public ulong Committed { get; init; }

        public Dictionary<ulong, HeldAssignment> Held { get; } = [];

        public bool IsComplete => _left == 0;

        public bool Add(in PreparedMessage message)
        {
            if (message.Parts != _seen.Length || _seen[message.Part])
            {
                return false;
            }

            _seen[message.Part] = true;
            _left--;
            foreach (HeldAssignment held in message.Held.Span)
            {
                Held[held.Number] = held;
            }

            return true;
        }
    }
}
