using System.Buffers;
using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Wire;

namespace Carillon.Storage.Catalogs;

/// <summary>
/// Writes what a catalog says at one number, in a form that is the same wherever the same numbers are applied: without record ids, without
/// what this server decided or read beside the feed, and without rows that are past their time. It holds a snapshot from its making on, so
/// the writer goes on meanwhile.
/// </summary>
/// <remarks>
/// Made where the number is the wanted one: behind the batch that ends with it and before the next. On a file it may then write on any one
/// thread; in memory it shares the writer's connection, and writes at once. It has the reader for itself until it is disposed of.
/// </remarks>
public sealed class CatalogCheckpointWriter : IDisposable
{
    private const byte FormatVersion = 1;

    private readonly CatalogReader _reader;
    private readonly SqliteDatabase _database;
    private readonly CatalogOptions _options;
    private readonly CatalogFacts _facts;
    private readonly ArrayBufferWriter<byte> _key = new();
    private byte[] _item = new byte[4096];

    /// <summary>Takes the snapshot.</summary>
    public CatalogCheckpointWriter(CatalogReader reader)
    {
        _reader = reader;
        (_database, _options) = reader.BeginSnapshot();
        _facts = reader.Facts();
    }

    /// <summary>The number that is written.</summary>
    public SequenceNumber Number => _facts.Applied;

    /// <summary>Writes all blocks, each of at most <see cref="CatalogCheckpoint.MaxBlockBytes"/>; the bytes are the caller's until it
    /// returns.</summary>
    /// <exception cref="StorageException">The disk failed, or the catalog is damaged.</exception>
    public CatalogCheckpoint Write(Action<ReadOnlyMemory<byte>> block)
    {
        var blocks = new CheckpointBlocks(block);
        Timestamp horizon = CatalogFacts.Horizon(_facts.Latest, _options.OutcomeTtl);
        WriteFacts(blocks, horizon);
        WriteTags(blocks);
        WriteRows(
            blocks, CheckpointItem.Trimmed, "SELECT tag, at, number, verdict, detail FROM trimmed WHERE at >= ?1 ORDER BY tag",
            (long)horizon.Value, TrimmedItem);
        WriteKeys(blocks, horizon);
        WriteRows(
            blocks, CheckpointItem.Number, "SELECT number, tag, verdict, operations FROM feed WHERE number >= ?1 ORDER BY number",
            (long)FeedTable.Oldest(_facts.Applied, _options).Value, NumberItem);
        return new CatalogCheckpoint(_facts.Applied, blocks.End());
    }

    public void Dispose() => _reader.EndSnapshot();

    private void WriteFacts(CheckpointBlocks blocks, Timestamp horizon)
    {
        byte[] sessions = _facts.Applied.IsNone ? [] : _reader.SessionsInSnapshot().Serialize();
        WireWriter writer = Begin(1 + 8 + 8 + 8 + 8 + (4 * 4) + 4 + sessions.Length);
        writer.U8(FormatVersion);
        writer.U64(_facts.Applied.Value);
        writer.U64(_facts.Latest.Value);

        // Below the horizon it says nothing, and may differ.
        writer.U64(_facts.FeedFloor >= horizon ? _facts.FeedFloor.Value : 0);
        writer.I64((long)_options.OutcomeTtl.TotalMilliseconds);
        writer.U32((uint)_options.KeyCount);
        writer.U32((uint)_options.LeastKeys);
        writer.U32((uint)_options.TrimmedCount);
        writer.U32((uint)_options.FeedCount);
        writer.Blob(sessions);
        blocks.Add(CheckpointItem.Facts, [], _item.AsSpan(0, writer.Position));
    }

