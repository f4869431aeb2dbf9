using System.Collections.Immutable;
using Carillon.Protocols;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.Wire;

namespace Carillon.Node;

/// <summary>
/// The node's own messages: a server that rebuilds what it lost asks which submissions are open elsewhere, and which keys are fenced.
/// Frame: <c>u8 version = 1 │ u8 type: 1 question, 2 answer │ u64 number │ u32 count │ tags │ u32 count │ fences │ u64 epoch</c>, a fence
/// being <c>text key │ i64 until, wall clock ms</c>, the epoch the greatest that was promised to a sequencer of the catalog's feed; a
/// question has none of these.
/// </summary>
public readonly record struct OpenTagsMessage(bool IsQuestion, ulong Number, ImmutableArray<Tag> Tags,
    ImmutableArray<KeyValuePair<string, long>> Fences)
{
    /// <summary>The greatest epoch of the feed's sequencer that was promised there.</summary>
    public ulong Epoch { get; init; }

    /// <summary>The most tags of an answer; a server with more open ones answers when they are fewer.</summary>
    public const int MaxTags = 100_000;

    /// <summary>The most fences of an answer.</summary>
    public const int MaxFences = 50_000;

    private const byte Version = 1;

    /// <summary>The message's bytes.</summary>
    public byte[] Encode()
    {
        int size = 2 + 8 + 4 + 4 + 8;
        foreach (Tag tag in Tags)
        {
            size += WireSize.Tag(tag);
        }

        foreach ((string key, _) in Fences)
        {
            size += WireSize.Text(key) + 8;
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

        writer.U32((uint)Fences.Length);
        foreach ((string key, long until) in Fences)
        {
            writer.Text(key);
            writer.I64(until);
        }

        writer.U64(Epoch);
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

        int fenceCount = reader.Count(MaxFences, 10);
        var fences = ImmutableArray.CreateBuilder<KeyValuePair<string, long>>(fenceCount);
        for (int i = 0; i < fenceCount; i++)
        {
            fences.Add(new(reader.Text(Submission.MaxKeyBytes), reader.I64()));
        }

        message = new OpenTagsMessage(type == 1, number, tags.DrainToImmutable(), fences.DrainToImmutable()) { Epoch = reader.U64() };
        return !reader.Failed && version == Version && type is (1 or 2);
    }
}
