namespace Carillon.Protocols.VectorExchange;

/// <summary>
/// Hands out a server's stamps. None is ever used twice, even after a restart with a clock set back: stamps come only from blocks that
/// a flushed record reserved, and a restarted server begins behind the last block ◆.
/// </summary>
internal sealed class StampClock(TimeSpan block)
{
    private Timestamp _last;

    /// <summary>Greatest stamp that may be used; what the flushed record says.</summary>
    public Timestamp Reserved { get; private set; }

    /// <summary>The end of the newest block that was asked for, durable or not: a snapshot must not fall behind its record.</summary>
    public Timestamp Asked { get; private set; }

    /// <summary>Replays a reservation found in the log.</summary>
    public void Restore(Timestamp upTo)
    {
        Reserved = Timestamp.Max(Reserved, upTo);
        Asked = Reserved;
        if (!SeededBug.Is("stamps-reused-after-restart"))
        {
            _last = Reserved;
        }
    }

    /// <summary>A reservation is durable.</summary>
    public void Extend(Timestamp upTo) => Reserved = Timestamp.Max(Reserved, upTo);

    /// <summary>Takes max(own clock, <paramref name="known"/> + 1, last + 1); false if that is not reserved yet.</summary>
    public bool TryTake(WallTime wall, Timestamp known, out Timestamp stamp)
    {
        stamp = Least(wall, known);
        if (stamp > Reserved)
        {
            return false;
        }

        _last = stamp;
        return true;
    }

    /// <summary>Names the end of the block to reserve for a stamp to be taken; <see cref="Extend"/> follows once it is durable.</summary>
    public Timestamp Ask(WallTime wall, Timestamp known) =>
        Asked = Timestamp.Max(Asked, new(Least(wall, known).Value + ((ulong)block.TotalMilliseconds << 16)));

    /// <summary>True if less than half a block is left: time to reserve the next while this one lasts.</summary>
    public bool RunsLow(WallTime wall) =>
        Least(wall, default).Value + ((ulong)block.TotalMilliseconds << 15) > Reserved.Value;

    private Timestamp Least(WallTime wall, Timestamp known) =>
        Timestamp.Max(Timestamp.At(wall), Timestamp.Max(known.Next, _last.Next));
}
