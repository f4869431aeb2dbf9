using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Submissions;

namespace Carillon.Storage.Catalogs;

/// <summary>The writer's statements on <c>feed</c>, number → what stands there, and on <c>sessions</c>.</summary>
internal sealed class FeedTable(SqliteDatabase database)
{
    private readonly SqliteStatement _insert = database.Prepare("INSERT INTO feed VALUES(?1, ?2, ?3, ?4)");
    private readonly SqliteStatement _trim = database.Prepare(
        "DELETE FROM feed WHERE number IN (SELECT number FROM feed WHERE number < ?1 ORDER BY number LIMIT ?2)");
    private readonly SqliteStatement _insertNumber = database.Prepare("INSERT INTO numbers VALUES(?1, ?2, ?3, ?4)");
    private readonly SqliteStatement _oldestNumbers =
        database.Prepare("SELECT number, tag, record FROM numbers WHERE number <= ?1 ORDER BY number LIMIT ?2");
    private readonly SqliteStatement _deleteNumbers = database.Prepare("DELETE FROM numbers WHERE number <= ?1");
    private readonly List<(byte[] Tag, long Record)> _collected = [];
    private readonly SqliteStatement _setSessions = database.Prepare("UPDATE sessions SET state = ?1");

    /// <summary>The least number that is kept once everything up to one is applied.</summary>
    public static SequenceNumber Oldest(SequenceNumber applied, CatalogOptions options) =>
        new(applied.Value > (ulong)options.FeedCount ? applied.Value - (ulong)options.FeedCount + 1 : 1);

    /// <summary>Adds a number's submission; numbers that hold none have no row.</summary>
    public void Add(FeedOutcome outcome, Tag tag, ReadOnlySpan<byte> operations)
    {
        Span<byte> key = stackalloc byte[TagKey.MaxSize];
        _insert.Bind(1, (long)outcome.Number.Value).Bind(2, TagKey.Of(tag, key)).Bind(3, (long)outcome.Verdict).Bind(4, operations).Run();
    }

    /// <summary>Drops rows below a number, a few more than a transaction adds.</summary>
    public void Trim(SequenceNumber oldest, int limit) => _trim.Bind(1, (long)oldest.Value).Bind(2, limit).Run();

    /// <summary>Keeps what was assigned to a number, for servers that lag; with its record, 0 where it has none.</summary>
    public void AddNumber(SequenceNumber number, Assignment value, Tag tag, long record)
    {
        Span<byte> bytes = stackalloc byte[Assignment.Size];
        Span<byte> key = stackalloc byte[TagKey.MaxSize];
        _insertNumber.Bind(1, (long)number.Value).Bind(2, FeedCodec.Write(value, bytes))
            .Bind(3, record == 0 ? default : TagKey.Of(tag, key)).Bind(4, record).Run();
    }

    /// <summary>Drops some of the numbers up to one; gives the tags and records that stood there.</summary>
    public IReadOnlyList<(byte[] Tag, long Record)> Collect(SequenceNumber upTo, int limit)
    {
        _collected.Clear();
        long last = 0;
        _oldestNumbers.Bind(1, (long)upTo.Value).Bind(2, limit);
        while (_oldestNumbers.Step())
        {
            last = _oldestNumbers.Number(0);
            if (_oldestNumbers.Number(2) is var record && record != 0)
            {
                _collected.Add((_oldestNumbers.Bytes(1).ToArray(), record));
            }
        }

        if (last != 0)
        {
            _deleteNumbers.Bind(1, last).Run();
        }

        return _collected;
    }

    /// <summary>Keeps the sessions' state as of the applied number.</summary>
    public void SetSessions(ReadOnlySpan<byte> state) => _setSessions.Bind(1, state).Run();
}
