using System.Text;
using Carillon.Protocols;
using Carillon.Protocols.Submissions;

namespace Carillon.Storage.Catalogs;

/// <summary>
/// The writer's statements on <c>recent</c> (accepted tags whose keys are remembered), <c>rejected</c>, and <c>keys</c>, which finds both
/// by their key. It goes by the key's text and not by a hash of it: keys that begin with the time, as our client's do, come near one
/// another then.
/// </summary>
internal sealed class KeyTable(SqliteDatabase database)
{
    private readonly SqliteStatement _insertRecent = database.Prepare("INSERT INTO recent VALUES(?1, ?2, ?3) ON CONFLICT(tag) DO NOTHING");
    private readonly SqliteStatement _insertRejected =
        database.Prepare("INSERT INTO rejected VALUES(?1, ?2, ?3) ON CONFLICT(tag) DO NOTHING");
    private readonly SqliteStatement _findRejected = database.Prepare("SELECT 1 FROM rejected WHERE tag = ?1");
    private readonly SqliteStatement _insertKey = database.Prepare("INSERT INTO keys VALUES(?1, ?2) ON CONFLICT(key, tag) DO NOTHING");
    private readonly SqliteStatement _deleteKey = database.Prepare("DELETE FROM keys WHERE key = ?1 AND tag = ?2");
    private readonly SqliteStatement _recentOfKey = database.Prepare(
        "SELECT k.tag FROM keys k JOIN recent r ON r.tag = k.tag WHERE k.key = ?1 ORDER BY k.tag");
    private readonly SqliteStatement _newer =
        database.Prepare("SELECT count(*) FROM (SELECT 1 FROM recent WHERE tag > ?1 LIMIT ?2)");

    private readonly SqliteStatement _oldestRecent = database.Prepare("SELECT tag, key FROM recent WHERE tag < ?1 ORDER BY tag LIMIT ?2");
    private readonly SqliteStatement _oldestRejected =
        database.Prepare("SELECT tag, key FROM rejected WHERE tag < ?1 ORDER BY tag LIMIT ?2");
    private readonly SqliteStatement _deleteRecent = database.Prepare("DELETE FROM recent WHERE tag = ?1");
    private readonly SqliteStatement _deleteRejected = database.Prepare("DELETE FROM rejected WHERE tag = ?1");
    private readonly List<(Tag Tag, string Key)> _old = [];

    /// <summary>Remembers an accepted submission's key. False if it was remembered already.</summary>
    public bool AddRecent(Submission submission)
    {
        Span<byte> utf8 = stackalloc byte[3 * Submission.MaxKeyBytes];
        return AddRecent(submission.Tag, utf8[..Encoding.UTF8.GetBytes(submission.Key, utf8)], submission.Fingerprint);
    }

    /// <summary>The same, of a checkpoint.</summary>
    public bool AddRecent(Tag accepted, ReadOnlySpan<byte> key, Digest standsFor)
    {
        Span<byte> buffer = stackalloc byte[TagKey.MaxSize];
        Span<byte> fingerprint = stackalloc byte[Digest.Size];
        ReadOnlySpan<byte> tag = TagKey.Of(accepted, buffer);
        standsFor.Write(fingerprint);
        _insertRecent.Bind(1, tag).BindText(2, key).Bind(3, fingerprint).Run();
        if (database.Changes == 0)
        {
            return false;
        }

        _insertKey.BindText(1, key).Bind(2, tag).Run();
        return true;
    }

    /// <summary>
    /// The tag that a key is remembered for, or none: not below the horizon, or among the newest that are remembered whatever their age.
    /// Rows of those that are forgotten go some time later; they are the oldest, so that they change no other's place from the newest.
    /// </summary>
    public Tag FirstRecent(string key, Timestamp horizon, int least)
    {
        Tag first = default;
        _recentOfKey.BindText(1, key);
        while (first.IsNone && _recentOfKey.Step())
        {
            Tag tag = TagKey.Read(_recentOfKey.Bytes(0));
            first = tag.Uid.Stamp >= horizon || IsAmongNewest(tag, least) ? tag : default;
        }

        _recentOfKey.Reset();
        return first;
    }

    private bool IsAmongNewest(Tag tag, int least)
    {
        Span<byte> key = stackalloc byte[TagKey.MaxSize];
        _newer.Bind(1, TagKey.Of(tag, key)).Bind(2, least).Step();
        bool isAmong = _newer.Number(0) < least;
        _newer.Reset();
        return isAmong;
    }

    /// <summary>Remembers a rejected tag. False if it was remembered already.</summary>
    public bool AddRejected(RejectedTag rejected)
    {
        Span<byte> buffer = stackalloc byte[TagKey.MaxSize];
        ReadOnlySpan<byte> tag = TagKey.Of(rejected.Tag, buffer);
        Span<byte> successor = stackalloc byte[TagKey.MaxSize];
        _insertRejected.Bind(1, tag).BindText(2, rejected.Key).Bind(
            3, rejected.Successor.IsNone ? [] : TagKey.Of(rejected.Successor, successor)).Run();
        if (database.Changes == 0)
        {
            return false;
        }

        _insertKey.BindText(1, rejected.Key).Bind(2, tag).Run();
        return true;
    }

    public bool IsRejected(Tag tag)
    {
        Span<byte> key = stackalloc byte[TagKey.MaxSize];
        bool found = _findRejected.Bind(1, TagKey.Of(tag, key)).Step();
        _findRejected.Reset();
        return found;
    }

    /// <summary>Forgets the keys of accepted tags below a stamp, the oldest first. Gives their number.</summary>
    public int ForgetRecent(Timestamp horizon, int limit)
    {
        FindOldest(_oldestRecent, horizon, limit);
        Forget(_deleteRecent);
        return _old.Count;
    }

    /// <summary>Forgets rejected tags below a stamp, the oldest first, and tells which.</summary>
    public int ForgetRejected(Timestamp horizon, int limit, Action<Tag> forgotten)
    {
        FindOldest(_oldestRejected, horizon, limit);
        Forget(_deleteRejected);
        foreach ((Tag tag, _) in _old)
        {
            forgotten(tag);
        }

        return _old.Count;
    }

    private void FindOldest(SqliteStatement select, Timestamp horizon, int limit)
    {
        Span<byte> bound = stackalloc byte[TagKey.MaxSize];
        _old.Clear();
        select.Bind(1, horizon.Value == ulong.MaxValue ? TagKey.UpperBound(horizon, bound) : TagKey.LowerBound(horizon, bound)).Bind(
            2, limit);
        while (select.Step())
        {
            _old.Add((TagKey.Read(select.Bytes(0)), select.Text(1)));
        }
    }

    private void Forget(SqliteStatement delete)
    {
        Span<byte> buffer = stackalloc byte[TagKey.MaxSize];
        foreach ((Tag tag, string text) in _old)
        {
            ReadOnlySpan<byte> key = TagKey.Of(tag, buffer);
            _deleteKey.BindText(1, text).Bind(2, key).Run();
            delete.Bind(1, key).Run();
        }
    }
}
