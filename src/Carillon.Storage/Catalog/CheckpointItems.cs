using System.Buffers.Binary;
using System.Collections.Immutable;
using Carillon.Protocols;
using Carillon.Protocols.Wire;

namespace Carillon.Storage.Catalogs;

/// <summary>What a checkpoint is made of, in this order; within a kind in the order of the keys.</summary>
internal enum CheckpointItem : byte
{
    /// <summary>The first, and alone of its kind: what the catalog knows of itself, and the options that the rest depends on.</summary>
    Facts = 1,

    /// <summary>A tag of which a version is kept.</summary>
    Tag = 2,

    /// <summary>A tag without a kept version whose outcome is remembered.</summary>
    Trimmed = 3,

    /// <summary>A key that is remembered.</summary>
    Key = 4,

    /// <summary>A number of the feed.</summary>
    Number = 5,

    /// <summary>The last: nothing is cut off.</summary>
    End = 6,
}

/// <summary>
/// Joins items (<c>u8 kind │ u32 length │ bytes</c>) to blocks. Where a block ends follows from the items near its end, so that what comes
/// or goes elsewhere changes few blocks: behind the first item past <see cref="LeastBytes"/> whose key says so, at each new kind, and else
/// at the greatest length, within an item if need be.
/// </summary>
internal sealed class CheckpointBlocks(Action<ReadOnlyMemory<byte>> sink)
{
    private const int LeastBytes = 256 << 10;

    // One key in 64 ends a block: with items of a few hundred bytes that is soon after the least length.
    private const uint EndMask = 63;

    private readonly byte[] _block = new byte[CatalogCheckpoint.MaxBlockBytes];
    private readonly ImmutableArray<CheckpointBlock>.Builder _blocks = ImmutableArray.CreateBuilder<CheckpointBlock>();
    private int _length;
    private CheckpointItem _kind;

    /// <summary>Adds an item.</summary>
    public void Add(CheckpointItem kind, ReadOnlySpan<byte> key, ReadOnlySpan<byte> bytes)
    {
        if (kind != _kind)
        {
            EndBlock();
            _kind = kind;
        }

        Span<byte> head = stackalloc byte[5];
        head[0] = (byte)kind;
        BinaryPrimitives.WriteInt32LittleEndian(head[1..], bytes.Length);
        Append(head);
        Append(bytes);
        if (_length >= LeastBytes && (Crc32C.Of(key) & EndMask) == 0)
        {
            EndBlock();
        }
    }

    /// <summary>The list of all blocks.</summary>
    public ImmutableArray<CheckpointBlock> End()
    {
        Add(CheckpointItem.End, [], []);
        EndBlock();
        return _blocks.DrainToImmutable();
    }

    private void Append(ReadOnlySpan<byte> bytes)
    {
        while (bytes.Length > 0)
        {
            int part = Math.Min(bytes.Length, _block.Length - _length);
            bytes[..part].CopyTo(_block.AsSpan(_length));
            _length += part;
            bytes = bytes[part..];
            if (_length == _block.Length)
            {
                EndBlock();
            }
        }
    }

    private void EndBlock()
    {
        if (_length > 0)
        {
            ReadOnlyMemory<byte> block = _block.AsMemory(0, _length);
            _blocks.Add(new CheckpointBlock(ChunkId.Of(block.Span), _length));
            sink(block);
            _length = 0;
        }
    }
}

/// <summary>Takes blocks apart into items again.</summary>
internal sealed class CheckpointItemReader(IEnumerator<ReadOnlyMemory<byte>> blocks)
{
    private const int MaxItemBytes = 32 << 20;

    private byte[] _item = [];
    private ReadOnlyMemory<byte> _rest;

    /// <summary>Reads the next item; false where there is none that can be read.</summary>
    public bool TryNext(out CheckpointItem kind, out ReadOnlyMemory<byte> bytes)
    {
        kind = default;
        bytes = default;
        Span<byte> head = stackalloc byte[5];
        if (!Fill(head))
        {
            return false;
        }

        kind = (CheckpointItem)head[0];
        int length = BinaryPrimitives.ReadInt32LittleEndian(head[1..]);
        if (length is < 0 or > MaxItemBytes)
        {
            return false;
        }

        if (_item.Length < length)
        {
            _item = new byte[Math.Max(length, 2 * _item.Length)];
        }

        bytes = _item.AsMemory(0, length);
        return Fill(_item.AsSpan(0, length));
    }

    private bool Fill(Span<byte> into)
    {
        while (into.Length > 0)
        {
            if (_rest.Length == 0)
            {
                if (!blocks.MoveNext())
                {
                    return false;
                }

                _rest = blocks.Current;
                continue;
            }

            int part = Math.Min(into.Length, _rest.Length);
            _rest.Span[..part].CopyTo(into);
            into = into[part..];
            _rest = _rest[part..];
        }

        return true;
    }
}
