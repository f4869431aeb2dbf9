using System.Numerics;
using Carillon.Protocols.Wire;

namespace Carillon.Simulator.World;

/// <summary>
/// 64 bits over everything that happened in a run, in order: two runs of one seed must end with the same ones. Not cryptographic; each step
/// is a rotation, an exclusive or and a multiplication by an odd constant, so that order and value both count.
/// </summary>
internal sealed class TraceDigest
{
    // 2^64 divided by the golden ratio, made odd (Knuth, TAOCP 6.4).
    private const ulong Multiplier = 0x9E3779B97F4A7C15;

    /// <summary>The digest so far.</summary>
    public ulong Value { get; private set; } = Multiplier;

    /// <summary>Adds a number.</summary>
    public void Add(ulong word) => Value = (BitOperations.RotateLeft(Value, 23) ^ word) * Multiplier;

    /// <summary>Adds a number.</summary>
    public void Add(long word) => Add((ulong)word);

    /// <summary>Adds bytes, by their length and checksum.</summary>
    public void Add(ReadOnlySpan<byte> bytes) => Add(((ulong)bytes.Length << 32) | Crc32C.Of(bytes));

    /// <summary>Adds a text, character by character.</summary>
    public void Add(string text)
    {
        ulong folded = (ulong)text.Length;
        foreach (char c in text)
        {
            folded = (folded ^ c) * Multiplier;
        }

        Add(folded);
    }
}
