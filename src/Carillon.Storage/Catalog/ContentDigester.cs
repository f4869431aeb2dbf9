using System.Security.Cryptography;
using Carillon.Protocols;

namespace Carillon.Storage.Catalogs;

/// <summary>One digest of all that two catalogs with the same tags have in common. Ids of records, and what is remembered of trimmed tags,
/// are a server's own.</summary>
internal static class ContentDigester
{
    private static readonly string[] Contents =
    [
        "SELECT bucket, name, v.tag, kind, keeps, form, start, length, size, sha256, head FROM versions v ORDER BY bucket, name, v.tag",
        "SELECT tag, kept, checksum, r.record FROM tags t JOIN records r ON r.id = t.record ORDER BY tag",
        "SELECT tag, key FROM rejected ORDER BY tag",
        "SELECT bucket, live FROM names ORDER BY bucket",
        "SELECT id, uses FROM chunks ORDER BY id",
        "SELECT id, count, low, high FROM digests ORDER BY id",
    ];

    public static Digest Compute(SqliteDatabase database, Timestamp horizon)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Span<byte> bound = stackalloc byte[TagKey.MaxSize];
        foreach (string content in Contents)
        {
            using SqliteStatement rows = database.Prepare(content);
            Add(hash, rows);
        }

        using SqliteStatement recent = database.Prepare("SELECT tag, key, fingerprint FROM recent WHERE tag > ?1 ORDER BY tag");
        Add(hash, recent.Bind(1, TagKey.LowerBound(horizon, bound)));
        Span<byte> digest = stackalloc byte[Digest.Size];
        hash.GetHashAndReset(digest);
        return Digest.Read(digest);
    }

    private static void Add(IncrementalHash hash, SqliteStatement rows)
    {
        Span<byte> length = stackalloc byte[4];
        while (rows.Step())
        {
            for (int column = 0; column < rows.Columns; column++)
            {
                ReadOnlySpan<byte> value = rows.Bytes(column);
                System.Buffers.Binary.BinaryPrimitives.WriteInt32LittleEndian(length, value.Length);
                hash.AppendData(length);
                hash.AppendData(value);
            }
        }

        hash.AppendData("end"u8);
    }
}
