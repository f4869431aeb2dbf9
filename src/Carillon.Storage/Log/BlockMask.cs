using System.Buffers.Binary;

namespace Carillon.Storage.Log;

/// <summary>
/// Recovery looks for headers at the start of every block, and records hold bytes that clients chose: a client could put a forged header
/// into one. So no block inside a batch begins with the header's magic: where one would, the first word of each block
/// is xored with a mask that lets none of them become it. The header says the mask, nearly always zero.
/// </summary>
internal static class BlockMask
{
    private const int Word = sizeof(uint);

    /// <summary>The least mask with which no block of the batch, behind its first, begins with the magic.</summary>
    public static uint Choose(ReadOnlySpan<byte> batch, uint magic = BatchHeader.Magic)
    {
        // Each block excludes one mask, so there is one among the first (blocks + 1).
        for (uint mask = 0; ; mask++)
        {
            if (!HasMagic(batch, mask, magic))
            {
                return mask;
            }
        }
    }

    /// <summary>
    /// Masks, or unmasks, the first word of each block behind the first. A word cut off by the end has zeros behind it, and can't be
    /// the magic.
    /// </summary>
    public static void Apply(Span<byte> batch, uint mask)
    {
        for (int offset = BatchHeader.Block; offset + Word <= batch.Length; offset += BatchHeader.Block)
        {
            Span<byte> word = batch.Slice(offset, Word);
            BinaryPrimitives.WriteUInt32LittleEndian(word, BinaryPrimitives.ReadUInt32LittleEndian(word) ^ mask);
        }
    }

    private static bool HasMagic(ReadOnlySpan<byte> batch, uint mask, uint magic)
    {
        for (int offset = BatchHeader.Block; offset + Word <= batch.Length; offset += BatchHeader.Block)
        {
            if ((BinaryPrimitives.ReadUInt32LittleEndian(batch[offset..]) ^ mask) == magic)
            {
                return true;
            }
        }

        return false;
    }
}
