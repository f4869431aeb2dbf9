using System.Text;
using Carillon.Protocols.Primacy;
using Carillon.Protocols.Wire;

namespace Carillon.Protocols.AtomicMulticast;

/// <summary>A run of numbers.</summary>
public readonly record struct NumberRange(ulong First, uint Count);

/// <summary>An assignment as a commit server holds it. The epoch is <see cref="Committed"/> where it is known to be committed.</summary>
public readonly record struct HeldAssignment(ulong Number, Epoch Epoch, Assignment Assignment)
{
    /// <summary>Above every epoch: no later one can change it.</summary>
    public static readonly Epoch Committed = new(ulong.MaxValue);
}

/// <summary>A message that is asked for, with its number where that is known (0: not).</summary>
public readonly record struct WantedMessage(MessageId Id, ulong Number);

/// <summary>A checkpoint: state after all messages up to its number. <c>default</c> is none.</summary>
/// <param name="Number">The greatest number that it covers.</param>
/// <param name="Size">Its bytes.</param>
/// <param name="Digest">Digest of its blocks' digests (<see cref="CheckpointBlocks"/>).</param>
public readonly record struct CheckpointMark(SequenceNumber Number, ulong Size, Digest Digest)
{
    /// <summary>Bytes on the wire.</summary>
    public const int EncodedSize = 8 + 8 + Digest.Size;

    /// <summary>True for <c>default</c>.</summary>
    public bool IsNone => Number.IsNone;
}

/// <summary>How a message stands that a sender sent, where it is not simply on its way.</summary>
public enum SendVerdict : byte
{
    /// <summary>It stands at the number; 0 where that is forgotten, since the sender had settled it.</summary>
    Numbered = 0,

    /// <summary>Its session was idle for longer than the group's lifetime: the outcome is unknown.</summary>
    Expired = 1,

    /// <summary>Another content has its id: at the number, for good; or, where that is 0, on its way.</summary>
    Conflict = 2,

    /// <summary>No room: again after a while.</summary>
    Busy = 3,

    /// <summary>A later message of its sender has a number, in a group that keeps their order: it gets none, ever.</summary>
    Overtaken = 4,
}

/// <summary>A data server's word on a message.</summary>
public readonly record struct SendAnswer(MessageId Id, SendVerdict Verdict, ulong Number);

/// <summary>A message of a group: <c>u8 version = 1 │ u8 type │ u8 length, group │ fields</c> (docs/formats/group-messages.md). What a
/// newer
/// writer added behind is passed over.</summary>
public interface IGroupMessage
{
    /// <summary>Its type.</summary>
    GroupMessageType Type { get; }

    /// <summary>Bytes of the fields.</summary>
    int Size { get; }

    /// <summary>Writes the fields.</summary>
    void Write(ref WireWriter writer);
}

/// <summary>Encoding of messages, and the fields that they share.</summary>
public static class GroupCodec
{
    /// <summary>The version that this program writes, and the newest that it reads.</summary>
    public const byte Version = 1;

    /// <summary>The most items of a list in one message.</summary>
    public const int MaxItems = 16_384;

    /// <summary>A message's bytes.</summary>
    public static byte[] Encode<T>(GroupName group, in T message)
        where T : IGroupMessage
    {
        byte[] bytes = GC.AllocateUninitializedArray<byte>(3 + group.Name.Length + message.Size);
        var writer = new WireWriter(bytes);
        writer.U8(Version);
        writer.U8((byte)message.Type);
        writer.U8((byte)group.Name.Length);
        foreach (char c in group.Name)
        {
            writer.U8((byte)c);
        }

        message.Write(ref writer);
        Invariant.That(writer.Position == bytes.Length);
        return bytes;
    }

    /// <summary>Reads version, type and group; false for bytes that are none of ours.</summary>
    public static bool TryReadHead(ref WireReader reader, out GroupMessageType type, out GroupName group)
    {
        byte version = reader.U8();
        type = (GroupMessageType)reader.U8();
        ReadOnlySpan<byte> name = reader.Bytes(reader.U8());
        group = default;
        Span<char> text = stackalloc char[GroupName.MaxLength];
        if (reader.Failed || version != Version || type is < GroupMessageType.Data or > GroupMessageType.NumberAnswer
            || name.Length > GroupName.MaxLength)
        {
            return false;
        }

        for (int i = 0; i < name.Length; i++)
        {
            text[i] = (char)name[i];
        }

        return GroupName.TryParse(text[..name.Length], out group);
    }

