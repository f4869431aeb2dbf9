using Carillon.Storage;

namespace Carillon.Node;

/// <summary>Which of a node's disks' queues a piece of work belongs to; works of one lane run one after the other, lanes side by
/// side.</summary>
public enum StorageLane
{
    /// <summary>The segment log: what acknowledgements wait for.</summary>
    Log,

    /// <summary>The chunk store.</summary>
    Chunks,

    /// <summary>The catalog.</summary>
    Catalog,

    /// <summary>Preparing segments, compaction, scrubbing: never waited for.</summary>
    Background,

    /// <summary>The groups' log: what their acknowledgements wait for.</summary>
    Groups,

    /// <summary>The groups' archives.</summary>
    Archive,
}

/// <summary>
/// Blocking work on a store that the node hands to its driver: a flusher thread runs <see cref="Write"/> and then <see cref="Flush"/>; the
/// simulator runs them at two instants, so that a crash may fall between. Then the driver gives it back by
/// <see cref="ServerNode.Complete"/>.
/// </summary>
public abstract class StorageWork
{
    /// <summary>The queue it waits in.</summary>
    public abstract StorageLane Lane { get; }

    /// <summary>Bytes it moves, for the simulator's disk speed.</summary>
    public abstract int Bytes { get; }

    /// <summary>Puts bytes where a power cut may still lose them.</summary>
    /// <exception cref="StorageException">The device refused.</exception>
    public abstract void Write();

    /// <summary>Makes them durable.</summary>
    /// <exception cref="StorageException">The device refused.</exception>
    public abstract void Flush();

    /// <summary>Called by the node, on its loop, when the driver gives the work back.</summary>
    protected internal abstract void Complete(StorageException? failure);
}
