using Carillon.Protocols;
using Carillon.Protocols.Submissions;

namespace Carillon.Storage.Catalogs;

/// <summary>The writer's statements on <c>chunks</c>: how often the manifests of kept versions list each chunk.</summary>
internal sealed class ChunkTable(SqliteDatabase database)
{
    private readonly SqliteStatement _use =
        database.Prepare("INSERT INTO chunks VALUES(?1, 1) ON CONFLICT(id) DO UPDATE SET uses = uses + 1");
    private readonly SqliteStatement _release = database.Prepare("UPDATE chunks SET uses = uses - 1 WHERE id = ?1");
    private readonly SqliteStatement _sweep = database.Prepare("DELETE FROM chunks WHERE id = ?1 AND uses = 0");

    /// <summary>A version with this manifest is kept.</summary>
    public void Use(ObjectManifest manifest)
    {
        Span<byte> id = stackalloc byte[ChunkId.Size];
        foreach (ChunkReference chunk in manifest.Chunks)
        {
            chunk.Id.Digest.Write(id);
            _use.Bind(1, id).Run();
        }
    }

    /// <summary>A version with this manifest was dropped.</summary>
    public void Release(ObjectManifest manifest)
    {
        Span<byte> id = stackalloc byte[ChunkId.Size];
        foreach (ChunkReference chunk in manifest.Chunks)
        {
            chunk.Id.Digest.Write(id);
            _release.Bind(1, id).Run();
            _sweep.Bind(1, id).Run();
        }
    }
}