    /// <summary>The same where the group is known: false also for bytes of another one.</summary>
    public static bool TryReadHead(ref WireReader reader, GroupName expected, out GroupMessageType type)
    {
        byte version = reader.U8();
        type = (GroupMessageType)reader.U8();
        ReadOnlySpan<byte> name = reader.Bytes(reader.U8());
        return !reader.Failed && version == Version && type is >= GroupMessageType.Data and <= GroupMessageType.NumberAnswer
            && Ascii.Equals(name, expected.Name);
    }

    internal static void Message(this ref WireWriter writer, MessageId id)
    {
        Span<byte> session = stackalloc byte[SessionId.Size];
        id.Session.CopyTo(session);
        writer.Bytes(session);
        writer.U64(id.Counter);
    }

    internal static MessageId MessageOrNone(this ref WireReader reader)
    {
        ReadOnlySpan<byte> session = reader.Bytes(SessionId.Size);
        return new MessageId(reader.Failed ? default : SessionId.From(session), reader.U64());
    }

    internal static MessageId Message(this ref WireReader reader)
    {
        MessageId id = reader.MessageOrNone();
        if (id.IsNone || id.Counter == 0)
        {
            reader.Fail();
        }

        return id;
    }

    internal static void Assignment(this ref WireWriter writer, in Assignment assignment)
    {
        writer.Message(assignment.Id);
        writer.Digest(assignment.Hash);
        writer.U64(assignment.Settled);
    }

    internal static Assignment Assignment(this ref WireReader reader)
    {
        var assignment = new Assignment(reader.MessageOrNone(), reader.Digest(), reader.U64());

        // A no-op has one form, so that equal values have equal bytes.
        if (assignment.IsNoOp && assignment != default)
        {
            reader.Fail();
        }

        return assignment;
    }

    internal static void Assignments(this ref WireWriter writer, ReadOnlySpan<Assignment> run)
    {
        writer.U32((uint)run.Length);
        foreach (ref readonly Assignment assignment in run)
        {
            writer.Assignment(assignment);
        }
    }

    internal static int SizeOf(ReadOnlyMemory<Assignment> run) => 4 + (run.Length * AtomicMulticast.Assignment.Size);

    internal static Assignment[] Assignments(this ref WireReader reader)
    {
        int count = reader.Count(MaxItems, AtomicMulticast.Assignment.Size);
        Assignment[] run = count == 0 ? [] : new Assignment[count];
        for (int i = 0; i < count; i++)
        {
            run[i] = reader.Assignment();
        }

        return run;
    }

    internal static void Ranges(this ref WireWriter writer, ReadOnlySpan<NumberRange> ranges)
    {
        writer.U32((uint)ranges.Length);
        foreach (NumberRange range in ranges)
        {
            writer.U64(range.First);
            writer.U32(range.Count);
        }
    }

    internal static NumberRange[] Ranges(this ref WireReader reader)
    {
        int count = reader.Count(MaxItems, 12);
        NumberRange[] ranges = count == 0 ? [] : new NumberRange[count];
        for (int i = 0; i < count; i++)
        {
            ranges[i] = new NumberRange(reader.U64(), reader.U32());
        }

        return ranges;
    }

    internal static void Mark(this ref WireWriter writer, in CheckpointMark mark)
    {
        writer.U64(mark.Number.Value);
        writer.U64(mark.Size);
        writer.Digest(mark.Digest);
    }

    internal static CheckpointMark Mark(this ref WireReader reader) => new(new SequenceNumber(reader.U64()), reader.U64(), reader.Digest());

    internal static void Epoch(this ref WireWriter writer, Epoch epoch) => writer.U64(epoch.Value);

    internal static Epoch Epoch(this ref WireReader reader) => new(reader.U64());
}
