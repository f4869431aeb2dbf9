using System.Buffers;
using System.Globalization;
using System.Text.Json;
using System.Text.Unicode;
using Carillon.Gateway.Json;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Runtime.Groups;

namespace Carillon.Gateway.Groups;

/// <summary>How a subscriber gets its messages. One object serves one subscription.</summary>
internal abstract class MessageFormat
{
    /// <summary>The media type.</summary>
    public abstract string ContentType { get; }

    /// <summary>The form that the request asks for; lines of JSON where it asks for none that is known.</summary>
    /// <param name="accept">What the request accepts.</param>
    /// <param name="group">The group's identity.</param>
    public static MessageFormat Of(string accept, string group) =>
        accept.Contains(GroupStream.MessagesType, StringComparison.Ordinal) ? new BinaryFormat()
        : accept.Contains("text/event-stream", StringComparison.Ordinal) ? new EventFormat(group) : new LineFormat();

    /// <summary>What stands in front of all messages; gives its bytes.</summary>
    public virtual int Begin(IBufferWriter<byte> output) => 0;

    /// <summary>
    /// Writes messages from the first on, at least one and no more than about <paramref name="enough"/> bytes; gives how many.
    /// </summary>
    public abstract int Write(IBufferWriter<byte> output, ReadOnlySpan<GroupMessage> run, int enough, out int bytes);

    /// <summary>What says that the connection is alive; gives its bytes, 0 where the form has nothing for it.</summary>
    public virtual int Heartbeat(IBufferWriter<byte> output, SequenceNumber last) => 0;

    /// <summary>docs/formats/group-streams.md: messages are packed into one piece of the output as long as it has room.</summary>
    private sealed class BinaryFormat : MessageFormat
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

        public override int Heartbeat(IBufferWriter<byte> output, SequenceNumber last)
        {
            new GroupStreamHeader(0, last.Value, default).CopyTo(output.GetSpan(GroupStreamHeader.Size));
            output.Advance(GroupStreamHeader.Size);
            return GroupStreamHeader.Size;
        }
    }

    /// <summary>One JSON object a line.</summary>
    private class LineFormat : MessageFormat
    {
        private readonly ArrayBufferWriter<byte> _json = new();
        private Utf8JsonWriter? _writer;

        public override string ContentType => "application/jsonl";

        public override int Write(IBufferWriter<byte> output, ReadOnlySpan<GroupMessage> run, int enough, out int bytes)
        {
            bytes = 0;
            int written = 0;
            while (written < run.Length && bytes < enough)
            {
                bytes += WriteOne(output, run[written]);
                written++;
            }

            return written;
        }

        /// <summary>Writes one message in its place.</summary>
        protected virtual int WriteOne(IBufferWriter<byte> output, in GroupMessage message)
        {
            ReadOnlySpan<byte> json = Json(message);
            output.Write(json);
            output.Write("\n"u8);
            return json.Length + 1;
        }

        /// <summary>The message as an object, valid until the next one.</summary>
        protected ReadOnlySpan<byte> Json(in GroupMessage message)
        {
            _json.ResetWrittenCount();
            _writer ??= new Utf8JsonWriter(_json, JsonBody.Options);
            _writer.Reset();
            _writer.WriteStartObject();
            _writer.WriteNumber("sequence", message.Number.Value);
            _writer.WriteString("messageId", message.Id.ToString());
            _writer.WriteString("sender", message.Id.Session.ToString());
            if (Utf8.IsValid(message.Payload.Span))
            {
                _writer.WriteString("payload", message.Payload.Span);
            }
            else
            {
                _writer.WriteBase64String("payloadBase64", message.Payload.Span);
            }

            _writer.WriteEndObject();
            _writer.Flush();
            return _json.WrittenSpan;
        }
    }

    /// <summary>Server-sent events: group and number are the event's id, so a browser resumes by itself, and in no other group.</summary>
    private sealed class EventFormat(string group) : LineFormat
    {
        public override string ContentType => "text/event-stream";

        public override int Heartbeat(IBufferWriter<byte> output, SequenceNumber last)
        {
            output.Write(":\n\n"u8);
            return 3;
        }

        protected override int WriteOne(IBufferWriter<byte> output, in GroupMessage message)
        {
            ReadOnlySpan<byte> json = Json(message);
            Span<byte> head = stackalloc byte[64];
            Utf8.TryWrite(head, CultureInfo.InvariantCulture, $"id: {group}-{message.Number.Value}\ndata: ", out int length);
            output.Write(head[..length]);
            output.Write(json);
            output.Write("\n\n"u8);
            return length + json.Length + 2;
        }
    }
}
