using System.Collections.Immutable;
using System.Text;
using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.IndexMerge;
using Carillon.Protocols.Submissions;

namespace Carillon.Storage.Catalogs;

/// <summary>What is remembered of an idempotency key.</summary>
/// <param name="Tag">The accepted tag with the least UID; where there is none, the rejected one with the greatest.</param>
/// <param name="Outcome">Accepted or rejected.</param>
/// <param name="Fingerprint">What the key stands for; zeros for a rejected tag.</param>
public readonly record struct KeyEntry(Tag Tag, TagOutcome Outcome, Digest Fingerprint);

/// <summary>
/// Reads what the catalog has applied, each call one snapshot, on a connection and statements of its own. Point reads take some
/// microseconds, so the event loop may ask at each push. Used by one thread at a time.
/// </summary>
/// <remarks>All members throw <see cref="StorageException"/> when the disk fails or the catalog turns out to be damaged.</remarks>
public sealed class CatalogReader : IMergeIndex, IDisposable
{
    private const int MaxCachedBuckets = 1024;

    private readonly SqliteDatabase _database;
    private readonly bool _ownsDatabase;
    private readonly CatalogOptions _options;
    private readonly SqliteStatement _greatest;
    private readonly SqliteStatement _version;
    private readonly SqliteStatement _versions;
    private readonly SqliteStatement _findTag;
    private readonly SqliteStatement _findTrimmed;
    private readonly SqliteStatement _findRejected;
    private readonly SqliteStatement _findSuccessor;
    private readonly SqliteStatement _lastRejected;
    private readonly SqliteStatement _findKeys;
    private readonly SqliteStatement _lastKey;
    private readonly SqliteStatement _findRecent;
    private readonly SqliteStatement _facts;
    private readonly SqliteStatement _live;
    private readonly SqliteStatement _findChunk;
    private readonly SqliteStatement _findListed;
    private readonly SqliteStatement _findUnread;
    private readonly RecordTable _records;
    private readonly FeedReader _feed;
    private readonly CatalogLister _lister;
    private readonly MergeIndexReader _merge;
    private readonly Dictionary<string, (Uid Uid, BucketSettings Settings)> _buckets = [];
    private readonly byte[] _bucketBytes = new byte[4 * ObjectName.MaxBucketLength];
    private readonly byte[] _nameBytes = new byte[4 * ObjectName.MaxNameBytes];

    internal CatalogReader(SqliteDatabase database, bool ownsDatabase, CatalogOptions options)
    {
        const string Row = "SELECT tag, kind, record, start, length, number FROM versions WHERE bucket = ?1 AND name = ?2";
        _database = database;
        _ownsDatabase = ownsDatabase;
        _options = options;
        _greatest = database.Prepare("SELECT tag FROM versions WHERE bucket = ?1 AND name = ?2 ORDER BY tag DESC LIMIT 1");
        _version = database.Prepare(Row + " AND tag BETWEEN ?3 AND ?4 ORDER BY tag DESC LIMIT 1");
        _versions = database.Prepare(Row + " ORDER BY tag DESC");
        _findTag = database.Prepare("SELECT record FROM tags WHERE tag = ?1");
        _findTrimmed = database.Prepare("SELECT 1 FROM trimmed WHERE tag = ?1");
        _findRejected = database.Prepare("SELECT 1 FROM rejected WHERE tag = ?1");
        _findSuccessor = database.Prepare("SELECT successor FROM rejected WHERE tag = ?1");
        _lastRejected = database.Prepare("SELECT tag FROM rejected ORDER BY tag DESC LIMIT 1");
        _findKeys = database.Prepare("SELECT tag FROM keys WHERE key = ?1 ORDER BY tag");
        _lastKey = database.Prepare("SELECT key FROM keys ORDER BY key DESC LIMIT 1");
        _findRecent = database.Prepare("SELECT fingerprint FROM recent WHERE tag = ?1");
        _facts = database.Prepare(CatalogFacts.Select);
        _live = database.Prepare("SELECT live FROM names WHERE bucket = ?1");
        _findChunk = database.Prepare("SELECT 1 FROM chunks WHERE id = ?1");
        _findListed = database.Prepare(
            "SELECT 1 FROM listed JOIN lists ON lists.id = listed.list WHERE listed.chunk = ?1 AND lists.uses > 0 LIMIT 1");
        _findUnread = database.Prepare(
            "SELECT id, part, compression FROM lists WHERE complete = 0 AND uses > 0 AND id > ?1 ORDER BY id LIMIT 1");
        _records = new RecordTable(database);
        _feed = new FeedReader(database);
        _lister = new CatalogLister(database);
        _merge = new MergeIndexReader(database);
    }

