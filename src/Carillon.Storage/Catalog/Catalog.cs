using System.Collections.Immutable;
using System.Runtime.InteropServices;
using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.IndexMerge;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.Wire;

namespace Carillon.Storage.Catalogs;

/// <summary>
/// The state machine of agreed submissions: bucket/name → versions (3-vector-exchange.md, "Before the feed exists"), in SQLite. What it
/// says is a function of the feed's entries, or before the feed of the set of tags applied, and of nothing else: not of clocks, or of what
/// this server went through.
/// This is the writer, used by one thread at a time; reads go through <see cref="CatalogReader"/>s.
/// </summary>
/// <remarks>
/// <see cref="Apply"/> is one transaction, and survives the process; <see cref="MakeDurable"/> makes all before it survive a power cut, and
/// comes before the segment log is cut. After an exception other than <see cref="StorageFault.Full"/> and
/// <see cref="StorageFault.ReadOnly"/>, which change nothing, the catalog is not to be used again.
/// </remarks>
public sealed partial class Catalog : IDisposable
{
    /// <summary>Rows that a transaction forgets beyond those that it adds: a day's keys must not all go in one.</summary>
    private const int ForgottenPerTransaction = 1000;

    private readonly CatalogLocation _location;
    private readonly CatalogOptions _options;
    private readonly SqliteDatabase _database;
    private readonly SqliteStatement _begin;
    private readonly SqliteStatement _commit;
    private readonly SqliteStatement _writeFacts;
    private readonly VersionTable _versions;
    private readonly TagTable _tags;
    private readonly RecordTable _records;
    private readonly KeyTable _keys;
    private readonly ChunkTable _chunks;
    private readonly ListTable _lists;
    private readonly DigestTable _digests;
    private readonly Action<Tag> _removeRejected;
    private readonly Action<Tag> _removeSurplusRejected;
    private readonly List<VersionRow> _rows = [];
    private CatalogFacts _facts;
    private Timestamp _horizon;
    private bool _isForgetting = true;

    private Catalog(CatalogLocation location, CatalogOptions options, SqliteDatabase database)
    {
        _location = location;
        _options = options;
        _database = database;
        _begin = database.Prepare("BEGIN IMMEDIATE");
        _commit = database.Prepare("COMMIT");
        _writeFacts = database.Prepare(
            "UPDATE facts SET position = ?1, latest = ?2, keys = ?3, rejected = ?4, trimmed = ?5, record = ?6, floor = ?7, applied = ?8, feedfloor = ?9, collected = ?10");
        _feed = new FeedTable(database);
        _feedReader = new FeedReader(database);
        _versions = new VersionTable(database);
        _tags = new TagTable(database);
        _records = new RecordTable(database);
        _keys = new KeyTable(database);
        _chunks = new ChunkTable(database);
        _lists = new ListTable(database);
        _digests = new DigestTable(database);
        _removeRejected = tag => _digests.Remove(tag, TagOutcome.Rejected);
        _removeSurplusRejected = tag =>
        {
            _facts.Floor = Timestamp.Max(_facts.Floor, tag.Uid.Stamp);
            _digests.Remove(tag, TagOutcome.Rejected);
        };
        _facts = CatalogFacts.Read(database.Prepare(CatalogFacts.Select));
    }

    /// <summary>Which SQLite is in use: its version, and whether it is the system's or the bundled one.</summary>
    public static string Engine => SqliteLibrary.Description;

    /// <summary>True in the simulator: readers share the writer's connection, and see what it does.</summary>
    public bool IsInMemory => _location.Memory is not null;

    /// <summary>The segment log's position up to which everything decided is applied.</summary>
    public ulong AppliedPosition => _facts.Position;

    /// <summary>Opens a catalog, made empty if there is none.</summary>
    /// <exception cref="CatalogDamagedException">It is damaged, or no catalog.</exception>
    /// <exception cref="CatalogTooNewException">A newer program wrote it.</exception>
    /// <exception cref="StorageException">The disk refused.</exception>
    public static Catalog Open(CatalogLocation location, CatalogOptions options)
    {
        Invariant.That(!options.Validate().Any());
        if (location.Memory is not { } memory)
        {
            return new Catalog(location, options, CatalogSchema.OpenWriter(location.Path, options));
        }

        var catalog = new Catalog(location, options, memory.Open());
        foreach (CatalogBatch batch in memory.CommitsToReplay())
        {
            catalog.ApplyInTransaction(batch);
        }

        return catalog;
    }

