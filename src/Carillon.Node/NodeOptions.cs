using Carillon.Node.Groups;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.IndexMerge;
using Carillon.Protocols.Membership;
using Carillon.Protocols.Primacy;
using Carillon.Protocols.Replicast;
using Carillon.Protocols.VectorExchange;
using Carillon.Storage.Catalogs;
using Carillon.Storage.Chunks;
using Carillon.Storage.Log;

namespace Carillon.Node;

/// <summary>All settings of a node, component by component.</summary>
public sealed record NodeOptions
{
    public MembershipOptions Membership { get; init; } = new();

    public VectorExchangeOptions Exchange { get; init; } = new();

    public SegmentLogOptions Log { get; init; } = new();

    public ChunkStoreOptions Chunks { get; init; } = new();

    public CatalogOptions Catalog { get; init; } = new();

    public ChunkReplicationOptions Replication { get; init; } = new();

    public IndexMergeOptions Merge { get; init; } = new();

    public PrimacyOptions Primacy { get; init; } = new();

    public GroupsOptions Groups { get; init; } = new();

    /// <summary>The catalog's group.</summary>
    public GroupOptions Feed { get; init; } = new() { MaxAhead = 262_144 };

    /// <summary>
    /// False: this server is never elected to give the feed its numbers. Where all are set so, writes go on as agreed and nothing is
    /// sequenced: for tests of just that, and for servers that are far away from the others.
    /// </summary>
    public bool FeedLead { get; init; } = true;

    /// <summary>Chunks are collected only within this time after an index merge with a quorum. Too high: a reference might be
    /// overlooked.</summary>
    public TimeSpan CollectFresh { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>Log bytes after which open state is copied forward and the log is cut. Too low: more work while busy; too high: a longer
    /// start and more disk.</summary>
    public long SnapshotBytes { get; init; } = 24L << 20;

    /// <summary>Most submissions that one transaction of the catalog applies.</summary>
    public int ApplyBatch { get; init; } = 4000;

    /// <summary>
    /// How long a number of the feed waits for others before the catalog applies them together, where nobody waits for it here. Too low: a
    /// transaction for a few rows each costs several times the processor time. Too high: watchers, and conditional writes behind it, wait.
    /// </summary>
    public TimeSpan ApplyDelay { get; init; } = TimeSpan.FromMilliseconds(20);

    /// <summary>
    /// Free space below which no content is taken any more. Too low: a catalog that meets a full disk can't write down what is agreed, and
    /// deletes, which need room themselves, can't make any. Too high: space that nobody uses.
    /// </summary>
    public long CatalogReserveBytes { get; init; } = 64L << 20;

    /// <summary>
    /// How long a read waits for the feed's sequencer, and for the catalog to come as far, before a quorum is asked instead. Too low: a
    /// slow network makes quorums of what one server could answer. Too high: reads are late for so long where a sequencer dies.
    /// </summary>
    public TimeSpan ReadPatience { get; init; } = TimeSpan.FromMilliseconds(300);

    /// <summary>Bytes of agreed submissions that do not wait any longer.</summary>
    public int ApplyBytes { get; init; } = 8 << 20;

    /// <summary>True for an empty disk that comes in by a change of a running cluster: it votes once the feed has brought that.</summary>
    public bool Joins { get; init; }

    /// <summary>All faults of these settings, none if they are good.</summary>
    public IEnumerable<string> Validate()
    {
        foreach (string fault in Membership.Validate())
        {
            yield return fault;
        }

        foreach (string fault in Exchange.Validate())
        {
            yield return fault;
        }

        foreach (string fault in Chunks.Validate())
        {
            yield return fault;
        }

        foreach (string fault in Catalog.Validate())
        {
            yield return fault;
        }

        foreach (string fault in Replication.Validate().Concat(Merge.Validate()).Concat(Primacy.Validate()).Concat(Groups.Validate())
            .Concat(Feed.Validate()))
        {
            yield return fault;
        }

        if (SnapshotBytes < 1 << 20)
        {
            yield return "log.snapshotBytes must be at least 1 MiB";
        }

        if (ReadPatience <= TimeSpan.Zero)
        {
            yield return "feed.readPatience must be above zero";
        }

        if (CatalogReserveBytes < 0)
        {
            yield return "catalog.reserveBytes must not be negative";
        }

        if (ApplyBatch < 1 || ApplyDelay < TimeSpan.Zero || ApplyBytes < 0)
        {
            yield return "catalog.applyBatch must be at least 1, applyDelay and applyBytes not negative";
        }
    }
}
