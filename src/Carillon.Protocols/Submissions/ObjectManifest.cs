using System.Collections.Immutable;
using System.Text;
using Carillon.Protocols.Wire;

namespace Carillon.Protocols.Submissions;

/// <summary>How a chunk's stored bytes become content.</summary>
public enum Compression : byte
{
    /// <summary>Stored as they are.</summary>
    None = 0,

    /// <summary>Brotli (RFC 7932).</summary>
    Brotli = 1,

    /// <summary>Deflate (RFC 1951).</summary>
    Deflate = 2,
}

/// <summary>One chunk of an object: its name, how many bytes are stored, how many they are when read, how they are compressed.</summary>
public readonly record struct ChunkReference(ChunkId Id, uint StoredLength, uint Length, Compression Compression)
{
    /// <summary>Bytes on the wire: 32 id, 4 stored length, 4 length, 1 compression.</summary>
    public const int Size = ChunkId.Size + 9;

    public void Write(ref WireWriter writer)
    {
        writer.Chunk(Id);
        writer.U32(StoredLength);
        writer.U32(Length);
        writer.U8((byte)Compression);
    }

    /// <summary>Why this is no reference to a chunk, or null if it is one.</summary>
    public string? Fault() =>
        Compression > Compression.Deflate ? $"there is no compression {(byte)Compression}"
        : Length is 0 or > ObjectManifest.MaxChunkLength || StoredLength is 0 or > ObjectManifest.MaxChunkLength
            ? $"a chunk has 1 to {ObjectManifest.MaxChunkLength} bytes, this one {Length}, stored as {StoredLength}"
        : Compression == Compression.None && StoredLength != Length ? $"an uncompressed chunk of {Length} bytes is stored as {StoredLength}"
        : null;

    public static ChunkReference Read(ref WireReader reader)
    {
        var reference = new ChunkReference(reader.Chunk(), reader.U32(), reader.U32(), (Compression)reader.U8());
        if (reference.Fault() is not null)
        {
            reader.Fail();
        }

        return reference;
    }
}

/// <summary>Where an object's bytes are.</summary>
public enum ContentForm : byte
{
    /// <summary>In the manifest.</summary>
    Inline = 0,

    /// <summary>In chunks that the manifest lists.</summary>
    Chunks = 1,

    /// <summary>In chunks whose list, encoded as consecutive <see cref="ChunkReference"/>s, is the content of the listed chunks.</summary>
    ChunkedList = 2,
}

/// <summary>What one version of an object is: its size, its hash, its metadata, and where its bytes are.</summary>
public sealed record ObjectManifest
{
    /// <summary>The largest chunk, in bytes, before and after compression.</summary>
    public const uint MaxChunkLength = 64 << 20;

    /// <summary>A list of chunks longer than this many bytes is stored as chunks itself.</summary>
    public const int MaxDirectListBytes = 64 << 10;

    /// <summary>The largest sum of metadata keys and values, in bytes.</summary>
    public const int MaxMetadataBytes = 8 << 10;

    /// <summary>The most versions that a bucket may keep of a name.</summary>
    public const int MaxVersionsKept = 1000;

    /// <summary>Content in bytes.</summary>
    public required long Size { get; init; }

    /// <summary>SHA-256 of the whole content.</summary>
    public required Digest Sha256 { get; init; }

    /// <summary>Media type, or empty.</summary>
    public string ContentType { get; init; } = "";

    /// <summary>Keys and values in ordinal order of the keys, each once.</summary>
    public ImmutableArray<KeyValuePair<string, string>> Metadata { get; init; } = [];

    /// <summary>
    /// How many puts of the name are kept from this one on, itself included: the bucket's setting when it was accepted. It travels in
    /// the record because what is trimmed must follow from the records alone: two servers that learn a change of the setting and a put
    /// in different orders would otherwise keep different versions for good.
    /// </summary>
    public ushort VersionsKept { get; init; } = 10;

    /// <summary>Where the bytes are.</summary>
    public ContentForm Form { get; init; }

    /// <summary>The bytes, for <see cref="ContentForm.Inline"/>.</summary>
    public ReadOnlyMemory<byte> Inline { get; init; }

    /// <summary>The chunks, for the other forms, in order.</summary>
    public ImmutableArray<ChunkReference> Chunks { get; init; } = [];

    /// <summary>Bytes on the wire.</summary>
    public int EncodedSize
    {
        get
        {
            int size = 8 + Digest.Size + 2 + WireSize.Text(ContentType) + 4 + 1;
            foreach ((string key, string value) in Metadata)
            {
                size += WireSize.Text(key) + WireSize.Text(value);
            }

            return size + (Form == ContentForm.Inline ? WireSize.Blob(Inline.Length) : 4 + (Chunks.Length * ChunkReference.Size));
        }
    }