    /// <summary>A reader of its own connection, for any one thread at a time; in memory, it shares the writer's, and its thread.</summary>
    public CatalogReader OpenReader() => _location.Memory is null
        ? new CatalogReader(CatalogSchema.OpenReader(_location.Path, _options), ownsDatabase: true, _options)
        : new CatalogReader(_database, ownsDatabase: false, _options);

    /// <summary>Applies a batch, whole or not at all. What was applied before is passed over. Gives what became of each of the feed's
    /// entries.</summary>
    /// <exception cref="StorageException">The disk refused, and nothing of the batch is applied.</exception>
    public ImmutableArray<FeedOutcome> Apply(CatalogBatch batch)
    {
        ImmutableArray<FeedOutcome> outcomes = ApplyInTransaction(batch);
        _location.Memory?.Committed(batch);
        return outcomes;
    }

    /// <summary>
    /// Takes up some of the chunks that a list names (<see cref="CatalogReader.NextUnreadList"/>), in a transaction of its own. It may be
    /// lost with a crash until the catalog is made durable; then the list counts as unread, and what is added twice is there once.
    /// </summary>
    /// <exception cref="StorageException">The disk refused, and nothing of it is taken up.</exception>
    public void AddListed(long list, ReadOnlySpan<ChunkId> chunks, bool isLast)
    {
        _begin.Run();
        try
        {
            _lists.Add(list, chunks, isLast);
            _commit.Run();
        }
        catch
        {
            _database.Rollback();
            throw;
        }
    }

    /// <summary>Returns when everything applied before is on stable storage.</summary>
    /// <exception cref="StorageException">The disk refused: nothing since the last success may be relied upon.</exception>
    public void MakeDurable()
    {
        if (_location.Memory is { } memory)
        {
            memory.MadeDurable(_database);
            return;
        }

        // A commit that is flushed puts the whole write-ahead log before it on stable storage, and does so while readers are at work, which
        // a checkpoint can't. It must change something: SQLite leaves out a write of what is already there, and the flush with it. The
        // checkpoint itself can wait until that log is long: a page that changes often is copied once then, and the segment log's flushes
        // don't stand behind the copy.
        _database.Execute("PRAGMA synchronous = FULL");
        _database.Execute("UPDATE facts SET durable = durable + 1");
        _database.Execute("PRAGMA synchronous = NORMAL");
    }

    public void Dispose()
    {
        _records.Dispose();
        _database.Dispose();
    }

    private ImmutableArray<FeedOutcome> ApplyInTransaction(CatalogBatch batch)
    {
        CatalogFacts before = _facts;
        var outcomes = ImmutableArray.CreateBuilder<FeedOutcome>(batch.Entries.Length);
        _begin.Run();
        try
        {
            foreach (Submission submission in batch.Accepted)
            {
                Accept(submission);
            }

            foreach (SequencedEntry entry in batch.Entries)
            {
                outcomes.Add(Sequence(entry));
            }

            if (batch.Sessions is { } sessions && _facts.Applied > before.Applied)
            {
                _feed.SetSessions(sessions.Span);
            }

            foreach (RejectedTag rejected in batch.Rejected)
            {
                Reject(rejected);
            }

            _facts.Collected = SequenceNumber.Max(_facts.Collected, batch.CollectUpTo);
            Forget(batch.Accepted.Length + batch.Entries.Length);
            _digests.Write();
            _versions.WriteCounts();
            _facts.Position = Math.Max(_facts.Position, batch.Position);
            WriteFacts();
            _commit.Run();
            return outcomes.DrainToImmutable();
        }
        catch
        {
            _facts = before;
            _isForgetting = true;
            _horizon = default;
            _digests.Abandon();
            _versions.Abandon();
            _lists.Abandon();
            _database.Rollback();
            throw;
        }
    }

