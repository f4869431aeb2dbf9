using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Wire;
using Carillon.Storage.Catalogs;

namespace Carillon.Node.Feeds;

/// <summary>
/// A block of a checkpoint is asked for, or is here: <c>u8 version = 1 │ bool answer │ u64 number │ u32 index │ blob bytes</c>. Index 0 is
/// the list, whose digest was advertised; the others are blocks, from 1. An answer without bytes: it is not there (any more).
/// </summary>
internal readonly record struct CheckpointMessage(bool IsAnswer, SequenceNumber Number, uint Index, ReadOnlyMemory<byte> Bytes)
{
    private const byte Version = 1;

    // A list of so many blocks is that of a checkpoint of some 200 GiB.
    private const int MaxBytes = 16 << 20;

    public byte[] Encode()
    {
        byte[] bytes = new byte[1 + 1 + 8 + 4 + WireSize.Blob(Bytes.Length)];
        var writer = new WireWriter(bytes);
        writer.U8(Version);
        writer.Bool(IsAnswer);
        writer.U64(Number.Value);
        writer.U32(Index);
        writer.Blob(Bytes.Span);
        return bytes;
    }

    public static bool TryRead(ReadOnlySpan<byte> payload, out CheckpointMessage message)
    {
        var reader = new WireReader(payload);
        byte version = reader.U8();
        message = new CheckpointMessage(
            reader.Bool(), new SequenceNumber(reader.U64()), reader.U32(),
            reader.Blob(Math.Max(MaxBytes, CatalogCheckpoint.MaxBlockBytes)).ToArray());
        return !reader.Failed && version == Version;
    }
}
