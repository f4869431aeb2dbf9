using System.Buffers.Binary;
using Carillon.Node;

namespace Carillon.Simulator.World;

/// <summary>
/// What the next version of the program may send to this one (INT-15): every message with further fields behind the known ones, and
/// messages of a protocol that is not known here. A cluster in which one server speaks so must work like any other.
/// </summary>
internal static class NewerBuild
{
    private const byte UnknownProtocol = 200;

    private static ReadOnlySpan<byte> FurtherFields => [0x01, 0xFF, 0x00, 0x7F, 0x80];

    /// <summary>A tunnel message, which is a run of entries, as a newer build would send it.</summary>
    public static byte[] Extend(ReadOnlySpan<byte> message)
    {
        var extended = new List<byte>(message.Length + 64);
        Append(extended, UnknownProtocol, FurtherFields, default);
        while (Envelope.TryTake(ref message, out Node.Protocol protocol, out ReadOnlySpan<byte> payload, out _))
        {
            byte[] known = payload.ToArray();
            if (protocol == Node.Protocol.Membership)
            {
                SetFrameLength(known);
            }

            Append(extended, (byte)protocol, known, FurtherFields);
        }

        return [.. extended];
    }

    /// <summary>A datagram's message: membership's begins with its length, the other cores' with zero.</summary>
    public static byte[] ExtendDatagram(ReadOnlySpan<byte> message)
    {
        byte[] known = message.ToArray();
        if (BinaryPrimitives.ReadUInt16LittleEndian(known) != 0)
        {
            SetFrameLength(known);
        }

        return [.. known, .. FurtherFields];
    }

    /// <summary>A chunk's header.</summary>
    public static byte[] ExtendHeader(ReadOnlySpan<byte> header) => [.. header, .. FurtherFields];

    // Membership's frames say how long they are, fields that were added included.
    private static void SetFrameLength(byte[] frame) =>
        BinaryPrimitives.WriteUInt16LittleEndian(frame, (ushort)(frame.Length + FurtherFields.Length));

    private static void Append(List<byte> message, byte protocol, ReadOnlySpan<byte> payload, ReadOnlySpan<byte> further)
    {
        Span<byte> length = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(length, (uint)(payload.Length + further.Length + 1));
        message.AddRange(length);
        message.Add(protocol);
        message.AddRange(payload);
        message.AddRange(further);
    }
}