    public void Write(ref WireWriter writer)
    {
        writer.I64(Size);
        writer.Digest(Sha256);
        writer.U16(VersionsKept);
        writer.Text(ContentType);
        writer.U32((uint)Metadata.Length);
        foreach ((string key, string value) in Metadata)
        {
            writer.Text(key);
            writer.Text(value);
        }

        writer.U8((byte)Form);
        if (Form == ContentForm.Inline)
        {
            writer.Blob(Inline.Span);
            return;
        }

        writer.U32((uint)Chunks.Length);
        foreach (ChunkReference chunk in Chunks)
        {
            chunk.Write(ref writer);
        }
    }

    /// <summary>Reads a manifest; the reader fails where it is not one.</summary>
    /// <param name="reader">Stands before it.</param>
    /// <param name="source">All that the reader reads, if that is kept: inline content stays in place then, and is copied else.</param>
    public static ObjectManifest Read(ref WireReader reader, ReadOnlyMemory<byte> source = default)
    {
        long size = reader.I64();
        Digest sha256 = reader.Digest();
        ushort versionsKept = reader.U16();
        string contentType = reader.Text(MaxMetadataBytes);
        int count = reader.Count(MaxMetadataBytes, 4);
        var metadata = ImmutableArray.CreateBuilder<KeyValuePair<string, string>>(count);
        for (int i = 0; i < count; i++)
        {
            metadata.Add(new(reader.Text(MaxMetadataBytes), reader.Text(MaxMetadataBytes)));
        }

        var form = (ContentForm)reader.U8();
        ReadOnlyMemory<byte> inline = default;
        var chunks = ImmutableArray<ChunkReference>.Empty;
        switch (form)
        {
            case ContentForm.Inline:
                ReadOnlySpan<byte> content = reader.Blob(Submission.MaxBytes);
                inline = source.IsEmpty ? content.ToArray() : source[^(content.Length + reader.Remaining)..][..content.Length];
                break;
            case ContentForm.Chunks or ContentForm.ChunkedList:
                chunks = ReadChunks(ref reader);
                break;
            default:
                reader.Fail();
                break;
        }

        var manifest = new ObjectManifest
        {
            Size = size, Sha256 = sha256, VersionsKept = versionsKept, ContentType = contentType, Metadata = metadata.DrainToImmutable(),
            Form = form, Inline = inline, Chunks = chunks,
        };
        if (manifest.Fault() is not null)
        {
            reader.Fail();
        }

        return manifest;
    }

    /// <summary>Why this is no manifest, or null if it is one.</summary>
    public string? Fault()
    {
        if (Form > ContentForm.ChunkedList)
        {
            return $"there is no form {(byte)Form} of content";
        }

        if (VersionsKept is 0 or > MaxVersionsKept)
        {
            return $"a name keeps 1 to {MaxVersionsKept} versions, not {VersionsKept}";
        }

        return FaultOfMetadata() ?? FaultOfContent();
    }

    private string? FaultOfMetadata()
    {
        int bytes = Encoding.UTF8.GetByteCount(ContentType);
        for (int i = 0; i < Metadata.Length; i++)
        {
            (string key, string value) = Metadata[i];
            bytes += Encoding.UTF8.GetByteCount(key) + Encoding.UTF8.GetByteCount(value);
            if (i > 0 && string.CompareOrdinal(Metadata[i - 1].Key, key) >= 0)
            {
                return $"metadata keys are in order, each once; '{key}' is not";
            }
        }

        return bytes <= MaxMetadataBytes ? null : $"content type and metadata have at most {MaxMetadataBytes} bytes, these have {bytes}";
    }

    private string? FaultOfContent()
    {
        long length = Form == ContentForm.Inline ? Inline.Length : 0;
        foreach (ChunkReference chunk in Form == ContentForm.Inline ? [] : Chunks)
        {
            if (chunk.Fault() is { } fault)
            {
                return fault;
            }

            length += chunk.Length;
        }

        // The chunks of a chunked list hold the list, whose own references are not here to be added up.
        bool isRight = Form == ContentForm.ChunkedList ? Size >= 0 : Size == length;
        return isRight ? null : $"the content is said to have {Size} bytes and has {length}";
    }

    private static ImmutableArray<ChunkReference> ReadChunks(ref WireReader reader)
    {
        int count = reader.Count(Submission.MaxBytes / ChunkReference.Size, ChunkReference.Size);
        var chunks = ImmutableArray.CreateBuilder<ChunkReference>(count);
        for (int i = 0; i < count; i++)
        {
            chunks.Add(ChunkReference.Read(ref reader));
        }

        return chunks.DrainToImmutable();
    }
}
