using System.Collections.Immutable;

namespace Carillon.Protocols.Primacy;

/// <summary>Where one node stands in the selection of one service's primary.</summary>
public enum SelectionPhase
{
    /// <summary>The primary exists: its candidate is that node (616).</summary>
    Following,

    /// <summary>Nobody was asked: this node may not stand (no provider, no quorum), or has not begun.</summary>
    Aside,

    /// <summary>The others are being disqualified, the highest rank first, one call at a time (612).</summary>
    Calling,

    /// <summary>Nobody outranked this node, or it stands anyway: it bids.</summary>
    Standing,

    /// <summary>Somebody outranked it (614): it waits for a lease in a newer epoch.</summary>
    Disqualified,
}

/// <summary>What a node says to a call that would disqualify it.</summary>
public enum CallVerdict : byte
{
    /// <summary>Its rank, which it compares and the caller compares.</summary>
    Ranked = 0,

    /// <summary>It does not stand: no provider is up there, or it has no contact with a quorum ◆.</summary>
    NotStanding = 1,

    /// <summary>It hears the primary's own statement: the primary exists.</summary>
    PrimaryExists = 2,

    /// <summary>It knows of a newer epoch than the one that the run would replace.</summary>
    NewerRun = 3,
}

/// <summary>An answer to a call.</summary>
public readonly record struct CallAnswer(CallVerdict Verdict, Epoch Run, Rank Rank);

/// <summary>
/// Selection by disqualification at one node for one service (seed 002, figures 4, 6 and 7): candidate variable, run, frozen rank, and
/// the calls. It holds no lock across the network: a call is one idempotent compare-and-set at the node called. Who remains only
/// *asks first*; safety rests on epochs and leases.
/// </summary>
/// <remarks>
/// A run bears the epoch that it replaces: views are one server's knowledge, epochs are agreed. Candidates merge by the greatest rank, so
/// that a node that is told before it begins does not erase what it was told (RMM-62).
/// </remarks>
public sealed class Selection(NodeId self)
{
    private ImmutableArray<NodeId> _targets = [];
    private int _next;
    private bool _isByHearsay;
    private bool _mayRise;

    /// <summary>Where this node stands.</summary>
    public SelectionPhase Phase { get; private set; } = SelectionPhase.Aside;

    /// <summary>The epoch that is being, or would be, replaced; never decreases.</summary>
    public Epoch Run { get; private set; }

    /// <summary>The candidate variable; in <see cref="SelectionPhase.Following"/> the primary.</summary>
    public Rank Candidate { get; private set; }

    /// <summary>This node's rank in the present run, frozen when it was first used there ◆, until the primary is heard again; none
    /// before.</summary>
    public Rank OwnRank { get; private set; }

    /// <summary>True if it stands although it was disqualified: calls do not take it back.</summary>
    public bool StandsAnyway { get; private set; }

    /// <summary>How often its rank was frozen after it had heard a primary: what it told before may be less.</summary>
    public int TimesFrozen { get; private set; }

    /// <summary>True if this node stopped because another one heard the primary, which this one does not.</summary>
    public bool IsStoppedByHearsay => Phase == SelectionPhase.Disqualified && _isByHearsay;

    /// <summary>The node that is called at present, or none.</summary>
    public NodeId Called => Phase == SelectionPhase.Calling && _next < _targets.Length ? _targets[_next] : default;

    /// <summary>A copy that goes its own way: the tests explore all interleavings.</summary>
    internal Selection Fork() => (Selection)MemberwiseClone();

    /// <summary>All that decides what this object does next, for the same tests.</summary>
    internal (SelectionPhase Phase, ulong Run, NodeId Candidate, NodeId Own, bool Anyway, int Next) Key =>
        (Phase, Run.Value, Candidate.Node, OwnRank.Node, StandsAnyway, Phase == SelectionPhase.Calling ? _next : 0);

    /// <summary>
    /// The primary of the known epoch does not exist (602, no): this node's provider is the candidate (604 to 608) unless it was told of
    /// a better one, and the others are called, the highest rank first.
    /// </summary>
    public void Begin(Rank own, ImmutableArray<NodeId> others)
    {
        if (Phase is SelectionPhase.Calling or SelectionPhase.Standing)
        {
            return;
        }

        bool following = Phase == SelectionPhase.Following;
        Freeze(own);
        Candidate = following ? OwnRank : Rank.Max(Candidate, OwnRank);
        if (Candidate.Node != self)
        {
            // Step 610: somebody better has written itself here meanwhile.
            Disqualify();
            return;
        }

        _targets = others;
        _next = 0;
        Phase = SelectionPhase.Calling;
        EndIfAllCalled();
    }

    /// <summary>
    /// Another node calls (figure 7): its rank is written into the candidate variable if it is greater (702 to 706), and this node's own
    /// is told.
    /// </summary>
    /// <param name="run">The caller's run.</param>
    /// <param name="rank">The caller's rank.</param>
    /// <param name="own">This node's rank if it may stand, else none.</param>
    public CallAnswer Asked(Epoch run, Rank rank, Rank own)
    {
        if (run < Run)
        {
            return new CallAnswer(CallVerdict.NewerRun, Run, default);
        }

        if (run > Run)
        {
            StartRun(run);
        }

        if (Phase == SelectionPhase.Following)
        {
            // The primary's own call (624) among them: no rank is told, and none frozen, while nobody is to be replaced.
            Candidate = rank.Class == RankClass.Primary ? rank : Candidate;
            return new CallAnswer(CallVerdict.PrimaryExists, Run, Candidate);
        }

        if (!own.IsNone)
        {
            Freeze(own);
        }

        if (rank > Candidate)
        {
            Candidate = rank;
        }

        if (Phase is SelectionPhase.Calling or SelectionPhase.Standing && Candidate.Node != self && !StandsAnyway)
        {
            Disqualify();
        }

        return own.IsNone
            ? new CallAnswer(CallVerdict.NotStanding, Run, default)
            : new CallAnswer(CallVerdict.Ranked, Run, OwnRank);
    }