    private void WriteFacts() => _writeFacts.Bind(1, (long)_facts.Position).Bind(2, (long)_facts.Latest.Value).Bind(3, _facts.Keys)
        .Bind(4, _facts.Rejected).Bind(5, _facts.Trimmed).Bind(6, _facts.Record).Bind(7, (long)_facts.Floor.Value)
        .Bind(8, (long)_facts.Applied.Value).Bind(9, (long)_facts.FeedFloor.Value)
        .Bind(10, (long)_facts.Collected.Value).Run();

    private void Accept(Submission submission)
    {
        // One that has no number, once others have, could not be the same at every server.
        Invariant.That(_facts.Applied.IsNone);
        int count = submission.Operations.Length;
        long record = _facts.Record;
        if (!_tags.Add(submission.Tag, record, count, default))
        {
            return;
        }

        // Two servers that decided one tag differently broke the protocol: to take either's word could hide a lost submission.
        Invariant.That(_facts.Rejected == 0 || !_keys.IsRejected(submission.Tag));
        _facts.Record++;
        _facts.Latest = Timestamp.Max(_facts.Latest, submission.Tag.Uid.Stamp);
        int kept = AddVersions(submission, count, record, default);
        if (kept < count)
        {
            _tags.SetKept(submission.Tag, kept);
        }

        if (kept > 0)
        {
            _tags.AddRecord(record, submission.Encoded.Span);
            _digests.Add(submission.Tag, TagOutcome.Accepted);
        }
        else
        {
            RememberTrimmed(submission.Tag);
        }

        _facts.Keys += _keys.AddRecent(submission) ? 1 : 0;
    }

    /// <summary>Adds a submission's versions; gives how many are kept.</summary>
    private int AddVersions(Submission submission, int count, long record, SequenceNumber number)
    {
        int start = submission.OperationsEnd - OperationsSize(submission.Operations);
        int kept = 0;
        foreach (Operation operation in submission.Operations.AsSpan()[..count])
        {
            int length = operation.Manifest?.EncodedSize ?? 0;
            start += OperationHeadSize(operation);
            kept += AddVersion(operation, submission.Tag, record, start, length, number) ? 1 : 0;
            start += length;
        }

        return kept;
    }

    private void Reject(RejectedTag rejected)
    {
        if (_tags.Contains(rejected.Tag))
        {
            Invariant.That(false, $"{rejected.Tag} is rejected, and the catalog has it as accepted");
        }

        if (rejected.Tag.Uid.Stamp >= CatalogFacts.Horizon(_facts.Latest, _options.OutcomeTtl) && _keys.AddRejected(rejected))
        {
            _facts.Rejected++;
            _digests.Add(rejected.Tag, TagOutcome.Rejected);
        }
    }

    /// <summary>Adds one version and drops what the name has too many of. False if the new one is too old to be kept.</summary>
    private bool AddVersion(Operation operation, Tag tag, long record, int start, int length, SequenceNumber number)
    {
        ObjectManifest? manifest = operation.Manifest;
        _versions.Load(operation.Target, _rows);
        bool wasLive = _rows.Count > 0 && _rows[0].Kind == OperationKind.Put;
        int place = 0;
        while (place < _rows.Count && _rows[place].Tag > tag)
        {
            place++;
        }

        _rows.Insert(place, new VersionRow
        {
            Tag = tag, Kind = operation.Kind, VersionsKept = manifest?.VersionsKept ?? 0, Form = manifest?.Form ?? ContentForm.Inline,
            Record = record, ManifestStart = start, ManifestLength = length, IsNew = true, Number = number,
        });
        Span<VersionRow> rows = CollectionsMarshal.AsSpan(_rows);
        Retention.Apply(rows);
        if (SeededBug.Is("catalog-last-applied-wins"))
        {
            foreach (ref VersionRow newer in rows[..place])
            {
                newer.IsDropped = true;
            }
        }

        foreach (ref VersionRow row in rows)
        {
            if (row.IsDropped && !row.IsNew)
            {
                Drop(row);
            }
        }

        bool isKept = !rows[place].IsDropped;
        if (isKept)
        {
            _versions.Insert(rows[place], manifest);
            Use(manifest);
        }

        bool isLive = CurrentOf(rows).Kind == OperationKind.Put;
        if (isLive != wasLive)
        {
            _versions.Count(operation.Target.Bucket, isLive ? 1 : -1);
        }

        return isKept;
    }

