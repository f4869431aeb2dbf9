using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.Wire;

namespace Carillon.Storage.Catalogs;

/// <summary>The writer's statements on <c>tags</c> (accepted, with a kept version), <c>records</c> (their bytes) and <c>trimmed</c>
/// (accepted, without).</summary>
internal sealed class TagTable(SqliteDatabase database)
{
    private readonly SqliteStatement _find = database.Prepare("SELECT record, kept, number, verdict FROM tags WHERE tag = ?1");
    private readonly SqliteStatement _insert = database.Prepare("INSERT INTO tags VALUES(?1, ?2, ?3, ?4, ?5) ON CONFLICT(tag) DO NOTHING");
    private readonly SqliteStatement _setKept = database.Prepare("UPDATE tags SET kept = ?2 WHERE tag = ?1");
    private readonly SqliteStatement _release = database.Prepare("UPDATE tags SET kept = kept - 1 WHERE tag = ?1");
    private readonly SqliteStatement _delete = database.Prepare("DELETE FROM tags WHERE tag = ?1");
    private readonly SqliteStatement _insertRecord = database.Prepare("INSERT INTO records VALUES(?1, ?2, ?3)");
    private readonly SqliteStatement _deleteRecord = database.Prepare("DELETE FROM records WHERE id = ?1");
    private readonly SqliteStatement _remember = database.Prepare("INSERT INTO trimmed VALUES(?1, ?2, ?3, ?4, ?5) ON CONFLICT(tag) DO NOTHING");
    private readonly SqliteStatement _longestTrimmed = database.Prepare("SELECT tag FROM trimmed WHERE at < ?1 ORDER BY at, tag LIMIT ?2");
    private readonly SqliteStatement _forget = database.Prepare("DELETE FROM trimmed WHERE tag = ?1");
    private readonly List<Tag> _forgotten = [];

    /// <summary>True for a tag of which a version is kept.</summary>
    public bool Contains(Tag tag)
    {
        Span<byte> key = stackalloc byte[TagKey.MaxSize];
        bool found = _find.Bind(1, TagKey.Of(tag, key)).Step();
        _find.Reset();
        return found;
    }

    /// <summary>Adds a tag that has this many versions. False if it is there.</summary>
    public bool Add(Tag tag, long record, int kept, FeedOutcome outcome)
    {
        Span<byte> key = stackalloc byte[TagKey.MaxSize];
        _insert.Bind(1, TagKey.Of(tag, key)).Bind(2, record).Bind(3, kept).Bind(4, (long)outcome.Number.Value)
            .Bind(5, (long)outcome.Verdict).Run();
        return database.Changes > 0;
    }

    /// <summary>Adds a record under an id that was not used before.</summary>
    public void AddRecord(long record, ReadOnlySpan<byte> encoded) =>
        _insertRecord.Bind(1, record).Bind(2, Crc32C.Of(encoded)).Bind(3, encoded).Run();

    /// <summary>Corrects the number of a tag's versions, some or all of which were too old to be kept.</summary>
    public void SetKept(Tag tag, int kept)
    {
        Span<byte> buffer = stackalloc byte[TagKey.MaxSize];
        ReadOnlySpan<byte> key = TagKey.Of(tag, buffer);
        if (kept > 0)
        {
            _setKept.Bind(1, key).Bind(2, kept).Run();
        }
        else
        {
            _delete.Bind(1, key).Run();
        }
    }

    /// <summary>Notes that a version of a tag was dropped. True if it was its last: then its record is gone too, and what
    /// the feed made of it is to be remembered.</summary>
    /// <param name="tag">Whose version it was.</param>
    /// <param name="collected">A record whose number is above is kept for servers that lag.</param>
    /// <param name="outcome">What the feed made of it.</param>
    public bool Release(Tag tag, SequenceNumber collected, out FeedOutcome outcome)
    {
        Span<byte> buffer = stackalloc byte[TagKey.MaxSize];
        ReadOnlySpan<byte> key = TagKey.Of(tag, buffer);
        if (!_find.Bind(1, key).Step())
        {
            throw CatalogDamagedException.AsFault($"the version of {tag} has no record");
        }

        long record = _find.Number(0);
        long kept = _find.Number(1);
        outcome = FeedCodec.Read(_find.Number(2), _find.Number(3), []);
        _find.Reset();
        if (kept > 1)
        {
            _release.Bind(1, key).Run();
            return false;
        }

        if (outcome.Number <= collected)
        {
            DeleteRecord(record);
        }

        _delete.Bind(1, key).Run();
        return true;
    }

    /// <summary>The record of a tag with a kept version, or 0.</summary>
    public long RecordOf(ReadOnlySpan<byte> tag)
    {
        long record = _find.Bind(1, tag).Step() ? _find.Number(0) : 0;
        _find.Reset();
        return record;
    }

    /// <summary>Deletes a record that nothing needs any more.</summary>
    public void DeleteRecord(long record) => _deleteRecord.Bind(1, record).Run();

    /// <summary>Remembers an accepted tag without a kept version. False if it was remembered already.</summary>
    public bool Remember(Tag tag, Timestamp at, FeedOutcome outcome)
    {
        Span<byte> key = stackalloc byte[TagKey.MaxSize];
        _remember.Bind(1, TagKey.Of(tag, key)).Bind(2, (long)at.Value).Bind(3, (long)outcome.Number.Value)
            .Bind(4, (long)outcome.Verdict).Bind(5, FeedCodec.Detail(outcome)).Run();
        return database.Changes > 0;
    }

    /// <summary>Forgets one trimmed tag; gives how many rows that were.</summary>
    public int Forget(Tag tag)
    {
        Span<byte> key = stackalloc byte[TagKey.MaxSize];
        _forget.Bind(1, TagKey.Of(tag, key)).Run();
        return database.Changes;
    }

    /// <summary>Forgets trimmed tags, the longest trimmed first, below a stamp of trimming. Gives their number and their greatest
    /// stamp.</summary>
    public (int Count, Timestamp Greatest) Forget(Timestamp before, int limit)
    {
        Span<byte> key = stackalloc byte[TagKey.MaxSize];
        Timestamp greatest = default;
        _forgotten.Clear();
        _longestTrimmed.Bind(1, (long)before.Value).Bind(2, limit);
        while (_longestTrimmed.Step())
        {
            _forgotten.Add(TagKey.Read(_longestTrimmed.Bytes(0)));
        }

        foreach (Tag tag in _forgotten)
        {
            greatest = Timestamp.Max(greatest, tag.Uid.Stamp);
            _forget.Bind(1, TagKey.Of(tag, key)).Run();
        }

        return (_forgotten.Count, greatest);
    }
}
