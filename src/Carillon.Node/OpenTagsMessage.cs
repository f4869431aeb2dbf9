using System.Collections.Immutable;
using Carillon.Protocols;
using Carillon.Protocols.Wire;

namespace Carillon.Node;

/// <summary>
/// The node's own messages: a server that rebuilds its catalog asks which submissions are open elsewhere. Frame:
/// <c>u8 version = 1 │ u8 type: 1 question, 2 answer │ u64 number │ u32 count │ tags</c>; a question has none.
/// </summary>
public readonly record struct OpenTagsMessage(bool IsQuestion, ulong Number, ImmutableArray<Tag> Tags)
{
    /// <summary>The most tags of an answer; a server with more open ones answers when they are fewer.</summary>
    public const int MaxTags = 100_000;

    private const byte Version = 1;

    /// <summary>The message's bytes.</summary>
    public byte[] Encode()
    {
        int size = 2 + 8 + 4;
        foreach (Tag tag in Tags)
        {
            size += WireSize.Tag(tag);
        }

        byte[] bytes = new byte[size];
        var writer = new WireWriter(bytes);
        writer.U8(Version);
        writer.U8(IsQuestion ? (byte)1 : (byte)2);
        writer.U64(Number);
        writer.U32((uint)Tags.Length);
        foreach (Tag tag in Tags)
        {
            writer.Tag(tag);
        }

        return bytes;
    }

    public static bool TryRead(ReadOnlySpan<byte> bytes, out OpenTagsMessage message)
    {
        var reader = new WireReader(bytes);
        byte version = reader.U8();
        byte type = reader.U8();
        ulong number = reader.U64();
        int count = reader.Count(MaxTags, 17);
        var tags = ImmutableArray.CreateBuilder<Tag>(count);
        for (int i = 0; i < count; i++)
        {
            tags.Add(reader.Tag());
        }

        message = new OpenTagsMessage(type == 1, number, tags.DrainToImmutable());
        return !reader.Failed && version == Version && type is (1 or 2);
    }
}
