using Carillon.Protocols.Cluster;

namespace Carillon.Protocols.Primacy;

/// <summary>How far a node is with an epoch of its own.</summary>
internal enum TenurePhase
{
    /// <summary>It asks for bits.</summary>
    Bidding,

    /// <summary>A quorum gave its bits; it acts while its lease is in force.</summary>
    Holding,

    /// <summary>It stops; renewals have ended, the lease runs out or is released once nothing acts any more.</summary>
    Draining,
}

/// <summary>One node's bid for an epoch of a service, and what it holds once a quorum has given its bits.</summary>
internal sealed class Tenure(Epoch epoch, Instant begun, int voters)
{
    private Instant[] _answered = new Instant[voters];

    public Epoch Epoch { get; } = epoch;

    public Instant Begun { get; } = begun;

    public TenurePhase Phase { get; set; }

    /// <summary>Voters whose bit is set, this one's included once it is durable.</summary>
    public VoterSet Granted { get; private set; }

    /// <summary>Refusals by voter.</summary>
    public SortedDictionary<int, BidAnswerMessage> Refusals { get; } = [];

    /// <summary>The own bit was asked for: it is granted, refused, or on its way to the disk.</summary>
    public bool HasAskedOneself { get; set; }

    /// <summary>When the bid goes again to who has not answered.</summary>
    public Instant RetryAt { get; set; } = Instant.Never;

    /// <summary>True between the order to act and the end of draining.</summary>
    public bool IsActing { get; set; }

    /// <summary>The end that the provider was told of.</summary>
    public Instant ToldEnd { get; set; }

    /// <summary>The holdings' version from which on answers speak of this epoch.</summary>
    public ulong SinceVersion { get; set; } = ulong.MaxValue;

    /// <summary>Until when draining may take.</summary>
    public Instant Deadline { get; set; } = Instant.Never;

    public DemotionReason Reason { get; set; }

    /// <summary>To whom it is handed over, or none.</summary>
    public NodeId Successor { get; set; }

    /// <summary>Nothing acts any more.</summary>
    public bool IsDrained { get; set; }

    /// <summary>Providers that were told that the primary exists (step 622).</summary>
    public HashSet<NodeId> Told { get; } = [];

    /// <summary>Other voters count: what those answered that stay, with their disks, counts on.</summary>
    /// <param name="moved">A former voter's bit now, or -1.</param>
    /// <param name="now">How many there are now.</param>
    public void Move(ReadOnlySpan<int> moved, int now)
    {
        Instant[] before = _answered;
        VoterSet granted = Granted;
        _answered = new Instant[now];
        Granted = default;
        Refusals.Clear();
        for (int bit = 0; bit < before.Length; bit++)
        {
            if (granted.Contains(bit) && moved[bit] >= 0)
            {
                Answered(moved[bit], before[bit]);
            }
        }
    }

    /// <summary>A voter granted or renewed in answer to a question that was sent then.</summary>
    public void Answered(int bit, Instant sent)
    {
        Granted = Granted.With(bit);
        Refusals.Remove(bit);
        if (sent > _answered[bit])
        {
            _answered[bit] = sent;
        }
    }

    /// <summary>
    /// Until when this node may act: the quorum-th latest sending of a question that was answered, and the lease's duration less the
    /// allowance for drifting clocks ◆.
    /// </summary>
    public Instant LeaseEnd(int quorum, TimeSpan duration, double allowance)
    {
        Span<Instant> latest = stackalloc Instant[_answered.Length];
        int count = 0;
        for (int bit = 0; bit < _answered.Length; bit++)
        {
            if (Granted.Contains(bit))
            {
                latest[count++] = _answered[bit];
            }
        }

        if (count < quorum)
        {
            return default;
        }

        latest = latest[..count];
        latest.Sort();
        return latest[count - quorum] + (duration * (1 - (SeededBug.Is("no-allowance") ? 0 : allowance)));
    }
}
