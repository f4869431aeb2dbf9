using System.Collections.Immutable;
using System.Globalization;
using System.Security.Cryptography;

namespace Carillon.Runtime.Security;

/// <summary>
/// The cluster's shared secret, 256 random bits, from which the keys that seal datagrams are derived; several while it is being
/// changed, each with a number (its key epoch). The greatest seals, every one opens. Immutable.
/// </summary>
public sealed class ClusterKeys
{
    /// <summary>Bytes of one key.</summary>
    public const int KeySize = 32;

    // During a change there are two; more means that changes are made faster than they spread.
    private const int MaxKeys = 8;

    private readonly ImmutableSortedDictionary<uint, byte[]> _keys;

    private ClusterKeys(ImmutableSortedDictionary<uint, byte[]> keys) => _keys = keys;

    /// <summary>The greatest key epoch: the one that seals.</summary>
    public uint CurrentEpoch => _keys.Keys.Last();

    /// <summary>Draws a first key.</summary>
    public static ClusterKeys Create() => new(ImmutableSortedDictionary<uint, byte[]>.Empty.Add(1, RandomNumberGenerator.GetBytes(KeySize)));

    /// <summary>These keys and a new one under the next number; the oldest is forgotten where there are too many.</summary>
    public ClusterKeys Rotate()
    {
        ImmutableSortedDictionary<uint, byte[]> keys = _keys.Add(CurrentEpoch + 1, RandomNumberGenerator.GetBytes(KeySize));
        return new ClusterKeys(keys.Count > MaxKeys ? keys.Remove(keys.Keys.First()) : keys);
    }

    /// <summary>Derives a key of 256 bits for one purpose (HKDF with SHA-256, RFC 5869). False if that epoch's key is not known.</summary>
    public bool TryDerive(uint epoch, ReadOnlySpan<byte> purpose, Span<byte> key)
    {
        if (!_keys.TryGetValue(epoch, out byte[]? secret))
        {
            return false;
        }

        HKDF.DeriveKey(HashAlgorithmName.SHA256, secret, key, salt: default, info: purpose);
        return true;
    }

    /// <summary>A line per key: its number, a space, 64 hexadecimal digits.</summary>
    internal string ToText() => string.Concat(_keys.Select(pair => string.Create(CultureInfo.InvariantCulture, $"{pair.Key} {Convert.ToHexStringLower(pair.Value)}\n")));

    /// <summary>Reads that form, or says no.</summary>
    internal static ClusterKeys? Parse(string text)
    {
        ImmutableSortedDictionary<uint, byte[]>.Builder keys = ImmutableSortedDictionary.CreateBuilder<uint, byte[]>();
        foreach (string line in text.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
        {
            byte[] key = new byte[KeySize];
            if (line.Split(' ') is not [var number, { Length: KeySize * 2 } digits]
                || !uint.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out uint epoch) || keys.ContainsKey(epoch)
                || Convert.FromHexString(digits, key, out _, out _) != System.Buffers.OperationStatus.Done)
            {
                return null;
            }

            keys.Add(epoch, key);
        }

        return keys.Count is > 0 and <= MaxKeys ? new ClusterKeys(keys.ToImmutable()) : null;
    }
}
