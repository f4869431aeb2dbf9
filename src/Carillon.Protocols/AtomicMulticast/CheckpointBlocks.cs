namespace Carillon.Protocols.AtomicMulticast;

/// <summary>How a checkpoint's bytes are cut into blocks, each of which can be verified by itself: block 0 is the list of the digests of
/// the
/// others, and the digest of that list is the checkpoint's.</summary>
public static class CheckpointBlocks
{
    /// <summary>Bytes of a block.</summary>
    public const int BlockBytes = 64 << 10;

    /// <summary>The most bytes of the list, so of a checkpoint that is fetched in this way 2 GiB.</summary>
    public const int MaxBlockBytes = 1 << 20;

    /// <summary>Blocks beside the list.</summary>
    public static uint Count(ulong size) => (uint)((size + BlockBytes - 1) / BlockBytes);

    /// <summary>Block 0.</summary>
    public static byte[] List(ReadOnlySpan<byte> bytes)
    {
        byte[] list = new byte[Count((ulong)bytes.Length) * Digest.Size];
        for (int i = 0; i * BlockBytes < bytes.Length; i++)
        {
            ReadOnlySpan<byte> block = bytes.Slice(i * BlockBytes, Math.Min(BlockBytes, bytes.Length - (i * BlockBytes)));
            Digest.Of(block).Write(list.AsSpan(i * Digest.Size));
        }

        return list;
    }

    /// <summary>What is reported and advertised of a checkpoint.</summary>
    public static CheckpointMark Mark(SequenceNumber number, ReadOnlySpan<byte> bytes) =>
        new(number, (ulong)bytes.Length, Digest.Of(List(bytes)));

    /// <summary>A block; nothing where there is none.</summary>
    public static ReadOnlyMemory<byte> Block(ReadOnlyMemory<byte> bytes, uint index)
    {
        if (index == 0)
        {
            return List(bytes.Span);
        }

        long first = (long)(index - 1) * BlockBytes;
        return first >= bytes.Length ? default : bytes.Slice((int)first, (int)Math.Min(BlockBytes, bytes.Length - first));
    }
}

/// <summary>A checkpoint on its way here: blocks from any servers, in any order, each verified, kept over the death of who sent
/// it.</summary>
internal sealed class CheckpointFetch(CheckpointMark mark)
{
    private const int AtOnce = 16;

    private byte[]? _list;
    private byte[]? _bytes;
    private bool[] _have = [];
    private uint _left = uint.MaxValue;

    public CheckpointMark Mark => mark;

    /// <summary>All bytes, once all are there.</summary>
    public byte[]? Bytes => _left == 0 ? _bytes : null;

    /// <summary>Takes a block if it is one of this checkpoint.</summary>
    public bool Add(uint index, ReadOnlyMemory<byte> block)
    {
        if (index == 0)
        {
            if (_list is not null || Digest.Of(block.Span) != mark.Digest
                || block.Length != CheckpointBlocks.Count(mark.Size) * Digest.Size)
            {
                return false;
            }

            _list = block.ToArray();
            _bytes = new byte[mark.Size];
            _have = new bool[CheckpointBlocks.Count(mark.Size)];
            _left = (uint)_have.Length;
            return true;
        }

        if (_list is null || index > _have.Length || _have[index - 1])
        {
            return false;
        }

        long first = (long)(index - 1) * CheckpointBlocks.BlockBytes;
        if (block.Length != Math.Min(CheckpointBlocks.BlockBytes, _bytes!.Length - first)
            || Digest.Of(block.Span) != Digest.Read(_list.AsSpan((int)(index - 1) * Digest.Size)))
        {
            return false;
        }

        block.Span.CopyTo(_bytes.AsSpan((int)first));
        _have[index - 1] = true;
        _left--;
        return true;
    }

    /// <summary>The first run of blocks that are missing.</summary>
    public BlockQueryMessage Next(int skip)
    {
        if (_list is null)
        {
            return new BlockQueryMessage(mark.Number.Value, 0, 1);
        }

        int first = 0;
        for (int left = skip; first < _have.Length; first++)
        {
            if (!_have[first] && left-- == 0)
            {
                break;
            }
        }

        int end = first;
        while (end < _have.Length && end - first < AtOnce && !_have[end])
        {
            end++;
        }

        return new BlockQueryMessage(mark.Number.Value, (uint)first + 1, (uint)Math.Max(0, end - first));
    }
}
