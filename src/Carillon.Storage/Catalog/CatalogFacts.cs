using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;

namespace Carillon.Storage.Catalogs;

/// <summary>What the catalog knows of itself: one row, written with every transaction.</summary>
internal struct CatalogFacts
{
    /// <summary>The segment log's position up to which everything decided is applied.</summary>
    public ulong Position;

    /// <summary>The greatest stamp of all accepted tags: the only time that the catalog knows.</summary>
    public Timestamp Latest;

    /// <summary>Rows of <c>recent</c>.</summary>
    public long Keys;

    /// <summary>Rows of <c>rejected</c>.</summary>
    public long Rejected;

    /// <summary>Rows of <c>trimmed</c>.</summary>
    public long Trimmed;

    /// <summary>
    /// The greatest stamp of a tag whose outcome was forgotten before its time, because too many are remembered. A server that held a tag
    /// as accepted must not say later that it never heard of it, so it has to know from where on its memory is whole.
    /// </summary>
    public Timestamp Floor;

    /// <summary>The id of the next record.</summary>
    public long Record;

    /// <summary>The greatest number of the feed that is applied; none before the feed.</summary>
    public SequenceNumber Applied;

    /// <summary>The part of <see cref="Floor"/> that follows from the feed; what lies below the horizon may be there or not.</summary>
    public Timestamp FeedFloor;

    /// <summary>Numbers up to this are not kept for servers that lag.</summary>
    public SequenceNumber Collected;

    /// <summary>What <see cref="Read"/> expects of its statement.</summary>
    public const string Select = "SELECT position, latest, keys, rejected, trimmed, record, floor, applied, feedfloor, collected FROM facts";

    /// <summary>
    /// The least stamp of which keys and rejections are remembered. It follows the greatest stamp in whole minutes, so that outcomes
    /// are forgotten in runs and not one by one.
    /// </summary>
    public static Timestamp Horizon(Timestamp latest, TimeSpan ttl)
    {
        const long Minute = 60_000;
        long milliseconds = (latest.Milliseconds / Minute * Minute) - (long)ttl.TotalMilliseconds;
        return Timestamp.At(new WallTime(milliseconds));
    }

    /// <summary>Outcomes of all decided tags with this stamp or a later one are remembered.</summary>
    public readonly Timestamp OutcomesSince(TimeSpan ttl) => Timestamp.Max(Horizon(Latest, ttl), Floor.Value == 0 ? Floor : Floor.Next);

    /// <summary>Reads the row.</summary>
    public static CatalogFacts Read(SqliteStatement select)
    {
        if (!select.Step())
        {
            throw CatalogDamagedException.AsFault("it does not say what it has applied");
        }

        var facts = new CatalogFacts
        {
            Position = (ulong)select.Number(0), Latest = new Timestamp((ulong)select.Number(1)), Keys = select.Number(2),
            Rejected = select.Number(3), Trimmed = select.Number(4), Record = select.Number(5),
            Floor = new Timestamp((ulong)select.Number(6)), Applied = new SequenceNumber((ulong)select.Number(7)),
            FeedFloor = new Timestamp((ulong)select.Number(8)), Collected = new SequenceNumber((ulong)select.Number(9)),
        };
        select.Reset();
        return facts;
    }
}
