using Carillon.Protocols.Wire;

namespace Carillon.Protocols.Replicast;

/// <summary>Why a chunk is sent.</summary>
public enum TransferPurpose : byte
{
    /// <summary>For a put: to be stored under the tag's put-intent, and acknowledged.</summary>
    Put = 0,

    /// <summary>In answer to a request: for a reader, or to be stored if it is missing there.</summary>
    Get = 1,
}

/// <summary>
/// What goes before a chunk's bytes on the bulk stream:
/// <c>u8 version = 1 │ u8 purpose │ u64 transfer │ chunk 32 │ u32 length │ u8 replicas │ tag</c>. What a newer writer added behind is
/// passed over.
/// </summary>
public readonly record struct ChunkTransfer(TransferPurpose Purpose, ulong Transfer, ChunkId Chunk, uint Length, byte Replicas, Tag Intent)
{
    private const byte Version = 1;

    /// <summary>Bytes of the header.</summary>
    public int Size => 2 + 8 + ChunkId.Size + 4 + 1 + WireSize.Tag(Intent);

    /// <summary>The header's bytes.</summary>
    public byte[] Encode()
    {
        byte[] bytes = new byte[Size];
        var writer = new WireWriter(bytes);
        writer.U8(Version);
        writer.U8((byte)Purpose);
        writer.U64(Transfer);
        writer.Chunk(Chunk);
        writer.U32(Length);
        writer.U8(Replicas);
        writer.Tag(Intent);
        return bytes;
    }

    public static bool TryRead(ReadOnlySpan<byte> bytes, out ChunkTransfer transfer)
    {
        var reader = new WireReader(bytes);
        byte version = reader.U8();
        transfer = new ChunkTransfer((TransferPurpose)reader.U8(), reader.U64(), reader.Chunk(), reader.U32(), reader.U8(), reader.Tag());
        return !reader.Failed && version == Version && transfer.Purpose <= TransferPurpose.Get
            && transfer.Length <= Submissions.ObjectManifest.MaxChunkLength && transfer.Replicas is >= 1 and <= IChunkInventory.MaxReplicas;
    }

    /// <summary>
    /// True if these are the bytes that the header speaks of; asked before a node hears of the chunk, so nothing else is ever stored
    /// (C5).
    /// </summary>
    public bool Verify(ReadOnlySpan<byte> body) =>
        SeededBug.Is("chunk-ack-before-hash-check") || ((uint)body.Length == Length && ChunkId.Of(body) == Chunk);
}
