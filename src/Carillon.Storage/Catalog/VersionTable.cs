using System.Text;
using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Submissions;

namespace Carillon.Storage.Catalogs;

/// <summary>One row of <c>versions</c>, as far as retention and the manifest's place are concerned.</summary>
internal struct VersionRow
{
    public Tag Tag;
    public OperationKind Kind;
    public int VersionsKept;
    public ContentForm Form;
    public long Record;
    public int ManifestStart;
    public int ManifestLength;

    public SequenceNumber Number;

    /// <summary>Set by <see cref="Retention"/>.</summary>
    public bool IsDropped;

    /// <summary>True for the version that is being added.</summary>
    public bool IsNew;
}

/// <summary>The writer's statements on <c>versions</c>, and on <c>names</c>, the number of each bucket's names whose current version is a
/// put.</summary>
internal sealed class VersionTable(SqliteDatabase database)
{
    private const int MaxStackBytes = 512;

    private readonly SqliteStatement _select = database.Prepare(
        "SELECT tag, kind, keeps, form, record, start, length FROM versions WHERE bucket = ?1 AND name = ?2 ORDER BY tag DESC");

    private readonly SqliteStatement _current =
        database.Prepare("SELECT tag, kind FROM versions WHERE bucket = ?1 AND name = ?2 ORDER BY tag DESC LIMIT 1");

    private readonly SqliteStatement _insert =
        database.Prepare("INSERT INTO versions VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)");
    private readonly SqliteStatement _delete = database.Prepare("DELETE FROM versions WHERE bucket = ?1 AND name = ?2 AND tag = ?3");
    private readonly SqliteStatement _count = database.Prepare(
        "INSERT INTO names VALUES(?1, ?2) ON CONFLICT(bucket) DO UPDATE SET live = live + excluded.live");

    private readonly SqliteStatement _sweep = database.Prepare("DELETE FROM names WHERE bucket = ?1 AND live = 0");
    private readonly SortedDictionary<string, long> _live = new(StringComparer.Ordinal);
    private readonly byte[] _bucketBytes = new byte[4 * ObjectName.MaxBucketLength];
    private readonly byte[] _nameBytes = new byte[4 * ObjectName.MaxNameBytes];
    private int _bucketLength;
    private int _nameLength;

    private ReadOnlySpan<byte> Bucket => _bucketBytes.AsSpan(0, _bucketLength);

    private ReadOnlySpan<byte> Name => _nameBytes.AsSpan(0, _nameLength);

    /// <summary>A name's greatest UID, a put's or a tombstone's, and whether it is a put's; none if the name never was.</summary>
    public (Uid Uid, bool IsLive) Current(ObjectName target)
    {
        Choose(target);
        (Uid, bool) current = _current.BindText(1, Bucket).Bind(2, Name).Step()
            ? (TagKey.Read(_current.Bytes(0)).Uid, (OperationKind)_current.Number(1) == OperationKind.Put)
            : default;
        _current.Reset();
        return current;
    }

    /// <summary>Chooses the name that the other methods are about.</summary>
    public void Choose(ObjectName target)
    {
        _bucketLength = Encoding.UTF8.GetBytes(target.Bucket, _bucketBytes);
        _nameLength = Encoding.UTF8.GetBytes(target.Name, _nameBytes);
    }

    /// <summary>Chooses the name that the other methods are about, and reads its versions, the newest first.</summary>
    public void Load(ObjectName target, List<VersionRow> rows)
    {
        Choose(target);
        rows.Clear();
        _select.BindText(1, Bucket).Bind(2, Name);
        while (_select.Step())
        {
            rows.Add(new VersionRow
            {
                Tag = TagKey.Read(_select.Bytes(0)), Kind = (OperationKind)_select.Number(1), VersionsKept = (int)_select.Number(2),
                Form = (ContentForm)_select.Number(3), Record = _select.Number(4), ManifestStart = (int)_select.Number(5),
                ManifestLength = (int)_select.Number(6),
            });
        }
    }

    /// <summary>Adds a version of the chosen name.</summary>
    public void Insert(VersionRow row, ObjectManifest? manifest)
    {
        Span<byte> key = stackalloc byte[TagKey.MaxSize];
        Span<byte> sha256 = stackalloc byte[Digest.Size];
        (manifest?.Sha256 ?? default).Write(sha256);
        _insert.BindText(1, Bucket).Bind(2, Name).Bind(3, TagKey.Of(row.Tag, key)).Bind(4, (long)row.Kind).Bind(5, row.VersionsKept)
            .Bind(6, (long)row.Form).Bind(7, row.Record).Bind(8, row.ManifestStart).Bind(9, row.ManifestLength)
            .Bind(10, manifest?.Size ?? 0).Bind(11, sha256);
        int length = ManifestHead.SizeOf(manifest);
        Span<byte> head = length <= MaxStackBytes ? stackalloc byte[MaxStackBytes] : new byte[length];
        ManifestHead.Write(manifest, head[..length]);
        _insert.Bind(12, head[..length]).Bind(13, (long)row.Number.Value).Run();
    }

    /// <summary>Removes a version of the chosen name.</summary>
    public void Delete(Tag tag)
    {
        Span<byte> key = stackalloc byte[TagKey.MaxSize];
        _delete.BindText(1, Bucket).Bind(2, Name).Bind(3, TagKey.Of(tag, key)).Run();
    }

    /// <summary>Notes that a bucket has one name with content more, or one less.</summary>
    public void Count(string bucket, int difference)
    {
        _live.TryGetValue(bucket, out long sum);
        _live[bucket] = sum + difference;
    }

    /// <summary>Writes the counts that changed in this transaction.</summary>
    public void WriteCounts()
    {
        foreach ((string bucket, long difference) in _live)
        {
            if (difference != 0)
            {
                _count.BindText(1, bucket).Bind(2, difference).Run();
            }

            if (difference < 0)
            {
                _sweep.BindText(1, bucket).Run();
            }
        }

        _live.Clear();
    }

    /// <summary>Forgets the changes of a transaction that failed.</summary>
    public void Abandon() => _live.Clear();
}
