using System.Collections.Immutable;
using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Submissions;

namespace Carillon.Storage.Catalogs;

/// <summary>The reader's statements on the feed: pages from a number on, and tags' outcomes.</summary>
internal sealed class FeedReader(SqliteDatabase database) : IDisposable
{
    /// <summary>Rows that a page looks at: what a filter keeps out may lie between by the million.</summary>
    private const int MaxRows = 20_000;

    private const int MaxLimit = 10_000;

    private readonly SqliteStatement _rows =
        database.Prepare("SELECT number, tag, verdict, operations FROM feed WHERE number >= ?1 AND number <= ?2 ORDER BY number");
    private readonly SqliteStatement _kept = database.Prepare("SELECT number, verdict FROM tags WHERE tag = ?1");
    private readonly SqliteStatement _trimmed = database.Prepare("SELECT number, verdict, detail, at FROM trimmed WHERE tag = ?1");
    private readonly SqliteStatement _number = database.Prepare("SELECT value, record FROM numbers WHERE number = ?1");
    private readonly SqliteStatement _sessions = database.Prepare("SELECT state FROM sessions");

    /// <summary>One page; the caller has one snapshot for the applied number and this.</summary>
    public FeedPage Read(FeedQuery query, SequenceNumber applied, CatalogOptions options)
    {
        SequenceNumber oldest = FeedTable.Oldest(applied, options);
        SequenceNumber from = SequenceNumber.Max(query.From, new SequenceNumber(1));
        if (from < oldest)
        {
            return new FeedPage([], oldest, applied, oldest) { IsTooOld = true };
        }

        var items = ImmutableArray.CreateBuilder<FeedItem>();
        int limit = Math.Clamp(query.Limit, 1, MaxLimit);
        int examined = 0;
        SequenceNumber next = SequenceNumber.Max(from, applied.Next);
        _rows.Bind(1, (long)from.Value).Bind(2, (long)applied.Value);
        while (_rows.Step())
        {
            var number = new SequenceNumber((ulong)_rows.Number(0));
            if (items.Count >= limit || examined++ >= MaxRows)
            {
                next = number;
                _rows.Reset();
                break;
            }

            var verdict = (FeedVerdict)_rows.Number(2);
            ImmutableArray<FeedOperation> operations = FeedCodec.ReadOperations(_rows.Bytes(3), query);
            if (operations.Length > 0)
            {
                items.Add(new FeedItem(number, TagKey.Read(_rows.Bytes(1)), verdict, operations));
            }
        }

        return new FeedPage(items.DrainToImmutable(), next, applied, oldest);
    }

    /// <summary>What the feed made of a tag, while that is remembered; none if it has not brought it, or too long ago.</summary>
    public FeedOutcome Outcome(Tag tag, Timestamp horizon) => Outcome(tag, horizon, out _);

    /// <summary>The same; and tells whether it is past its time, but there is a row of it yet.</summary>
    public FeedOutcome Outcome(Tag tag, Timestamp horizon, out bool isPast)
    {
        isPast = false;
        Span<byte> buffer = stackalloc byte[TagKey.MaxSize];
        ReadOnlySpan<byte> key = TagKey.Of(tag, buffer);
        FeedOutcome outcome = default;
        if (_kept.Bind(1, key).Step())
        {
            outcome = FeedCodec.Read(_kept.Number(0), _kept.Number(1), []);
            _kept.Reset();
        }
        else if (_trimmed.Bind(1, key).Step())
        {
            isPast = new Timestamp((ulong)_trimmed.Number(3)) < horizon;
            outcome = isPast ? default : FeedCodec.Read(_trimmed.Number(0), _trimmed.Number(1), _trimmed.Bytes(2));
            _trimmed.Reset();
        }

        return outcome;
    }

    /// <summary>What was assigned to a number and the id of its record, 0 where it has none; false where it is not kept.</summary>
    public bool TryFindNumber(SequenceNumber number, out Assignment value, out long record)
    {
        bool isKept = _number.Bind(1, (long)number.Value).Step();
        value = isKept ? FeedCodec.ReadAssignment(_number.Bytes(0)) : default;
        record = isKept ? _number.Number(1) : 0;
        _number.Reset();
        return isKept;
    }

    /// <summary>The sessions' state as of the applied number.</summary>
    public byte[] Sessions()
    {
        byte[] state = _sessions.Step() ? _sessions.Bytes(0).ToArray() : throw CatalogDamagedException.AsFault("it has no sessions");
        _sessions.Reset();
        return state;
    }

    public void Dispose()
    {
        _rows.Dispose();
        _kept.Dispose();
        _trimmed.Dispose();
        _sessions.Dispose();
        _number.Dispose();
    }
}
