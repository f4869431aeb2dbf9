using System.Buffers.Binary;
using System.Text;

namespace Carillon.Protocols.AtomicMulticast;

/// <summary>
/// The binary forms in which a group's messages travel between clients and gateways (docs/formats/group-streams.md): a preamble, then
/// frames one after the other. Numbers are little-endian.
/// </summary>
public static class GroupStream
{
    /// <summary>Media type of messages that are delivered, and of messages that are sent.</summary>
    public const string MessagesType = "application/vnd.carillon.messages";

    /// <summary>Media type of the answers to messages that were sent.</summary>
    public const string AnswersType = "application/vnd.carillon.answers";

    /// <summary>What a connection is upgraded to for sending: messages one way, answers the other.</summary>
    public const string UpgradeName = "carillon-messages";

    /// <summary>Bytes of a preamble: three letters, and the format's version.</summary>
    public const int PreambleBytes = 4;

    /// <summary>Delivered messages.</summary>
    public static ReadOnlySpan<byte> DeliveredPreamble => "CGM\u0001"u8;

    /// <summary>Messages to send.</summary>
    public static ReadOnlySpan<byte> SentPreamble => "CGP\u0001"u8;

    /// <summary>Answers.</summary>
    public static ReadOnlySpan<byte> AnswersPreamble => "CGA\u0001"u8;
}

/// <summary>
/// What stands before a message's payload, on the way to a group and from it. 4 bytes length of the payload, 8 bytes number (delivered) or
/// settled (sent), 16 bytes session, 8 bytes counter.
/// </summary>
/// <param name="Length">Bytes of the payload, which follows.</param>
/// <param name="Number">The message's number; in a message to send, the sender's settled counter.</param>
/// <param name="Id">Its identity; none: a heartbeat, whose number is the last that was delivered.</param>
public readonly record struct GroupStreamHeader(int Length, ulong Number, MessageId Id)
{
    /// <summary>Bytes of a header.</summary>
    public const int Size = 12 + MessageId.Size;

    /// <summary>True for a frame that only says that the connection is alive.</summary>
    public bool IsHeartbeat => Id.IsNone;

    /// <summary>Writes it.</summary>
    public void CopyTo(Span<byte> into)
    {
        BinaryPrimitives.WriteInt32LittleEndian(into, Length);
        BinaryPrimitives.WriteUInt64LittleEndian(into[4..], Number);
        Id.Session.CopyTo(into[12..]);
        BinaryPrimitives.WriteUInt64LittleEndian(into[28..], Id.Counter);
    }

    /// <summary>Reads <see cref="Size"/> bytes; false where no message is so long, or its identity is only half one.</summary>
    public static bool TryRead(ReadOnlySpan<byte> bytes, out GroupStreamHeader header)
    {
        int length = BinaryPrimitives.ReadInt32LittleEndian(bytes);
        var id = new MessageId(SessionId.From(bytes[12..]), BinaryPrimitives.ReadUInt64LittleEndian(bytes[28..]));
        header = new GroupStreamHeader(length, BinaryPrimitives.ReadUInt64LittleEndian(bytes[4..]), id);
        return length is >= 0 and <= GroupSettings.MaxPayloadBytes
            && id.Session.IsNone == (id.Counter == 0)
            && !(id.IsNone && length > 0);
    }
}

/// <summary>How a message that was sent ended.</summary>
public enum GroupAnswerKind : byte
{
    /// <summary>It stands at the number, for good.</summary>
    Committed = 0,

    /// <summary>It was not taken; the value is after how many milliseconds to try again.</summary>
    Refused = 1,

    /// <summary>Its session was idle for longer than the group's lifetime: the outcome is unknown.</summary>
    Expired = 2,

    /// <summary>No commit was seen in time; it may be committed yet.</summary>
    Unknown = 3,

    /// <summary>What came is no message: nothing behind it was read, and the stream ends here.</summary>
    Malformed = 4,

    /// <summary>Its sender has settled it: the outcome can't be told any more.</summary>
    Settled = 5,

    /// <summary>Another content has its id; it was not taken.</summary>
    Conflict = 6,

    /// <summary>A later message of its session has a number, in a group that keeps senders' order: it gets none, ever.</summary>
    Overtaken = 7,
}

/// <summary>
/// The answer to one message. 1 byte kind, 8 bytes value; for all kinds but <see cref="GroupAnswerKind.Committed"/>, 2 bytes length and so
/// many bytes of UTF-8 that say why.
/// </summary>
/// <param name="Kind">Which end.</param>
/// <param name="Value">The number, or milliseconds; else 0.</param>
/// <param name="Why">In words.</param>
public readonly record struct GroupAnswer(GroupAnswerKind Kind, ulong Value, string Why)
{
    /// <summary>The longest answer in bytes.</summary>
    public const int MaxSize = HeadBytes + 2 + MaxWhyBytes;

    private const int HeadBytes = 9;
    private const int MaxWhyBytes = 1024;

    /// <summary>Writes it; gives how many bytes of at most <see cref="MaxSize"/> it took.</summary>
    public int CopyTo(Span<byte> into)
    {
        into[0] = (byte)Kind;
        BinaryPrimitives.WriteUInt64LittleEndian(into[1..], Value);
        if (Kind == GroupAnswerKind.Committed)
        {
            return HeadBytes;
        }

        Encoding.UTF8.GetEncoder().Convert(Why, into.Slice(HeadBytes + 2, MaxWhyBytes), flush: true, out _, out int bytes, out _);
        BinaryPrimitives.WriteUInt16LittleEndian(into[HeadBytes..], (ushort)bytes);
        return HeadBytes + 2 + bytes;
    }

    /// <summary>Reads one; 0 where more bytes are needed, -1 where it is none, else how many bytes it took.</summary>
    public static int Read(ReadOnlySpan<byte> bytes, out GroupAnswer answer)
    {
        answer = default;
        if (bytes.Length < HeadBytes)
        {
            return 0;
        }

        var kind = (GroupAnswerKind)bytes[0];
        ulong value = BinaryPrimitives.ReadUInt64LittleEndian(bytes[1..]);
        if (kind == GroupAnswerKind.Committed)
        {
            answer = new GroupAnswer(kind, value, "");
            return HeadBytes;
        }

        if (kind > GroupAnswerKind.Overtaken)
        {
            return -1;
        }

        if (bytes.Length < HeadBytes + 2)
        {
            return 0;
        }

        int length = BinaryPrimitives.ReadUInt16LittleEndian(bytes[HeadBytes..]);
        if (length > MaxWhyBytes)
        {
            return -1;
        }

        if (bytes.Length < HeadBytes + 2 + length)
        {
            return 0;
        }

        answer = new GroupAnswer(kind, value, Encoding.UTF8.GetString(bytes.Slice(HeadBytes + 2, length)));
        return HeadBytes + 2 + length;
    }
}