    private void WriteTags(CheckpointBlocks blocks)
    {
        using SqliteStatement tags = _database.Prepare("SELECT tag, number, verdict, record FROM tags ORDER BY tag");
        using SqliteStatement kept = _database.Prepare("SELECT 1 FROM versions WHERE bucket = ?1 AND name = ?2 AND tag = ?3");
        using var records = new RecordTable(_database);
        while (tags.Step())
        {
            ReadOnlySpan<byte> tag = tags.Bytes(0);
            byte[] record = records.TryCopy(tags.Number(3)) ?? throw CatalogDamagedException.AsFault("a tag's record is missing");
            if (!Protocols.Submissions.Submission.TryRead(record, out Protocols.Submissions.Submission submission))
            {
                throw CatalogDamagedException.AsFault("a record is not one");
            }

            WireWriter writer = Begin(4 + tag.Length + 8 + 1 + 4 + submission.Operations.Length + 4 + record.Length);
            writer.Blob(tag);
            writer.U64((ulong)tags.Number(1));
            writer.U8((byte)tags.Number(2));
            writer.U32((uint)submission.Operations.Length);
            foreach (Protocols.Submissions.Operation operation in submission.Operations)
            {
                kept.BindText(1, operation.Target.Bucket).Bind(2, System.Text.Encoding.UTF8.GetBytes(operation.Target.Name)).Bind(3, tag);
                writer.Bool(kept.Step());
                kept.Reset();
            }

            writer.Blob(record);
            blocks.Add(CheckpointItem.Tag, tag, _item.AsSpan(0, writer.Position));
        }
    }

    private void WriteKeys(CheckpointBlocks blocks, Timestamp horizon)
    {
        // Of those below the horizon the newest count, as far as there are not that many above.
        long above = Count("SELECT count(*) FROM recent WHERE tag > ?1", horizon);
        long below = Math.Max(0, _options.LeastKeys - above);
        Span<byte> bound = stackalloc byte[TagKey.MaxSize];
        using SqliteStatement first = _database.Prepare("SELECT tag FROM recent WHERE tag < ?1 ORDER BY tag DESC LIMIT 1 OFFSET ?2");
        byte[] from = TagKey.LowerBound(horizon, bound).ToArray();
        if (below > 0)
        {
            // The one behind the last that counts, or none: then all do.
            from = first.Bind(1, from).Bind(2, below).Step() ? [.. first.Bytes(0), 0] : [];
            first.Reset();
        }

        using SqliteStatement rows = _database.Prepare("SELECT tag, key, fingerprint FROM recent WHERE tag > ?1 ORDER BY tag");
        rows.Bind(1, from);
        while (rows.Step())
        {
            ReadOnlySpan<byte> tag = rows.Bytes(0);
            WireWriter writer = Begin(4 + tag.Length + 4 + rows.Bytes(1).Length + Digest.Size);
            writer.Blob(tag);
            writer.Blob(rows.Bytes(1));
            writer.Bytes(rows.Bytes(2));
            blocks.Add(CheckpointItem.Key, tag, _item.AsSpan(0, writer.Position));
        }
    }

    private long Count(string sql, Timestamp horizon)
    {
        Span<byte> bound = stackalloc byte[TagKey.MaxSize];
        using SqliteStatement count = _database.Prepare(sql);
        return count.Bind(1, TagKey.LowerBound(horizon, bound)).Step() ? count.Number(0) : 0;
    }

    private void WriteRows(CheckpointBlocks blocks, CheckpointItem kind, string sql, long bound, Func<SqliteStatement, int> write)
    {
        using SqliteStatement rows = _database.Prepare(sql);
        rows.Bind(1, bound);
        while (rows.Step())
        {
            _key.ResetWrittenCount();
            int length = write(rows);
            blocks.Add(kind, _key.WrittenSpan, _item.AsSpan(0, length));
        }
    }

    private int TrimmedItem(SqliteStatement row)
    {
        _key.Write(row.Bytes(0));
        WireWriter writer = Begin(4 + row.Bytes(0).Length + 8 + 8 + 1 + 4 + row.Bytes(4).Length);
        writer.Blob(row.Bytes(0));
        writer.U64((ulong)row.Number(1));
        writer.U64((ulong)row.Number(2));
        writer.U8((byte)row.Number(3));
        writer.Blob(row.Bytes(4));
        return writer.Position;
    }

    private int NumberItem(SqliteStatement row)
    {
        _key.Write(row.Bytes(1));
        WireWriter writer = Begin(8 + 4 + row.Bytes(1).Length + 1 + 4 + row.Bytes(3).Length);
        writer.U64((ulong)row.Number(0));
        writer.Blob(row.Bytes(1));
        writer.U8((byte)row.Number(2));
        writer.Blob(row.Bytes(3));
        return writer.Position;
    }

    private WireWriter Begin(int size)
    {
        if (_item.Length < size)
        {
            _item = new byte[Math.Max(size, 2 * _item.Length)];
        }

        return new WireWriter(_item);
    }
}
