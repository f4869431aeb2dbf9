using System.Collections.Immutable;
using Carillon.Protocols;
using Carillon.Protocols.Wire;

namespace Carillon.Node;

/// <summary>
/// The node's own messages for <c>explain</c>: which of these chunks are on your disk? Frame: <c>u8 version = 1 │ u8 type: 3 question,
/// 4 answer │ u64 number │ u32 count │ chunks</c>; an answer has those that are there, as its index says: nothing is read back for it.
/// </summary>
public readonly record struct CopiesMessage(bool IsQuestion, ulong Number, ImmutableArray<ChunkId> Chunks)
{
    /// <summary>The most chunks of a message.</summary>
    public const int MaxChunks = 1000;

    private const byte Version = 1;
    private const byte Question = 3;
    private const byte Answer = 4;

    /// <summary>True if these are the bytes of such a message, as far as their head tells.</summary>
    public static bool IsOne(ReadOnlySpan<byte> bytes) => bytes.Length > 1 && bytes[1] is (Question or Answer);

    /// <summary>The message's bytes.</summary>
    public byte[] Encode()
    {
        byte[] bytes = new byte[2 + 8 + 4 + (Chunks.Length * ChunkId.Size)];
        var writer = new WireWriter(bytes);
        writer.U8(Version);
        writer.U8(IsQuestion ? Question : Answer);
        writer.U64(Number);
        writer.U32((uint)Chunks.Length);
        foreach (ChunkId chunk in Chunks)
        {
            writer.Chunk(chunk);
        }

        return bytes;
    }

    /// <summary>Reads a message; false for bytes that are none.</summary>
    public static bool TryRead(ReadOnlySpan<byte> bytes, out CopiesMessage message)
    {
        var reader = new WireReader(bytes);
        byte version = reader.U8();
        byte type = reader.U8();
        ulong number = reader.U64();
        int count = reader.Count(MaxChunks, ChunkId.Size);
        var chunks = ImmutableArray.CreateBuilder<ChunkId>(count);
        for (int i = 0; i < count; i++)
        {
            chunks.Add(reader.Chunk());
        }

        message = new CopiesMessage(type == Question, number, chunks.DrainToImmutable());
        return !reader.Failed && version == Version && type is (Question or Answer);
    }
}
