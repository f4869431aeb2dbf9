using Carillon.Protocols;
using Carillon.Protocols.Submissions;

namespace Carillon.Storage.Catalogs;

/// <summary>A chunk that holds a part of a kept version's list of chunks, whose content the catalog has not read.</summary>
/// <param name="Id">The catalog's own number of it.</param>
/// <param name="Part">The chunk.</param>
/// <param name="Compression">How it is stored.</param>
public readonly record struct UnreadList(long Id, ChunkId Part, Compression Compression);

/// <summary>
/// The writer's statements on <c>lists</c> and <c>listed</c>: the parts of chunk lists that are chunks themselves, and what they name. A
/// part is read once, by whoever drives the catalog, and what it named is forgotten a little at a time: a large object has millions of
/// chunks.
/// </summary>
internal sealed class ListTable(SqliteDatabase database)
{
    private readonly SqliteStatement _use = database.Prepare(
        "INSERT INTO lists(part, uses, compression, complete) VALUES(?1, 1, ?2, 0) ON CONFLICT(part) DO UPDATE SET uses = uses + 1");

    // One without use loses its name, and is forgotten bit by bit; should its chunk be used again meanwhile, that is another row, so that
    // nobody who still adds to this one completes that one.
    private readonly SqliteStatement _release =
        database.Prepare("UPDATE lists SET uses = uses - 1, part = iif(uses > 1, part, NULL) WHERE part = ?1");
    private readonly SqliteStatement _isUsed = database.Prepare("SELECT 1 FROM lists WHERE id = ?1 AND uses > 0");
    private readonly SqliteStatement _add = database.Prepare("INSERT OR IGNORE INTO listed VALUES(?1, ?2)");
    private readonly SqliteStatement _complete = database.Prepare("UPDATE lists SET complete = 1 WHERE id = ?1");
    private readonly SqliteStatement _stale = database.Prepare("SELECT id FROM lists WHERE uses = 0 ORDER BY id LIMIT 1");
    private readonly SqliteStatement _forget = database.Prepare(
        "DELETE FROM listed WHERE (chunk, list) IN (SELECT chunk, list FROM listed WHERE list = ?1 LIMIT ?2)");
    private readonly SqliteStatement _remove = database.Prepare("DELETE FROM lists WHERE id = ?1");
    private bool _mayHaveStale = true;

    /// <summary>What stands for a chunk: its first eight bytes. A chance meeting of two keeps one chunk too many.</summary>
    public static long KeyOf(ChunkId chunk) => (long)chunk.Digest.A;

    /// <summary>A version with this manifest, whose chunks hold its list, is kept.</summary>
    public void Use(ObjectManifest manifest)
    {
        Span<byte> id = stackalloc byte[ChunkId.Size];
        foreach (ChunkReference part in manifest.Chunks)
        {
            part.Id.Digest.Write(id);
            _use.Bind(1, id).Bind(2, (long)part.Compression).Run();
        }
    }

    /// <summary>A version with this manifest was dropped.</summary>
    public void Release(ObjectManifest manifest)
    {
        Span<byte> id = stackalloc byte[ChunkId.Size];
        foreach (ChunkReference part in manifest.Chunks)
        {
            part.Id.Digest.Write(id);
            _release.Bind(1, id).Run();
        }

        _mayHaveStale = true;
    }

    /// <summary>Adds some of what a list names, unless it has gone out of use meanwhile.</summary>
    public void Add(long list, ReadOnlySpan<ChunkId> chunks, bool isLast)
    {
        bool isUsed = _isUsed.Bind(1, list).Step();
        _isUsed.Reset();
        if (!isUsed)
        {
            return;
        }

        foreach (ChunkId chunk in SeededBug.Is("catalog-skips-listed-chunks") ? [] : chunks)
        {
            _add.Bind(1, KeyOf(chunk)).Bind(2, list).Run();
        }

        if (isLast)
        {
            _complete.Bind(1, list).Run();
        }
    }

    /// <summary>Forgets up to so many rows of lists without use.</summary>
    public void Forget(int limit)
    {
        while (_mayHaveStale && limit > 0)
        {
            long? stale = _stale.Step() ? _stale.Number(0) : null;
            _stale.Reset();
            if (stale is not { } list)
            {
                _mayHaveStale = false;
                return;
            }

            _forget.Bind(1, list).Bind(2, limit).Run();
            int forgotten = database.Changes;
            if (forgotten < limit)
            {
                _remove.Bind(1, list).Run();
            }

            limit -= Math.Max(1, forgotten);
        }
    }

    /// <summary>A transaction was taken back: what it found out about stale lists does not hold.</summary>
    public void Abandon() => _mayHaveStale = true;
}
