using System.Buffers.Binary;
using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;

namespace Carillon.Storage.Groups;

/// <summary>
/// What follows a batch's header: a descriptor per message, then their payloads one behind the other, so that any message of a batch is
/// found without looking at those before it (docs/formats/message-archive.md).
/// <code>
///  0  message id (24)   24  hash (32)   56  settled (8)   64  logical timestamp (8)
/// 72  where its payload ends, counted from the first payload's start (4)      76  kind (1)   77  zero (3)
/// </code>
/// </summary>
internal static class BatchBody
{
    /// <summary>Bytes of a descriptor.</summary>
    public const int DescriptorSize = 80;

    private const int HashAt = MessageId.Size;
    private const int SettledAt = HashAt + Digest.Size;
    private const int TimestampAt = SettledAt + 8;
    private const int EndAt = TimestampAt + 8;
    private const int KindAt = EndAt + 4;

    /// <summary>Bytes that a message takes.</summary>
    public static int SizeOf(in CommittedMessage message) => DescriptorSize + message.Payload.Length;

    /// <summary>Writes a batch's body.</summary>
    public static void Write(Span<byte> into, ReadOnlySpan<CommittedMessage> messages)
    {
        Span<byte> payloads = into[(messages.Length * DescriptorSize)..];
        int end = 0;
        for (int i = 0; i < messages.Length; i++)
        {
            ref readonly CommittedMessage message = ref messages[i];
            message.Payload.Span.CopyTo(payloads[end..]);
            end += message.Payload.Length;
            Span<byte> descriptor = into.Slice(i * DescriptorSize, DescriptorSize);
            message.Id.Session.CopyTo(descriptor);
            BinaryPrimitives.WriteUInt64LittleEndian(descriptor[SessionId.Size..], message.Id.Counter);
            message.Hash.Write(descriptor[HashAt..]);
            BinaryPrimitives.WriteUInt64LittleEndian(descriptor[SettledAt..], message.Settled);
            BinaryPrimitives.WriteUInt64LittleEndian(descriptor[TimestampAt..], message.Timestamp);
            BinaryPrimitives.WriteInt32LittleEndian(descriptor[EndAt..], end);
            BinaryPrimitives.WriteInt32LittleEndian(descriptor[KindAt..], (int)message.Kind);
        }
    }

    /// <summary>True if a body says of itself what its header says: then every message in it can be read.</summary>
    public static bool IsWellFormed(ReadOnlySpan<byte> body, int count, int payloadBytes)
    {
        int before = 0;
        for (int i = 0; i < count; i++)
        {
            ReadOnlySpan<byte> descriptor = body.Slice(i * DescriptorSize, DescriptorSize);
            int end = BinaryPrimitives.ReadInt32LittleEndian(descriptor[EndAt..]);
            int kind = BinaryPrimitives.ReadInt32LittleEndian(descriptor[KindAt..]);
            if (end < before || kind is < (int)CommittedKind.Message or > (int)CommittedKind.Duplicate)
            {
                return false;
            }

            before = end;
        }

        return before == payloadBytes;
    }

    /// <summary>Reads one message of a well-formed body.</summary>
    public static CommittedMessage Read(ReadOnlyMemory<byte> body, int count, int index)
    {
        ReadOnlySpan<byte> descriptor = body.Span.Slice(index * DescriptorSize, DescriptorSize);
        int end = BinaryPrimitives.ReadInt32LittleEndian(descriptor[EndAt..]);
        int start = index == 0 ? 0 : BinaryPrimitives.ReadInt32LittleEndian(body.Span[(((index - 1) * DescriptorSize) + EndAt)..]);
        return new CommittedMessage(
            (CommittedKind)descriptor[KindAt],
            new MessageId(SessionId.From(descriptor), BinaryPrimitives.ReadUInt64LittleEndian(descriptor[SessionId.Size..])),
            Digest.Read(descriptor[HashAt..]),
            BinaryPrimitives.ReadUInt64LittleEndian(descriptor[SettledAt..]),
            BinaryPrimitives.ReadUInt64LittleEndian(descriptor[TimestampAt..]),
            body.Slice((count * DescriptorSize) + start, end - start));
    }
}
