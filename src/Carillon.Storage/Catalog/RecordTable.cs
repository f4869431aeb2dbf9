using Carillon.Protocols.Submissions;
using Carillon.Protocols.Wire;

namespace Carillon.Storage.Catalogs;

/// <summary>Reads <c>records</c>, whole or the manifest of one operation. Each read checks the record's checksum: SQLite has none of its
/// own.</summary>
internal sealed class RecordTable(SqliteDatabase database) : IDisposable
{
    private readonly SqliteStatement _select = database.Prepare("SELECT checksum, record FROM records WHERE id = ?1");

    /// <summary>A copy of a record, or null if it is not there (any more: ids are not used again).</summary>
    public byte[]? TryCopy(long id)
    {
        byte[]? record = _select.Bind(1, id).Step() ? Current().ToArray() : null;
        _select.Reset();
        return record;
    }

    /// <summary>The manifest at a place of a record.</summary>
    public ObjectManifest Manifest(long id, int start, int length)
    {
        ReadOnlySpan<byte> record = Find(id);
        if (start < 0 || length <= 0 || start > record.Length - length)
        {
            throw CatalogDamagedException.AsFault("a manifest lies outside of its record");
        }

        var reader = new WireReader(record.Slice(start, length));
        ObjectManifest manifest = ObjectManifest.Read(ref reader);
        _select.Reset();
        return reader.Failed || reader.Remaining > 0 ? throw CatalogDamagedException.AsFault("a manifest is not one") : manifest;
    }

    public void Dispose() => _select.Dispose();

    private ReadOnlySpan<byte> Find(long id) =>
        _select.Bind(1, id).Step() ? Current() : throw CatalogDamagedException.AsFault("a version's record is missing");

    private ReadOnlySpan<byte> Current()
    {
        ReadOnlySpan<byte> record = _select.Bytes(1);
        return Crc32C.Of(record) == (uint)_select.Number(0)
            ? record
            : throw CatalogDamagedException.AsFault("a record is not what was written");
    }
}