    private static VersionRow CurrentOf(ReadOnlySpan<VersionRow> rows)
    {
        int current = 0;
        while (rows[current].IsDropped)
        {
            current++;
        }

        return rows[current];
    }

    private void Use(ObjectManifest? manifest)
    {
        if (manifest is { Form: not ContentForm.Inline })
        {
            _chunks.Use(manifest);
            if (manifest.Form == ContentForm.ChunkedList)
            {
                _lists.Use(manifest);
            }
        }
    }

    private void Drop(VersionRow row)
    {
        if (row.Form != ContentForm.Inline)
        {
            ObjectManifest manifest = _records.Manifest(row.Record, row.ManifestStart, row.ManifestLength);
            _chunks.Release(manifest);
            if (manifest.Form == ContentForm.ChunkedList)
            {
                _lists.Release(manifest);
            }
        }

        _versions.Delete(row.Tag);
        if (_tags.Release(row.Tag, _facts.Collected, out FeedOutcome outcome))
        {
            _digests.Remove(row.Tag, TagOutcome.Accepted);
            _facts.Trimmed += _tags.Remember(row.Tag, _facts.Latest, outcome) ? 1 : 0;
        }
    }

    private void RememberTrimmed(Tag tag) => _facts.Trimmed += _tags.Remember(tag, _facts.Latest, default) ? 1 : 0;

    private void Forget(int added)
    {
        Timestamp horizon = CatalogFacts.Horizon(_facts.Latest, _options.OutcomeTtl);
        int limit = added + ForgottenPerTransaction;
        _lists.Forget(limit);
        TrimFeed(limit);
        CollectNumbers(limit);
        if (horizon != _horizon)
        {
            _horizon = horizon;
            _isForgetting = true;
            _facts.Rejected -= _keys.ForgetRejected(horizon, int.MaxValue, _removeRejected);
        }

        if (_facts.Rejected > _options.RejectedCount)
        {
            _facts.Rejected -= _keys.ForgetRejected(Max, (int)(_facts.Rejected - _options.RejectedCount), _removeSurplusRejected);
        }

        ForgetSurplus(limit);
        if (_facts.Keys > _options.LeastKeys)
        {
            _facts.Keys -= _keys.ForgetRecent(horizon, (int)Math.Min(limit, _facts.Keys - _options.LeastKeys));
        }

        if (_isForgetting)
        {
            (int trimmed, _) = _tags.Forget(horizon, limit);
            _facts.Trimmed -= trimmed;
            _isForgetting = trimmed == limit;
        }
    }

    /// <summary>
    /// Forgets what there is too much of, the oldest first. In the feed it is done behind each entry, so that the next one finds the same
    /// however entries were batched: what is already past its time, and may be there or not, goes first.
    /// </summary>
    private void ForgetSurplus(int limit)
    {
        if (_facts.Keys > _options.KeyCount)
        {
            _facts.Keys -= _keys.ForgetRecent(Max, (int)Math.Min(limit, _facts.Keys - _options.KeyCount));
        }

        if (_facts.Trimmed > _options.TrimmedCount)
        {
            (int count, Timestamp greatest) = _tags.Forget(Max, (int)Math.Min(limit, _facts.Trimmed - _options.TrimmedCount));
            _facts.Trimmed -= count;
            _facts.FeedFloor = Timestamp.Max(_facts.FeedFloor, greatest);
            _facts.Floor = Timestamp.Max(_facts.Floor, greatest);
        }
    }

    // The order of SQLite's integers is signed: no stamp of a clock before the year 6429 reaches this one.
    private static readonly Timestamp Max = new(long.MaxValue);

    private static int OperationsSize(ImmutableArray<Operation> operations)
    {
        int size = 0;
        foreach (Operation operation in operations)
        {
            size += OperationHeadSize(operation) + (operation.Manifest?.EncodedSize ?? 0);
        }

        return size;
    }

    // What precedes the manifest in an operation's encoding: kind, bucket, name. Keep in step with Operation.
    private static int OperationHeadSize(Operation operation) =>
        1 + WireSize.Text(operation.Target.Bucket) + WireSize.Text(operation.Target.Name);
}
