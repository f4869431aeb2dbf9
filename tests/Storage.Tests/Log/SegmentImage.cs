using System.Text;
using Carillon.Protocols.Wire;
using Carillon.Storage.Log;

namespace Carillon.Storage.Tests.Log;

/// <summary>A segment's bytes, composed batch by batch, right or spoiled.</summary>
internal sealed class SegmentImage(long generation, int length = 64 << 10)
{
    public byte[] Bytes { get; } = new byte[length];

    /// <summary>Where the next batch goes.</summary>
    public int Offset { get; private set; }

    /// <summary>Puts a batch of one record. <paramref name="ofGeneration"/>: another generation than the segment's.</summary>
    public SegmentImage Batch(long number, string record, long? ofGeneration = null, long oldest = 1, long? before = null)
    {
        byte[] text = Encoding.UTF8.GetBytes(record);
        Span<byte> place = Bytes.AsSpan(Offset);
        Span<byte> payload = place.Slice(BatchHeader.Size, BatchPayload.Prefix + text.Length);
        BatchPayload.WritePrefix(payload, EntryKind.Whole, text.Length);
        text.CopyTo(payload[BatchPayload.Prefix..]);
        var header = new BatchHeader(
            LogDriver.Disk, ofGeneration ?? generation, number, before ?? number - 1, oldest, payload.Length, Crc32C.Of(payload), 0);
        header.Write(place);
        Offset += header.AlignedBytes;
        return this;
    }

    /// <summary>Leaves blocks as they are.</summary>
    public SegmentImage Skip(int blocks)
    {
        Offset += blocks * BatchHeader.Block;
        return this;
    }

    /// <summary>Flips a bit of the batch put last.</summary>
    public SegmentImage Spoil(int at)
    {
        Bytes[Offset - BatchHeader.Block + at] ^= 0x10;
        return this;
    }
}
