using System.Collections.Immutable;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.Wire;

namespace Carillon.Protocols.IndexMerge;

/// <summary>Types of index merge's messages; the second byte of each.</summary>
public enum MergeMessageType : byte
{
    /// <summary>"My digest of this range is": asks for a comparison, or for the items behind a tag.</summary>
    Compare = 1,

    /// <summary>The digests are equal.</summary>
    Same = 2,

    /// <summary>They differ: the digests of the range's parts that have items.</summary>
    Parts = 3,

    /// <summary>They differ in a leaf, or in a range of few items: its items, in order, behind the tag that was asked for.</summary>
    Items = 4,

    /// <summary>Asks for the records of tags.</summary>
    Fetch = 5,

    /// <summary>One record.</summary>
    Record = 6,

    /// <summary>A record that was asked for is not kept here any more.</summary>
    Gone = 7,

    /// <summary>Records that were asked for and did not fit the answer: they are to be asked for again.</summary>
    Later = 8,
}

/// <summary>Any message of index merge.</summary>
/// <remarks>
/// <code>
/// u8 version = 1 │ u8 type │ u64 run │ u8 level │ u64 slot │ then, by type:
/// Compare            u64 count, u128 sum of the digest │ tag after
/// Parts              u32 count │ (u64 slot, digest) each, one level below
/// Items              tag after │ bool more │ u32 count │ (tag, u8 outcome, text key, tag successor) each
/// Fetch, Gone, Later u32 count │ tags
/// Record             blob submission
/// </code>
/// </remarks>
public sealed record MergeMessage(MergeMessageType Type, ulong Run, MergeRange Range)
{
    /// <summary>The most items of one message.</summary>
    public const int MaxItems = 512;

    private const byte Version = 1;

    // A stamp, an empty name, a nonce.
    private const int LeastTagSize = 17;

    // Two tags, an outcome, an empty text.
    private const int LeastItemSize = (2 * LeastTagSize) + 1 + 2;

    public MergeDigest Digest { get; init; }

    public ImmutableArray<(MergeRange Range, MergeDigest Digest)> Parts { get; init; } = [];

    /// <summary>The tag behind which items are asked for, or begin; none for the first.</summary>
    public Tag After { get; init; }

    /// <summary>True if there may be more items behind these, to be asked for.</summary>
    public bool More { get; init; }

    public ImmutableArray<MergeItem> Items { get; init; } = [];

    public ImmutableArray<Tag> Tags { get; init; } = [];

    public ReadOnlyMemory<byte> Record { get; init; }

    private int Size => 2 + 8 + 1 + 8 + Type switch
    {
        MergeMessageType.Compare => MergeDigest.Size + WireSize.Tag(After),
        MergeMessageType.Parts => 4 + (Parts.Length * (8 + MergeDigest.Size)),
        MergeMessageType.Items => WireSize.Tag(After) + 5
            + Items.Sum(i => WireSize.Tag(i.Tag) + 1 + WireSize.Text(i.Key) + WireSize.Tag(i.Successor)),
        MergeMessageType.Fetch or MergeMessageType.Gone or MergeMessageType.Later => 4 + Tags.Sum(WireSize.Tag),
        MergeMessageType.Record => WireSize.Blob(Record.Length),
        _ => 0,
    };

    /// <summary>The message's bytes.</summary>
    public byte[] Encode()
    {
        byte[] bytes = new byte[Size];
        var writer = new WireWriter(bytes);
        writer.U8(Version);
        writer.U8((byte)Type);
        writer.U64(Run);
        writer.U8((byte)Range.Level);
        writer.U64(Range.Slot);
        switch (Type)
        {
            case MergeMessageType.Compare:
                Digest.Write(ref writer);
                writer.Tag(After);
                break;
            case MergeMessageType.Parts:
                writer.U32((uint)Parts.Length);
                foreach ((MergeRange range, MergeDigest digest) in Parts)
                {
                    writer.U64(range.Slot);
                    digest.Write(ref writer);
                }

                break;
            case MergeMessageType.Items:
                WriteItems(ref writer);
                break;
            case MergeMessageType.Fetch or MergeMessageType.Gone or MergeMessageType.Later:
                writer.U32((uint)Tags.Length);
                foreach (Tag tag in Tags)
                {
                    writer.Tag(tag);
                }

                break;
            case MergeMessageType.Record:
                writer.Blob(Record.Span);
                break;
        }

        Invariant.That(writer.Position == bytes.Length);
        return bytes;
    }

