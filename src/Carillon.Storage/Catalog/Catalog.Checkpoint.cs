using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.IndexMerge;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.Wire;

namespace Carillon.Storage.Catalogs;

/// <summary>What the loading of a checkpoint came to.</summary>
public enum CheckpointVerdict
{
    /// <summary>The catalog says what the checkpoint says.</summary>
    Loaded,

    /// <summary>A block is not the one that was named; nothing changed.</summary>
    WrongBlock,

    /// <summary>The blocks are those that were named, and are no checkpoint that this program reads; nothing changed.</summary>
    Unreadable,

    /// <summary>The other servers keep keys, outcomes or numbers for another time or in another number than this one is set to; nothing
    /// changed.</summary>
    OtherOptions,

    /// <summary>It is not ahead of what is applied here.</summary>
    NotAhead,
}

/// <content>
/// Takes the place of everything that follows from the sequence by what a checkpoint says, in one transaction: readers see the old state or
/// the new one. What is this server's own stays: tags decided *no*, and the log's position.
/// </content>
public sealed partial class Catalog
{
    /// <summary>Items between two sums of the merge digests' changes, which are kept in memory.</summary>
    private const int ItemsPerSum = 50_000;

    private SequenceNumber _loadedNumber;

    /// <summary>Loads a checkpoint: all or nothing. Durable when it returns.</summary>
    /// <param name="checkpoint">The list, whose digest was agreed on.</param>
    /// <param name="block">Gives the block of a place in the list.</param>
    /// <exception cref="StorageException">The disk refused; nothing changed.</exception>
    public CheckpointVerdict Load(CatalogCheckpoint checkpoint, Func<int, ReadOnlyMemory<byte>> block)
    {
        // An empty catalog has nothing that a checkpoint from before the feed could not be ahead of: a cluster that is restored.
        bool isEmpty = _facts.Applied.IsNone && _facts.Latest == default;
        if (checkpoint.Number <= _facts.Applied && !isEmpty)
        {
            return CheckpointVerdict.NotAhead;
        }

        CatalogFacts before = _facts;
        var verdict = CheckpointVerdict.Unreadable;
        _begin.Run();
        try
        {
            Clear();
            using var blocks = new VerifiedBlocks(checkpoint, block);
            verdict = LoadItems(checkpoint, blocks);
            if (blocks.IsWrong)
            {
                verdict = CheckpointVerdict.WrongBlock;
            }

            if (verdict == CheckpointVerdict.Loaded)
            {
                _database.Execute(
                    """
                    INSERT INTO names SELECT bucket, count(*) FROM
                    (SELECT bucket, kind, max(tag) FROM versions GROUP BY bucket, name) WHERE kind = 0 GROUP BY bucket
                    """);
                _digests.Write();
                WriteFacts();
                _commit.Run();
            }
        }
        finally
        {
            _digests.Abandon();
            _lists.Abandon();
            _isForgetting = true;
            _horizon = default;
            if (verdict != CheckpointVerdict.Loaded)
            {
                _facts = before;
                _database.Rollback();
            }
        }

        if (verdict == CheckpointVerdict.Loaded)
        {
            MakeDurable();
        }

        return verdict;
    }

    private void Clear()
    {
        _database.Execute(
            """
            DELETE FROM versions; DELETE FROM tags; DELETE FROM records; DELETE FROM trimmed; DELETE FROM names; DELETE FROM chunks;
            DELETE FROM lists; DELETE FROM listed; DELETE FROM feed; DELETE FROM numbers; DELETE FROM digests;
            DELETE FROM keys WHERE tag IN (SELECT tag FROM recent); DELETE FROM recent
            """);
        _loadedNumber = default;
        _facts.Keys = 0;
        _facts.Trimmed = 0;
        using SqliteStatement rejected = _database.Prepare("SELECT tag FROM rejected");
        while (rejected.Step())
        {
            _digests.Add(TagKey.Read(rejected.Bytes(0)), TagOutcome.Rejected);
        }
    }

    private CheckpointVerdict LoadItems(CatalogCheckpoint checkpoint, VerifiedBlocks blocks)
    {
        var items = new CheckpointItemReader(blocks);
        if (!items.TryNext(out CheckpointItem kind, out ReadOnlyMemory<byte> bytes) || kind != CheckpointItem.Facts)
        {
            return CheckpointVerdict.Unreadable;
        }

        var facts = new WireReader(bytes.Span);
        CheckpointVerdict verdict = LoadFacts(checkpoint, ref facts);
        for (int count = 1; verdict == CheckpointVerdict.Loaded; count++)
        {
            CheckpointItem last = kind;
            if (!items.TryNext(out kind, out bytes) || kind < last)
            {
                return CheckpointVerdict.Unreadable;
            }

            var reader = new WireReader(bytes.Span);
            bool isGood = kind switch
            {
                CheckpointItem.Tag => LoadTag(ref reader),
                CheckpointItem.Trimmed => LoadTrimmed(ref reader),
                CheckpointItem.Key => LoadKey(ref reader),
                CheckpointItem.Number => LoadNumber(ref reader),
                _ => kind == CheckpointItem.End,
            };
            if (!isGood || reader.Failed || reader.Remaining > 0)
            {
                return CheckpointVerdict.Unreadable;
            }

            if (kind == CheckpointItem.End)
            {
                return items.TryNext(out _, out _) ? CheckpointVerdict.Unreadable : CheckpointVerdict.Loaded;
            }

            if (count % ItemsPerSum == 0)
            {
                _digests.Write();
            }
        }

        return verdict;
    }

