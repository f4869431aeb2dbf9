using Carillon.Protocols.AtomicMulticast;
using Carillon.Storage.Groups;
using Carillon.Storage.Log;

namespace Carillon.Node.Groups;

/// <summary>How a server keeps groups.</summary>
public sealed record GroupsOptions
{
    /// <summary>The protocol's own settings.</summary>
    public GroupOptions Protocol { get; init; } = new() { SenderBytes = 16L << 20 };

    /// <summary>The log of all groups. Nothing of it is kept for a full disk: senders are told to wait then.</summary>
    public SegmentLogOptions Log { get; init; } = new()
    {
        ReserveBytes = 0, MaxFreeSegments = 12, MaxBatchBytes = 4 << 20, MaxWaitingBytes = 128 << 20,
    };

    /// <summary>Committed messages in memory.</summary>
    public CommittedMessagesOptions Recent { get; init; } = new();

    /// <summary>Log bytes after which archives are flushed, what is open is copied forward and the log is cut. Too low: small batches
    /// in the archives; too high: a longer start, and more disk.</summary>
    public long SnapshotBytes { get; init; } = 96L << 20;

    /// <summary>Bytes of messages of one group that have no number yet, or wait for the archive; senders wait beyond.</summary>
    public long OpenBytes { get; init; } = 64L << 20;

    /// <summary>Bytes of committed messages that a memory-only group keeps at most, whatever it asks for.</summary>
    public long MemoryBytes { get; init; } = 128L << 20;

    /// <summary>How long a sender's message is tried before its outcome is called unknown. Too low: a change of sequencers is seen by
    /// senders; too high: they wait at a server that can do nothing.</summary>
    public TimeSpan PublishPatience { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>The protocol's settings for one group: the state of a memory-only group's sessions is all that a server that forgot gets
    /// back, so it is made more often.</summary>
    internal GroupOptions ProtocolOf(GroupSettings settings) => settings.Durability == GroupDurability.Memory
        ? Protocol with { CheckpointEvery = Math.Max(1, Protocol.CheckpointEvery / 5) }
        : Protocol;

    /// <summary>All faults of these settings, none if they are good.</summary>
    public IEnumerable<string> Validate()
    {
        foreach (string fault in Protocol.Validate().Concat(Log.Validate()).Concat(Recent.Validate()))
        {
            yield return fault;
        }

        if (SnapshotBytes < 1 << 20)
        {
            yield return "groups.snapshotBytes must be at least 1 MiB";
        }

        if (OpenBytes < GroupSettings.MaxPayloadBytes || MemoryBytes < GroupSettings.MaxPayloadBytes)
        {
            yield return "groups.openBytes and groups.memoryBytes must be at least one payload, 1 MiB";
        }

        if (PublishPatience <= TimeSpan.Zero)
        {
            yield return "groups.publishPatience must be above zero";
        }
    }
}
