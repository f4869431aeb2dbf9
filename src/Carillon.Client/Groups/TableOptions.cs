using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Submissions;

namespace Carillon.Client.Groups;

/// <summary>What became of one name of a table.</summary>
/// <param name="Number">The operation's place in the order; none where the whole table was read from a checkpoint.</param>
/// <param name="Key">Whose.</param>
/// <param name="Value">What it is now; nothing where it was removed.</param>
/// <param name="Removed">True where it was removed.</param>
/// <typeparam name="TKey">A key.</typeparam>
/// <typeparam name="TValue">A value.</typeparam>
public readonly record struct TableChange<TKey, TValue>(SequenceNumber Number, TKey Key, TValue? Value, bool Removed);

/// <summary>How a replicated table is kept.</summary>
/// <typeparam name="TKey">A key.</typeparam>
/// <typeparam name="TValue">A value.</typeparam>
public sealed record TableOptions<TKey, TValue>
    where TKey : notnull
{
    /// <summary>
    /// The bucket, and in it the prefix, that checkpoints are kept under. Null: there are none, and a new member reads all messages since
    /// the first. Each group has its own folder there, named by its identity.
    /// </summary>
    public ObjectName? Checkpoints { get; init; }

    /// <summary>
    /// A checkpoint is due at every multiple of this; the same for all members, or they can't compare. Too low: the table is written often;
    /// too high: a new member has many messages to read, and the group must keep them.
    /// </summary>
    public ulong CheckpointEvery { get; init; } = 10_000;

    /// <summary>
    /// Whether this member writes checkpoints, or compares its own with what another one wrote. Off: it only reads them.
    /// </summary>
    public bool TakesCheckpoints { get; init; } = true;

    /// <summary>
    /// Checkpoints that are kept; older ones are removed. Too low: a member that reads one slowly may lose it on the way.
    /// </summary>
    public int CheckpointsKept { get; init; } = 3;

    /// <summary>Null: that of <c>string</c> or <c>byte[]</c>.</summary>
    public ITableCodec<TKey>? KeyCodec { get; init; }

    /// <summary>Null: that of <c>string</c> or <c>byte[]</c>.</summary>
    public ITableCodec<TValue>? ValueCodec { get; init; }

    /// <summary>
    /// Is told of each change, in order, once it is applied; the next waits until it returns. What it throws ends the table.
    /// </summary>
    public Action<TableChange<TKey, TValue>>? Changed { get; init; }

    /// <summary>Is told what a person may want to know: a checkpoint that was read, or could not be written.</summary>
    public Action<string>? Observer { get; init; }

    /// <summary>How it takes part in the group.</summary>
    public AtomicGroupOptions Group { get; init; } = new();

    /// <summary>All faults, each in words.</summary>
    public IEnumerable<string> Validate()
    {
        if (CheckpointEvery == 0)
        {
            yield return "a checkpoint is due at every so many messages, from 1 on";
        }

        if (CheckpointsKept < 2)
        {
            yield return "two checkpoints are kept at least";
        }
    }
}