    /// <summary>Reads a message; false for bytes that are none.</summary>
    public static bool TryRead(ReadOnlySpan<byte> bytes, out MergeMessage message)
    {
        var reader = new WireReader(bytes);
        byte version = reader.U8();
        var type = (MergeMessageType)reader.U8();
        ulong run = reader.U64();
        bool inTree = MergeRange.TryCreate(reader.U8(), reader.U64(), out MergeRange range);
        message = new MergeMessage(type, run, range);
        if (reader.Failed || version != Version || !inTree || type is < MergeMessageType.Compare or > MergeMessageType.Later)
        {
            return false;
        }

        switch (type)
        {
            case MergeMessageType.Compare:
                message = message with { Digest = MergeDigest.Read(ref reader), After = reader.Tag() };
                break;
            case MergeMessageType.Parts:
                message = message with { Parts = ReadParts(ref reader, range) };
                break;
            case MergeMessageType.Items:
                message = message with { After = reader.Tag(), More = reader.Bool(), Items = ReadItems(ref reader) };
                break;
            case MergeMessageType.Fetch or MergeMessageType.Gone or MergeMessageType.Later:
                message = message with { Tags = ReadTags(ref reader) };
                break;
            case MergeMessageType.Record:
                message = message with { Record = reader.Blob(Submission.MaxBytes).ToArray() };
                break;
        }

        return !reader.Failed;
    }

    private void WriteItems(ref WireWriter writer)
    {
        writer.Tag(After);
        writer.Bool(More);
        writer.U32((uint)Items.Length);
        foreach (MergeItem item in Items)
        {
            writer.Tag(item.Tag);
            writer.U8((byte)item.Outcome);
            writer.Text(item.Key);
            writer.Tag(item.Successor);
        }
    }

    private static ImmutableArray<(MergeRange Range, MergeDigest Digest)> ReadParts(ref WireReader reader, MergeRange parent)
    {
        int count = reader.Count(MergeRange.MaxChildren, 8 + MergeDigest.Size);
        var parts = ImmutableArray.CreateBuilder<(MergeRange, MergeDigest)>(count);
        for (int i = 0; i < count; i++)
        {
            if (!MergeRange.TryCreate(parent.Level + 1, reader.U64(), out MergeRange part) || !parent.Contains(part))
            {
                reader.Fail();
            }

            parts.Add((part, MergeDigest.Read(ref reader)));
        }

        return parts.DrainToImmutable();
    }

    private static ImmutableArray<MergeItem> ReadItems(ref WireReader reader)
    {
        int count = reader.Count(MaxItems, LeastItemSize);
        var items = ImmutableArray.CreateBuilder<MergeItem>(count);
        for (int i = 0; i < count; i++)
        {
            var item = new MergeItem(reader.Tag(), (TagOutcome)reader.U8(), reader.Text(Submission.MaxKeyBytes), reader.Tag());
            if (item.Outcome is not (TagOutcome.Accepted or TagOutcome.Rejected) || item.Tag.IsNone)
            {
                reader.Fail();
            }

            items.Add(item);
        }

        return items.DrainToImmutable();
    }

    private static ImmutableArray<Tag> ReadTags(ref WireReader reader)
    {
        int count = reader.Count(MaxItems, LeastTagSize);
        var tags = ImmutableArray.CreateBuilder<Tag>(count);
        for (int i = 0; i < count; i++)
        {
            tags.Add(reader.Tag());
        }

        return tags.DrainToImmutable();
    }
}