    private CheckpointVerdict LoadFacts(CatalogCheckpoint checkpoint, ref WireReader reader)
    {
        byte version = reader.U8();
        var applied = new SequenceNumber(reader.U64());
        var latest = new Timestamp(reader.U64());
        var floor = new Timestamp(reader.U64());
        bool isSame = reader.I64() == (long)_options.OutcomeTtl.TotalMilliseconds;
        isSame &= reader.U32() == (uint)_options.KeyCount;
        isSame &= reader.U32() == (uint)_options.LeastKeys;
        isSame &= reader.U32() == (uint)_options.TrimmedCount;
        isSame &= reader.U32() == (uint)_options.FeedCount;
        ReadOnlySpan<byte> sessions = reader.Blob(CatalogCheckpoint.MaxBlockBytes * 16);
        if (version != 1 || applied != checkpoint.Number || reader.Failed || reader.Remaining > 0)
        {
            return CheckpointVerdict.Unreadable;
        }

        _facts.Applied = applied;
        _facts.Collected = SequenceNumber.Max(_facts.Collected, applied);
        _facts.Latest = latest;
        _facts.FeedFloor = floor;
        _facts.Floor = Timestamp.Max(_facts.Floor, floor);
        _feed.SetSessions(sessions);
        return isSame ? CheckpointVerdict.Loaded : CheckpointVerdict.OtherOptions;
    }

    private bool LoadTag(ref WireReader reader)
    {
        Tag tag = ReadTag(ref reader);
        var outcome = new FeedOutcome(new SequenceNumber(reader.U64()), (FeedVerdict)reader.U8());
        int count = reader.Count(Submission.MaxOperations, 1);
        ReadOnlySpan<byte> kept = reader.Bytes(count);
        if (!Submission.TryRead(reader.Blob(Submission.MaxBytes), out Submission submission) || submission.Tag != tag
            || submission.Operations.Length != count || !MayBeKept(outcome) || _keys.IsRejected(tag) || _tags.Contains(tag))
        {
            return false;
        }

        long record = _facts.Record++;
        int number = 0;
        int start = submission.OperationsEnd - OperationsSize(submission.Operations);
        for (int i = 0; i < count; i++)
        {
            Operation operation = submission.Operations[i];
            int length = operation.Manifest?.EncodedSize ?? 0;
            start += OperationHeadSize(operation);
            if (kept[i] != 0)
            {
                number++;
                _versions.Choose(operation.Target);
                _versions.Insert(
                    new VersionRow
                    {
                        Tag = tag, Kind = operation.Kind, VersionsKept = operation.Manifest?.VersionsKept ?? 0,
                        Form = operation.Manifest?.Form ?? ContentForm.Inline, Record = record, ManifestStart = start,
                        ManifestLength = length, Number = outcome.Number,
                    },
                    operation.Manifest);
                Use(operation.Manifest);
            }

            start += length;
        }

        _tags.AddRecord(record, submission.Encoded.Span);
        _digests.Add(tag, TagOutcome.Accepted);
        return _tags.Add(tag, record, number, outcome) && number > 0;
    }

    // Before the feed what is accepted is in effect, and nothing has a number.
    private bool MayBeKept(FeedOutcome outcome) =>
        outcome.IsInEffect || (_facts.Applied.IsNone && outcome.Verdict == FeedVerdict.None && outcome.Number.IsNone);

    private bool LoadTrimmed(ref WireReader reader)
    {
        Tag tag = ReadTag(ref reader);
        var at = new Timestamp(reader.U64());
        ulong number = reader.U64();
        byte verdict = reader.U8();
        ReadOnlySpan<byte> detail = reader.Blob(4096);
        if (reader.Failed || !FeedCodec.TryRead((long)number, verdict, detail, out FeedOutcome outcome)
            || !_tags.Remember(tag, at, outcome))
        {
            return false;
        }

        _facts.Trimmed++;
        return true;
    }

    private bool LoadKey(ref WireReader reader)
    {
        Tag tag = ReadTag(ref reader);
        ReadOnlySpan<byte> key = reader.Blob(Submission.MaxKeyBytes);
        Digest fingerprint = reader.Digest();
        if (reader.Failed || !_keys.AddRecent(tag, key, fingerprint))
        {
            return false;
        }

        _facts.Keys++;
        return true;
    }

    private bool LoadNumber(ref WireReader reader)
    {
        var number = new SequenceNumber(reader.U64());
        Tag tag = ReadTag(ref reader);
        var verdict = (FeedVerdict)reader.U8();
        ReadOnlySpan<byte> operations = reader.Blob(Submission.MaxBytes);
        if (reader.Failed || number <= _loadedNumber || number > _facts.Applied
            || !FeedCodec.TryReadOperations(operations, new FeedQuery(number), out _))
        {
            return false;
        }

        _loadedNumber = number;
        _feed.Add(new FeedOutcome(number, verdict), tag, operations);
        return true;
    }

    private static Tag ReadTag(ref WireReader reader)
    {
        ReadOnlySpan<byte> key = reader.Blob(TagKey.MaxSize);
        if (TagKey.TryRead(key, out Tag tag))
        {
            return tag;
        }

        reader.Fail();
        return default;
    }
}
