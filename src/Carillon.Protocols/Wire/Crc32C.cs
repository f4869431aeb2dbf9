using System.Buffers.Binary;
using System.Numerics;

namespace Carillon.Protocols.Wire;

/// <summary>CRC-32C (Castagnoli, RFC 3720 appendix B.4), on the processor's own instruction where it has one.</summary>
public static class Crc32C
{
    /// <summary>The checksum of some bytes.</summary>
    public static uint Of(ReadOnlySpan<byte> bytes) => ~Add(~0u, bytes);

    /// <summary>Continues a running checksum; begin with <c>~0u</c> and complement the end.</summary>
    public static uint Add(uint crc, ReadOnlySpan<byte> bytes)
    {
        while (bytes.Length >= 8)
        {
            crc = BitOperations.Crc32C(crc, BinaryPrimitives.ReadUInt64LittleEndian(bytes));
            bytes = bytes[8..];
        }

        foreach (byte b in bytes)
        {
            crc = BitOperations.Crc32C(crc, b);
        }

        return crc;
    }
}
