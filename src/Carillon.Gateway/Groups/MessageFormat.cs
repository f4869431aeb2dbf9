using System.Buffers;
using System.Text.Json;
using System.Text.Unicode;
using Carillon.Gateway.Streams;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Runtime.Groups;

namespace Carillon.Gateway.Groups;

/// <summary>How a subscriber gets its messages.</summary>
internal static class MessageFormat
{
    private static readonly BinaryFormat Binary = new();
    private static readonly LineFormat<GroupMessage, MessageJson> Lines = new();

    /// <summary>The form that the request asks for; lines of JSON where it asks for none that is known.</summary>
    /// <param name="accept">What the request accepts.</param>
    /// <param name="group">The group's identity, which stands in events' ids: so a browser resumes in no other group.</param>
    public static StreamFormat<GroupMessage> Of(string accept, string group) =>
        accept.Contains(GroupStream.MessagesType, StringComparison.Ordinal) ? Binary
        : accept.Contains("text/event-stream", StringComparison.Ordinal) ? new EventFormat<GroupMessage, MessageJson>(group + "-") : Lines;
}

/// <summary>A message as JSON.</summary>
internal readonly struct MessageJson : IStreamJson<GroupMessage>
{
    public static SequenceNumber NumberOf(in GroupMessage entry) => entry.Number;

    public static int ObjectsOf(in GroupMessage entry) => 1;

    public static void Write(Utf8JsonWriter writer, in GroupMessage entry, int index)
    {
        writer.WriteStartObject();
        writer.WriteNumber("sequence", entry.Number.Value);
        writer.WriteString("messageId", entry.Id.ToString());
        writer.WriteString("sender", entry.Id.Session.ToString());
        if (Utf8.IsValid(entry.Payload.Span))
        {
            writer.WriteString("payload", entry.Payload.Span);
        }
        else
        {
            writer.WriteBase64String("payloadBase64", entry.Payload.Span);
        }

        writer.WriteEndObject();
    }
}

/// <summary>docs/formats/group-streams.md: messages are packed into one piece of the output as long as it has room.</summary>
internal sealed class BinaryFormat : StreamFormat<GroupMessage>
{
    /// <summary>A piece of the output: large writes, and still many of them in the response's buffer.</summary>
    private const int PieceBytes = 32 << 10;

    public override string ContentType => GroupStream.MessagesType;

    public override int Begin(IBufferWriter<byte> output)
    {
        output.Write(GroupStream.DeliveredPreamble);
        return GroupStream.PreambleBytes;
    }

    public override int Write(IBufferWriter<byte> output, ReadOnlySpan<GroupMessage> run, int enough, out int bytes)
    {
        Span<byte> piece = output.GetSpan(Math.Max(PieceBytes, GroupStreamHeader.Size + run[0].Payload.Length));
        bytes = 0;
        int written = 0;
        while (written < run.Length)
        {
            ref readonly GroupMessage message = ref run[written];
            Span<byte> room = piece[bytes..];
            int length = message.Payload.Length;
            if (room.Length < GroupStreamHeader.Size + length)
            {
                break;
            }

            new GroupStreamHeader(length, message.Number.Value, message.Id).CopyTo(room);
            message.Payload.Span.CopyTo(room[GroupStreamHeader.Size..]);
            bytes += GroupStreamHeader.Size + length;
            written++;
        }

        output.Advance(bytes);
        return written;
    }

    public override int Heartbeat(IBufferWriter<byte> output, SequenceNumber position)
    {
        new GroupStreamHeader(0, position.Value, default).CopyTo(output.GetSpan(GroupStreamHeader.Size));
        output.Advance(GroupStreamHeader.Size);
        return GroupStreamHeader.Size;
    }
}
