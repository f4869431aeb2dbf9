using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Wire;

namespace Carillon.Storage.Catalogs;

/// <summary>One block of a checkpoint: SHA-256 of its bytes, by which it is stored and found, and their number.</summary>
public readonly record struct CheckpointBlock(ChunkId Id, int Length);

/// <summary>
/// What a catalog says at one number of the feed, as a list of blocks: the same at every server that is there. The digest is over the
/// list, and so over everything.
/// <code>
/// u8 version = 1 │ u64 number │ u32 count │ (id 32 │ u32 length)*
/// </code>
/// </summary>
/// <param name="Number">Everything up to it is applied.</param>
/// <param name="Blocks">The blocks, in their order.</param>
public sealed record CatalogCheckpoint(SequenceNumber Number, ImmutableArray<CheckpointBlock> Blocks)
{
    /// <summary>The longest block, in bytes.</summary>
    public const int MaxBlockBytes = 1 << 20;

    private const byte FormatVersion = 1;
    private const int MaxBlocks = 1 << 24;

    /// <summary>SHA-256 of the list's bytes: equal at all servers, or a state machine is not deterministic.</summary>
    public Digest Digest => Digest.Of(Write());

    /// <summary>Bytes of all blocks.</summary>
    public long Size => Blocks.Sum(b => (long)b.Length);

    /// <summary>The list's bytes.</summary>
    public byte[] Write()
    {
        byte[] bytes = new byte[1 + 8 + 4 + (Blocks.Length * (Digest.Size + 4))];
        var writer = new WireWriter(bytes);
        writer.U8(FormatVersion);
        writer.U64(Number.Value);
        writer.U32((uint)Blocks.Length);
        foreach (CheckpointBlock block in Blocks)
        {
            writer.Chunk(block.Id);
            writer.U32((uint)block.Length);
        }

        return bytes;
    }

    /// <summary>Reads a list.</summary>
    public static bool TryRead(ReadOnlySpan<byte> bytes, [NotNullWhen(true)] out CatalogCheckpoint? checkpoint)
    {
        checkpoint = null;
        var reader = new WireReader(bytes);
        byte version = reader.U8();
        var number = new SequenceNumber(reader.U64());
        int count = reader.Count(MaxBlocks, Digest.Size + 4);
        if (version != FormatVersion || reader.Failed)
        {
            return false;
        }

        var blocks = ImmutableArray.CreateBuilder<CheckpointBlock>(count);
        for (int i = 0; i < count; i++)
        {
            ChunkId id = reader.Chunk();
            uint length = reader.U32();
            if (length is 0 or > MaxBlockBytes)
            {
                return false;
            }

            blocks.Add(new CheckpointBlock(id, (int)length));
        }

        if (reader.Failed || reader.Remaining > 0)
        {
            return false;
        }

        checkpoint = new CatalogCheckpoint(number, blocks.MoveToImmutable());
        return true;
    }
}
