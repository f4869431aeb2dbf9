using System.Collections.Immutable;

namespace Carillon.Protocols.Primacy;

/// <summary>How far a secondary is with the primary's checkpoints.</summary>
internal readonly record struct SecondaryProgress(Freshness? Acknowledged, Freshness? Sent, Instant SentAt);

/// <summary>What one node knows of one service.</summary>
internal sealed class HostedService(ServiceName name, NodeId self)
{
    public ServiceName Name { get; } = name;

    public ServiceEntry? Entry { get; set; }

    public Selection Selection { get; } = new(self);

    /// <summary>The epoch that this node bids for or holds, or null.</summary>
    public Tenure? Tenure { get; set; }

    /// <summary>True if this node was told to provide the service.</summary>
    public bool IsProvider { get; set; }

    /// <summary>True if its provider is there.</summary>
    public bool IsUp { get; set; }

    /// <summary>Why not, or why the last primary here ended.</summary>
    public string Detail { get; set; } = "";

    /// <summary>What this node has of the service's state.</summary>
    public Freshness State { get; set; }

    /// <summary>Spare or secondary, while it is not primary.</summary>
    public ServiceRole Role { get; set; }

    /// <summary>The primary heard last, and when.</summary>
    public NodeId HeardFrom { get; set; }

    public Epoch HeardEpoch { get; set; }

    public Instant? HeardAt { get; set; }

    /// <summary>When a primary was known to act last, this node included.</summary>
    public Instant? ActedAt { get; set; }

    /// <summary>When the node called at present is passed over.</summary>
    public Instant CallUntil { get; set; } = Instant.Never;

    /// <summary>When this node stands although it was disqualified.</summary>
    public Instant StandAt { get; set; } = Instant.Never;

    /// <summary>No bid before this.</summary>
    public Instant BidAt { get; set; }

    /// <summary>The greatest epoch that a refusal named.</summary>
    public Epoch Refused { get; set; }

    /// <summary>Until when this node ranks behind all others.</summary>
    public Instant DampedUntil { get; set; }

    /// <summary>Failures in a row.</summary>
    public int Failures { get; set; }

    public bool HoldsRequesters { get; set; }

    /// <summary>The run and node of the call that was sent last.</summary>
    public (Epoch Run, NodeId Node) LastCall { get; set; }

    /// <summary>When time alone changes something.</summary>
    public Instant DueAt { get; set; } = Instant.Never;

    /// <summary>The primary's last checkpoint, for those that have not got it.</summary>
    public (Freshness State, ReadOnlyMemory<byte> Content)? Checkpoint { get; set; }

    /// <summary>How far each secondary is.</summary>
    public SortedDictionary<NodeId, SecondaryProgress> Secondaries { get; } = [];

    public bool IsPrimary => Tenure is { IsActing: true };

    public ImmutableArray<NodeId> Eligible => Entry?.Eligible ?? [];

    /// <summary>This node's rank: what it asks first with.</summary>
    public Rank RankAt(Instant now)
    {
        RankClass rank = now < DampedUntil ? RankClass.Damped : Role == ServiceRole.Secondary ? RankClass.Secondary : RankClass.Spare;
        return new Rank(rank, State, PreferenceOf(self), self);
    }

    /// <summary>The rank that another node has as far as is known here: only the order of calls rests on it.</summary>
    public Rank ExpectedRank(NodeId node) => new(
        Entry!.Secondaries.Contains(node) ? RankClass.Secondary : RankClass.Spare, default, PreferenceOf(node), node);

    // The servers' own services have no order of preference: the identifier decides, as the seed says.
    private ushort PreferenceOf(NodeId node)
    {
        int place = Name.IsCore ? -1 : Eligible.IndexOf(node);
        return place < 0 ? (ushort)0 : (ushort)(Eligible.Length - place);
    }
}
