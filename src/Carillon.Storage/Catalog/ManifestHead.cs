using System.Collections.Immutable;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.Wire;

namespace Carillon.Storage.Catalogs;

/// <summary>
/// The part of a manifest that listings show, in a column of its own: the manifest lies in its submission's record, and to read that for
/// each of a changeset's thousand names would read megabytes a thousand times. Text media type, u32 count, then key and value of each.
/// </summary>
internal static class ManifestHead
{
    /// <summary>Bytes that it takes; those of a tombstone are not none, since an empty blob would be bound as NULL.</summary>
    public static int SizeOf(ObjectManifest? manifest)
    {
        int size = WireSize.Text(manifest?.ContentType ?? "") + 4;
        foreach ((string key, string value) in manifest?.Metadata ?? [])
        {
            size += WireSize.Text(key) + WireSize.Text(value);
        }

        return size;
    }

    public static void Write(ObjectManifest? manifest, Span<byte> bytes)
    {
        var writer = new WireWriter(bytes);
        writer.Text(manifest?.ContentType ?? "");
        writer.U32((uint)(manifest?.Metadata.Length ?? 0));
        foreach ((string key, string value) in manifest?.Metadata ?? [])
        {
            writer.Text(key);
            writer.Text(value);
        }
    }

    public static (string ContentType, ImmutableArray<KeyValuePair<string, string>> Metadata) Read(ReadOnlySpan<byte> bytes)
    {
        var reader = new WireReader(bytes);
        string contentType = reader.Text(ObjectManifest.MaxMetadataBytes);
        int count = reader.Count(ObjectManifest.MaxMetadataBytes, 4);
        var metadata = ImmutableArray.CreateBuilder<KeyValuePair<string, string>>(count);
        for (int i = 0; i < count; i++)
        {
            metadata.Add(new(reader.Text(ObjectManifest.MaxMetadataBytes), reader.Text(ObjectManifest.MaxMetadataBytes)));
        }

        return reader.Failed || reader.Remaining > 0
            ? throw CatalogDamagedException.AsFault("the head of a manifest is not one") : (contentType, metadata.DrainToImmutable());
    }
}