    /// <summary>The node called has answered (614): outranked, this node stops at once; else it calls the next.</summary>
    public void Answered(NodeId from, CallAnswer answer)
    {
        if (answer.Run > Run && answer.Verdict == CallVerdict.NewerRun)
        {
            StartRun(answer.Run);
            return;
        }

        if (Called != from || answer.Run != Run)
        {
            return;
        }

        switch (answer.Verdict)
        {
            case CallVerdict.PrimaryExists:
                Candidate = answer.Rank;
                Disqualify();
                _isByHearsay = true;
                break;
            case CallVerdict.Ranked when answer.Rank > OwnRank:
                // The one who stopped it is recorded: its own candidate variable would else name itself for good (RMM-62).
                Candidate = Rank.Max(Candidate, answer.Rank);
                Disqualify();
                break;
            default:
                _next++;
                EndIfAllCalled();
                break;
        }
    }

    /// <summary>The node called does not answer in its time, or is not connected: the next one.</summary>
    public void Skip(NodeId node)
    {
        if (!node.IsNone && Called == node)
        {
            _next++;
            EndIfAllCalled();
        }
    }

    /// <summary>A node is no longer connected: it is nobody's candidate (a vanished one is dropped), and is not called.</summary>
    /// <returns>True if the candidate variable named it, so that this node is to begin anew.</returns>
    public bool Vanished(NodeId node)
    {
        Skip(node);
        if (Candidate.Node != node || node == self)
        {
            return false;
        }

        Candidate = default;
        if (Phase is SelectionPhase.Disqualified or SelectionPhase.Following)
        {
            Phase = SelectionPhase.Aside;
        }

        return true;
    }

    /// <summary>The primary of the followed epoch is not heard any more, although its node may be connected.</summary>
    public void PrimaryLost()
    {
        if (Phase == SelectionPhase.Following)
        {
            Candidate = default;
            Phase = SelectionPhase.Aside;
        }
    }

    /// <summary>Who heard the primary may only have been slower to miss it: this node is to begin anew.</summary>
    public void AskAgain()
    {
        Invariant.That(IsStoppedByHearsay);
        Candidate = default;
        Phase = SelectionPhase.Aside;
    }

    /// <summary>A node says that it holds its lease in an epoch that is not older than the run (616): it is the candidate.</summary>
    /// <returns>False if the epoch is older than what is known.</returns>
    public bool PrimaryHeard(NodeId primary, Epoch epoch)
    {
        if (epoch < Run)
        {
            return false;
        }

        if (epoch > Run)
        {
            StartRun(epoch);
        }

        Phase = SelectionPhase.Following;
        Candidate = new Rank(RankClass.Primary, default, 0, primary);
        _mayRise = true;
        StandsAnyway = false;
        return true;
    }

    /// <summary>The primary handed its epoch over to a node, or let it go (none): a run that replaces it begins.</summary>
    public void HandedOver(Epoch epoch, Rank successor, Rank own)
    {
        if (epoch < Run)
        {
            return;
        }

        // If its replacement had begun before, the rank that was told then stays ◆.
        Rank told = epoch == Run ? OwnRank : default;
        StartRun(epoch);
        OwnRank = told;
        if (successor.IsNone)
        {
            return;
        }

        if (successor.Node == self)
        {
            Freeze(own);
            Candidate = OwnRank;
            Phase = SelectionPhase.Standing;
        }
        else
        {
            Candidate = successor;
            Disqualify();
        }
    }

    /// <summary>No lease in a newer epoch was heard for too long ◆: this node stands although it was outranked.</summary>
    public void StandAnyway(Rank own)
    {
        Freeze(own);
        Candidate = OwnRank;
        StandsAnyway = true;
        Phase = SelectionPhase.Standing;
    }

    /// <summary>This node may not stand at present: no provider, or no contact with a quorum.</summary>
    public void StepAside()
    {
        if (Phase == SelectionPhase.Following)
        {
            return;
        }

        if (Candidate.Node == self)
        {
            Candidate = default;
        }

        Phase = SelectionPhase.Aside;
        StandsAnyway = false;
    }

    private void StartRun(Epoch run)
    {
        Run = run;
        Candidate = default;
        OwnRank = default;
        StandsAnyway = false;
        Phase = SelectionPhase.Aside;
    }

    private void Freeze(Rank own)
    {
        // Since the primary was heard again, nobody is being replaced: a node that was a spare when it last took the primary for lost may
        // be its secondary by now (services' seed 177). The rank that others know may rise, not fall, or two could outrank each other.
        if (OwnRank.IsNone || (_mayRise && own > OwnRank) || SeededBug.Is("rank-not-frozen"))
        {
            OwnRank = own;
        }

        TimesFrozen += _mayRise ? 1 : 0;
        _mayRise = false;
    }

    private void Disqualify()
    {
        Phase = SelectionPhase.Disqualified;
        StandsAnyway = false;
        _isByHearsay = false;
    }

    private void EndIfAllCalled()
    {
        if (_next >= _targets.Length)
        {
            Phase = SelectionPhase.Standing;
        }
    }
}