    /// <summary>The segment log's position up to which everything decided is applied, as of the last committed batch.</summary>
    public ulong AppliedPosition => CatalogFacts.Read(_facts).Position;

    /// <summary>The greatest number of the feed that is applied, as of the last committed batch; none before the feed.</summary>
    public SequenceNumber AppliedNumber => CatalogFacts.Read(_facts).Applied;

    /// <summary>Numbers up to this are not kept for servers that lag: their state comes from a checkpoint.</summary>
    public SequenceNumber Collected => CatalogFacts.Read(_facts).Collected;

    /// <summary>What was assigned to a number that is applied and not collected, with the record of the submission that stands there; null
    /// where it was filled or stands at a lower number already. False: it is not kept.</summary>
    public bool TryFindNumber(SequenceNumber number, out Assignment value, out byte[]? record)
    {
        using ReadTransaction snapshot = new(_ownsDatabase ? _database : null);
        bool isKept = _feed.TryFindNumber(number, out value, out long id);
        record = id == 0 ? null : _records.TryCopy(id);
        return isKept;
    }

    /// <summary>The newest kept state of the senders' sessions, and what is applied: the same number in a checkpoint, else perhaps a later
    /// one.</summary>
    public (SequenceNumber Applied, byte[] State) Sessions()
    {
        using ReadTransaction snapshot = new(_ownsDatabase ? _database : null);
        return (AppliedNumber, _feed.Sessions());
    }

    /// <summary>The sessions as of the applied number, and that number is theirs.</summary>
    public SessionTable SessionsAsApplied()
    {
        using ReadTransaction snapshot = new(_ownsDatabase ? _database : null);
        return SessionsInSnapshot();
    }

    /// <summary>No tag with a greater stamp is known here, accepted or rejected.</summary>
    public Timestamp GreatestStamp
    {
        get
        {
            Timestamp rejected = _lastRejected.Step() ? TagKey.Read(_lastRejected.Bytes(0)).Uid.Stamp : default;
            _lastRejected.Reset();
            return Timestamp.Max(rejected, CatalogFacts.Read(_facts).Latest);
        }
    }

    /// <summary>The last idempotency key in <see cref="Utf8Order"/> that is remembered, accepted or rejected; empty where there is
    /// none.</summary>
    public string GreatestKey
    {
        get
        {
            string key = _lastKey.Step() ? _lastKey.Text(0) : "";
            _lastKey.Reset();
            return key;
        }
    }

    /// <summary>The greatest UID of a name, tombstones included; none if the name never was.</summary>
    public Uid GreatestUid(ObjectName name) => GreatestTag(name).Uid;

    /// <summary>The tag of a name's greatest UID, tombstones included; none if the name never was.</summary>
    public Tag GreatestTag(ObjectName name)
    {
        Tag tag = BindName(_greatest, name).Step() ? TagKey.Read(_greatest.Bytes(0)) : default;
        _greatest.Reset();
        return tag;
    }

    /// <summary>Outcomes of tags with this stamp or a later one are all kept.</summary>
    public Timestamp OutcomesSince => CatalogFacts.Read(_facts).OutcomesSince(_options.OutcomeTtl);

    /// <summary>Outcomes of tags with an earlier stamp are past their time; those of later ones may be forgotten as well, where there are
    /// too many.</summary>
    public Timestamp OutcomeHorizon => CatalogFacts.Horizon(CatalogFacts.Read(_facts).Latest, _options.OutcomeTtl);

