using System.Collections.Immutable;
using Carillon.Protocols.Wire;

namespace Carillon.Protocols.Replicast;

/// <summary>Types of chunk replication's messages; the second byte of each.</summary>
public enum ChunkMessageType : byte
{
    /// <summary>A put's chunk is durable here.</summary>
    PayloadAck = 1,

    /// <summary>It is not, and why.</summary>
    PayloadNak = 2,

    /// <summary>Asks for a chunk.</summary>
    Request = 3,

    /// <summary>It is not here.</summary>
    NotHere = 4,

    /// <summary>Digests of the rows' chunks that the receiver should hold.</summary>
    RowDigests = 5,

    /// <summary>Rows that differ and whose inventories are wanted, and how many chunks are missing, as far as that is known.</summary>
    RowsDiffer = 6,

    /// <summary>A part of a row: the chunks that sender and receiver should both hold. The parts of a row come in order.</summary>
    Inventory = 7,

    /// <summary>Asks which of some chunks are here, verified by reading them.</summary>
    HoldQuestion = 8,

    /// <summary>Those that are.</summary>
    HoldAnswer = 9,
}

/// <summary>Why a put's chunk was not stored.</summary>
public enum NakReason : byte
{
    /// <summary>No space.</summary>
    Full = 0,

    /// <summary>The bytes that came were not the chunk's.</summary>
    Corrupt = 1,

    /// <summary>The store takes no writes at present.</summary>
    Refused = 2,
}

/// <summary>One row in a comparison: the server's rank in it, and the digest of what it should hold.</summary>
public readonly record struct RowDigest(byte Row, byte Rank, SetDigest Digest)
{
    /// <summary>Bytes on the wire.</summary>
    public const int Size = 2 + SetDigest.Size;
}

/// <summary>One chunk of an inventory.</summary>
public readonly record struct InventoryItem(ChunkId Chunk, uint Length, byte Replicas)
{
    /// <summary>Bytes on the wire.</summary>
    public const int Size = ChunkId.Size + 5;
}

/// <summary>
/// Any message of chunk replication; which fields it has depends on its type. Frame: <c>u8 version = 1 │ u8 type │ u64 number │ fields</c>.
/// PayloadAck, NotHere: none. PayloadNak: <c>u8 reason</c>. Request: <c>chunk</c>. RowDigests: <c>u32 count │ row digests</c>. RowsDiffer:
/// <c>u32 missing │ u32 count │ u8 rows</c>. Inventory: <c>u8 row │ u8 last │ digest │ u32 count │ items</c>. HoldQuestion, HoldAnswer:
/// <c>u32 count │ chunks</c>.
/// </summary>
public sealed record ChunkMessage(ChunkMessageType Type, ulong Number)
{
    /// <summary>The most items of one message.</summary>
    public const int MaxItems = 1024;

    private const byte Version = 1;

    public NakReason Reason { get; init; }

    public uint Missing { get; init; }

    public byte Row { get; init; }

    /// <summary>True for the last part of a row's inventory.</summary>
    public bool IsLast { get; init; }

    /// <summary>The digest of the row that an inventory lists.</summary>
    public SetDigest Digest { get; init; }

    public ImmutableArray<RowDigest> Digests { get; init; } = [];

    public ImmutableArray<byte> Rows { get; init; } = [];

    public ImmutableArray<InventoryItem> Items { get; init; } = [];

    public ImmutableArray<ChunkId> Chunks { get; init; } = [];

    private int Size => 10 + Type switch
    {
        ChunkMessageType.PayloadNak => 1,
        ChunkMessageType.Request => ChunkId.Size,
        ChunkMessageType.RowDigests => 4 + (Digests.Length * RowDigest.Size),
        ChunkMessageType.RowsDiffer => 8 + Rows.Length,
        ChunkMessageType.Inventory => 6 + SetDigest.Size + (Items.Length * InventoryItem.Size),
        ChunkMessageType.HoldQuestion or ChunkMessageType.HoldAnswer => 4 + (Chunks.Length * ChunkId.Size),
        _ => 0,
    };

    /// <summary>The message's bytes.</summary>
    public byte[] Encode()
    {
        byte[] bytes = new byte[Size];
        var writer = new WireWriter(bytes);
        writer.U8(Version);
        writer.U8((byte)Type);
        writer.U64(Number);
        switch (Type)
        {
            case ChunkMessageType.PayloadNak:
                writer.U8((byte)Reason);
                break;
            case ChunkMessageType.Request:
                writer.Chunk(Chunks[0]);
                break;
            case ChunkMessageType.RowDigests:
                WriteDigests(ref writer);
                break;
            case ChunkMessageType.RowsDiffer:
                writer.U32(Missing);
                writer.U32((uint)Rows.Length);
                writer.Bytes(Rows.AsSpan());
                break;
            case ChunkMessageType.Inventory:
                WriteItems(ref writer);
                break;
            case ChunkMessageType.HoldQuestion or ChunkMessageType.HoldAnswer:
                writer.U32((uint)Chunks.Length);
                foreach (ChunkId chunk in Chunks)
                {
                    writer.Chunk(chunk);
                }

                break;
        }

        Invariant.That(writer.Position == bytes.Length);
        return bytes;
    }

    /// <summary>Reads a message; false for bytes that are none.</summary>
    public static bool TryRead(ReadOnlySpan<byte> bytes, out ChunkMessage message)
    {
        var reader = new WireReader(bytes);
        byte version = reader.U8();
        var type = (ChunkMessageType)reader.U8();
        message = new ChunkMessage(type, reader.U64());
        if (version != Version || type is < ChunkMessageType.PayloadAck or > ChunkMessageType.HoldAnswer)
        {
            return false;
        }

        message = type switch
        {
            ChunkMessageType.PayloadNak => message with { Reason = (NakReason)reader.U8() },
            ChunkMessageType.Request => message with { Chunks = [reader.Chunk()] },
            ChunkMessageType.RowDigests => message with { Digests = ReadDigests(ref reader) },
            ChunkMessageType.RowsDiffer => message with { Missing = reader.U32(), Rows = ReadRows(ref reader) },
            ChunkMessageType.Inventory => message with
            {
                Row = reader.U8(), IsLast = reader.Bool(), Digest = SetDigest.Read(ref reader), Items = ReadItems(ref reader),
            },
            ChunkMessageType.HoldQuestion or ChunkMessageType.HoldAnswer => message with { Chunks = ReadChunks(ref reader) },
            _ => message,
        };
        return !reader.Failed && message.Reason <= NakReason.Refused;
    }

    private void WriteDigests(ref WireWriter writer)
    {
        writer.U32((uint)Digests.Length);
        foreach (RowDigest digest in Digests)
        {
            writer.U8(digest.Row);
            writer.U8(digest.Rank);
            digest.Digest.Write(ref writer);
        }
    }

    private void WriteItems(ref WireWriter writer)
    {
        writer.U8(Row);
        writer.Bool(IsLast);
        Digest.Write(ref writer);
        writer.U32((uint)Items.Length);
        foreach (InventoryItem item in Items)
        {
            writer.Chunk(item.Chunk);
            writer.U32(item.Length);
            writer.U8(item.Replicas);
        }
    }

    private static ImmutableArray<RowDigest> ReadDigests(ref WireReader reader)
    {
        int count = reader.Count(MaxItems, RowDigest.Size);
        var digests = ImmutableArray.CreateBuilder<RowDigest>(count);
        for (int i = 0; i < count; i++)
        {
            digests.Add(new RowDigest(reader.U8(), reader.U8(), SetDigest.Read(ref reader)));
        }

        return digests.DrainToImmutable();
    }

    private static ImmutableArray<byte> ReadRows(ref WireReader reader)
    {
        int count = reader.Count(IChunkInventory.Rows, 1);
        return [.. reader.Bytes(count)];
    }

    private static ImmutableArray<InventoryItem> ReadItems(ref WireReader reader)
    {
        int count = reader.Count(MaxItems, InventoryItem.Size);
        var items = ImmutableArray.CreateBuilder<InventoryItem>(count);
        for (int i = 0; i < count; i++)
        {
            var item = new InventoryItem(reader.Chunk(), reader.U32(), reader.U8());
            if (item.Replicas is 0 or > IChunkInventory.MaxReplicas)
            {
                reader.Fail();
            }

            items.Add(item);
        }

        return items.DrainToImmutable();
    }

    private static ImmutableArray<ChunkId> ReadChunks(ref WireReader reader)
    {
        int count = reader.Count(MaxItems, ChunkId.Size);
        var chunks = ImmutableArray.CreateBuilder<ChunkId>(count);
        for (int i = 0; i < count; i++)
        {
            chunks.Add(reader.Chunk());
        }

        return chunks.DrainToImmutable();
    }
}