    /// <summary>The fresh tag that a rejected one was replaced by; none if there is none, or the tag is not known as rejected.</summary>
    public Tag SuccessorOf(Tag tag)
    {
        Span<byte> key = stackalloc byte[TagKey.MaxSize];
        Tag successor = _findSuccessor.Bind(1, TagKey.Of(tag, key)).Step()
            && _findSuccessor.Bytes(0).Length > 0 ? TagKey.Read(_findSuccessor.Bytes(0)) : default;
        _findSuccessor.Reset();
        return successor;
    }

    /// <summary>A name's current version, which may be a tombstone; null if the name never was.</summary>
    public VersionEntry? Current(ObjectName name) => First(BindName(_versions, name), name);

    /// <summary>One kept version of a name, or null.</summary>
    public VersionEntry? Version(ObjectName name, Uid uid)
    {
        Span<byte> low = stackalloc byte[TagKey.MaxSize];
        Span<byte> high = stackalloc byte[TagKey.MaxSize];
        return First(BindName(_version, name).Bind(3, TagKey.LowerBound(uid, low)).Bind(4, TagKey.UpperBound(uid, high)), name);
    }

    /// <summary>All kept versions of a name, the newest first.</summary>
    public ImmutableArray<VersionEntry> Versions(ObjectName name)
    {
        var rows = ImmutableArray.CreateBuilder<VersionEntry>();
        BindName(_versions, name);
        while (_versions.Step())
        {
            rows.Add(Entry(_versions, name));
        }

        return rows.DrainToImmutable();
    }

    /// <inheritdoc/>
    public TagOutcome Outcome(Tag tag)
    {
        Span<byte> buffer = stackalloc byte[TagKey.MaxSize];
        ReadOnlySpan<byte> key = TagKey.Of(tag, buffer);
        if (Exists(_findTag, key) || Exists(_findTrimmed, key))
        {
            return TagOutcome.Accepted;
        }

        return Exists(_findRejected, key) ? TagOutcome.Rejected : TagOutcome.Unknown;
    }

    /// <summary>What is remembered of an idempotency key; null for a key that was not used, or too long ago.</summary>
    public KeyEntry? Key(string key)
    {
        KeyEntry? rejected = null;
        _findKeys.BindText(1, key);
        while (_findKeys.Step())
        {
            ReadOnlySpan<byte> bytes = _findKeys.Bytes(0);
            Tag tag = TagKey.Read(bytes);
            if (_findRecent.Bind(1, bytes).Step())
            {
                var accepted = new KeyEntry(tag, TagOutcome.Accepted, Digest.Read(_findRecent.Bytes(0)));
                _findRecent.Reset();
                _findKeys.Reset();
                return accepted;
            }

            rejected = new KeyEntry(tag, TagOutcome.Rejected, default);
        }

        return rejected;
    }

    /// <inheritdoc/>
    public byte[]? Submission(Tag tag)
    {
        Span<byte> key = stackalloc byte[TagKey.MaxSize];
        if (!_findTag.Bind(1, TagKey.Of(tag, key)).Step())
        {
            return null;
        }

        long record = _findTag.Number(0);
        _findTag.Reset();
        return _records.TryCopy(record);
    }

    /// <summary>
    /// What the feed made of a tag: <c>submission show</c>, and what a repeated key is answered with. None if the feed has not brought it
    /// here, or so long ago that it is forgotten. A repeated one's outcome is its first one's.
    /// </summary>
    public FeedOutcome Sequenced(Tag tag)
    {
        using ReadTransaction snapshot = new(_ownsDatabase ? _database : null);
        return _feed.Outcome(tag, CatalogFacts.Horizon(CatalogFacts.Read(_facts).Latest, _options.OutcomeTtl));
    }

    /// <summary>True if a kept version of the name with a greater UID than this comes from a conditional submission.</summary>
    public bool HasConditionalAbove(ObjectName name, Uid uid)
    {
        foreach (VersionEntry entry in Versions(name))
        {
            if (entry.Uid > uid && Submission(entry.Tag) is { } bytes
                && Protocols.Submissions.Submission.TryRead(bytes, out Protocols.Submissions.Submission submission)
                && submission.IsConditional)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>One page of the feed, from a number on: one snapshot.</summary>
    public FeedPage Feed(FeedQuery query)
    {
        using ReadTransaction snapshot = new(_ownsDatabase ? _database : null);
        return _feed.Read(query, AppliedNumber, _options);
    }

    /// <summary>One page of a listing: one snapshot.</summary>
    public ListPage List(ListQuery query) => _lister.List(query);

    /// <summary>A bucket's settings, or null if there is no such bucket, or its record can't be read.</summary>
    public BucketSettings? Bucket(string bucket)
    {
        var name = new ObjectName(ObjectName.SystemBucket, bucket);
        Uid uid = GreatestUid(name);
        if (_buckets.TryGetValue(bucket, out (Uid Uid, BucketSettings Settings) cached) && cached.Uid == uid)
        {
            return cached.Settings;
        }

        _buckets.Remove(bucket);
        VersionEntry? entry = Current(name);
        if (entry?.Manifest is not { Form: ContentForm.Inline } manifest
            || !BucketSettings.TryRead(manifest.Inline.Span, out BucketSettings? settings, out _))
        {
            return null;
        }

        if (_buckets.Count >= MaxCachedBuckets)
        {
            _buckets.Clear();
        }

        _buckets[bucket] = (entry.Uid, settings);
        return settings;
    }

    /// <summary>All buckets, in order of their names.</summary>
    public IReadOnlyList<KeyValuePair<string, BucketSettings>> Buckets()
    {
        var buckets = new List<KeyValuePair<string, BucketSettings>>();
        var query = new ListQuery(ObjectName.SystemBucket);
        while (true)
        {
            ListPage page = _lister.List(query);
            foreach (ListedVersion version in page.Objects)
            {
                // Other records than buckets' have a folder in front of their names.
                if (!version.Target.Name.Contains('/', StringComparison.Ordinal) && Bucket(version.Target.Name) is { } settings)
                {
                    buckets.Add(new(version.Target.Name, settings));
                }
            }

            if (page.Next.Length == 0)
            {
                return buckets;
            }

            query = query with { After = page.Next };
        }
    }

    /// <summary>How many of a bucket's names have content: their current version is a put.</summary>
    public long NameCount(string bucket)
    {
        long count = _live.BindText(1, bucket).Step() ? _live.Number(0) : 0;
        _live.Reset();
        return count;
    }

    /// <summary>How many of a bucket's names have content once these operations are applied, some of which may be already.</summary>
    public long NameCount(string bucket, IReadOnlyCollection<(ObjectName Target, Tag Tag, OperationKind Kind)> agreed)
    {
        // One snapshot for the number and the names: a batch may be committed meanwhile.
        using ReadTransaction snapshot = new(_ownsDatabase ? _database : null);
        long count = NameCount(bucket);
        foreach (IGrouping<ObjectName, (ObjectName Target, Tag Tag, OperationKind Kind)> name in agreed.GroupBy(a => a.Target))
        {
            VersionEntry? current = Current(name.Key);
            (_, Tag tag, OperationKind kind) = name.MaxBy(a => a.Tag);
            if (current is null || tag > current.Tag)
            {
                count += (kind == OperationKind.Put ? 1 : 0) - (current?.Kind == OperationKind.Put ? 1 : 0);
            }
        }

        return count;
    }

    /// <summary>
    /// True if the manifest of a kept version lists this chunk, itself or by a list that is stored as chunks. What a list names is known
    /// here once it has been read (<see cref="NextUnreadList"/>).
    /// </summary>
    public bool IsReferenced(ChunkId id)
    {
        Span<byte> bytes = stackalloc byte[ChunkId.Size];
        id.Digest.Write(bytes);
        if (Exists(_findChunk, bytes))
        {
            return true;
        }

        bool isListed = _findListed.Bind(1, ListTable.KeyOf(id)).Step();
        _findListed.Reset();
        return isListed;
    }

    /// <summary>
    /// A chunk with a part of a kept version's list that the catalog has not read, behind another one; null if there is none. While there
    /// is any, <see cref="IsReferenced"/> does not know everything.
    /// </summary>
    public UnreadList? NextUnreadList(long after = 0)
    {
        UnreadList? list = _findUnread.Bind(1, after).Step()
            ? new UnreadList(
                _findUnread.Number(0), new ChunkId(Digest.Read(_findUnread.Bytes(1))), (Compression)_findUnread.Number(2))
            : null;
        _findUnread.Reset();
        return list;
    }

    /// <inheritdoc/>
    public MergeDigest DigestOf(MergeRange range) => _merge.DigestOf(range);

    /// <inheritdoc/>
    public ImmutableArray<(MergeRange Range, MergeDigest Digest)> PartsOf(MergeRange range) => _merge.PartsOf(range);

    /// <inheritdoc/>
    public ImmutableArray<MergeItem> ItemsIn(MergeRange range, Tag after, int limit) => _merge.ItemsIn(range, after, limit);

    /// <summary>
    /// SHA-256 of everything that follows from the set of agreed and rejected tags: versions, records, remembered keys, counts. Reads
    /// the whole catalog: for checkers and tests.
    /// </summary>
    public Digest ContentDigest() =>
        ContentDigester.Compute(_database, CatalogFacts.Horizon(CatalogFacts.Read(_facts).Latest, _options.OutcomeTtl));

    public void Dispose()
    {
        if (_ownsDatabase)
        {
            _database.Dispose();
            return;
        }

        foreach (SqliteStatement statement in (ReadOnlySpan<SqliteStatement>)
            [_greatest, _version, _versions, _findTag, _findTrimmed, _findRejected, _findSuccessor, _lastRejected, _findKeys, _lastKey,
                _findRecent, _facts, _live, _findChunk, _findListed, _findUnread])
        {
            statement.Dispose();
        }

        _records.Dispose();
        _feed.Dispose();
        _lister.Dispose();
        _merge.Dispose();
    }

    /// <summary>Begins a snapshot, where the connection is its own.</summary>
    internal (SqliteDatabase Database, CatalogOptions Options) BeginSnapshot()
    {
        if (_ownsDatabase)
        {
            _database.Execute("BEGIN");
        }

        return (_database, _options);
    }

    internal void EndSnapshot()
    {
        if (_ownsDatabase)
        {
            _database.Execute("COMMIT");
        }
    }

    internal CatalogFacts Facts() => CatalogFacts.Read(_facts);

    /// <summary>The sessions as of the applied number ◆, of which the catalog may have kept an earlier state: a checkpoint has no values
    /// from which they could be brought up to it later.</summary>
    internal SessionTable SessionsInSnapshot()
    {
        byte[] state = _feed.Sessions();
        var table = new SessionTable(SessionTable.NoLifetime);
        if (state.Length > 0 && !SessionTable.TryRead(state, SessionTable.NoLifetime, out table))
        {
            throw CatalogDamagedException.AsFault("its sessions are none");
        }

        while (table.Number < AppliedNumber.Value)
        {
            if (!_feed.TryFindNumber(new SequenceNumber(table.Number + 1), out Assignment value, out _))
            {
                throw CatalogDamagedException.AsFault($"the value of number {table.Number + 1} is missing");
            }

            table.Apply(value);
        }

        return table;
    }

    private SqliteStatement BindName(SqliteStatement statement, ObjectName name) => statement
        .BindText(1, _bucketBytes.AsSpan(0, Encoding.UTF8.GetBytes(name.Bucket, _bucketBytes)))
        .Bind(2, _nameBytes.AsSpan(0, Encoding.UTF8.GetBytes(name.Name, _nameBytes)));

    private VersionEntry? First(SqliteStatement statement, ObjectName name)
    {
        VersionEntry? entry = statement.Step() ? Entry(statement, name) : null;
        statement.Reset();
        return entry;
    }

    // Columns: tag, kind, record, start, length, number. The caller's statement keeps the snapshot that the record is read in.
    private VersionEntry Entry(SqliteStatement row, ObjectName name)
    {
        Tag tag = TagKey.Read(row.Bytes(0));
        var kind = (OperationKind)row.Number(1);
        ObjectManifest? manifest =
            kind == OperationKind.Put ? _records.Manifest(row.Number(2), (int)row.Number(3), (int)row.Number(4)) : null;
        return new VersionEntry(name, tag.Uid, tag, kind, manifest) { Number = new SequenceNumber((ulong)row.Number(5)) };
    }

    private static bool Exists(SqliteStatement find, ReadOnlySpan<byte> key)
    {
        bool exists = find.Bind(1, key).Step();
        find.Reset();
        return exists;
    }
}
