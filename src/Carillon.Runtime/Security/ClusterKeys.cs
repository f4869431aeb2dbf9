using System.Buffers;
using System.Collections.Immutable;
using System.Globalization;
using System.Security.Cryptography;
using Carillon.Protocols.Wire;

namespace Carillon.Runtime.Security;

/// <summary>
/// The cluster's shared secrets as a server holds them: the one that seals its datagrams, and while the secret is being changed a
/// second one that is accepted too. Which of the two seals is a matter of its own, since everybody must accept a key before
/// anybody seals with it. Immutable.
/// </summary>
public sealed class ClusterKeys
{
    private readonly ImmutableArray<(uint Epoch, byte[] Secret)> _keys;

    private ClusterKeys(ImmutableArray<(uint Epoch, byte[] Secret)> keys)
    {
        _keys = keys;
        All = [.. keys.Select(key => new ClusterKey(key.Epoch, key.Secret))];
    }

    /// <summary>The key that seals.</summary>
    public ClusterKey Sealing => All[0];

    /// <summary>All keys that are accepted, at most two.</summary>
    public ImmutableArray<ClusterKey> All { get; }

    /// <summary>Draws a first key.</summary>
    public static ClusterKeys Create() => new([(1, Draw())]);

    /// <summary>First step of a change: the sealing key, and a new one that is accepted.</summary>
    public ClusterKeys Announce() => new([_keys[0], (_keys.Max(key => key.Epoch) + 1, Draw())]);

    /// <summary>Second step, once all servers have made the first: the newest key seals, the former is accepted.</summary>
    public ClusterKeys Promote() => new([.. _keys.OrderByDescending(key => key.Epoch)]);

    /// <summary>Last step, once all servers have made the second: the sealing key alone.</summary>
    public ClusterKeys Retire() => new([_keys[0]]);

    /// <summary>A line per key, the sealing one first: its epoch, a space, 64 hexadecimal digits.</summary>
    internal string ToText() =>
        string.Concat(_keys.Select(
            key => string.Create(CultureInfo.InvariantCulture, $"{key.Epoch} {Convert.ToHexStringLower(key.Secret)}\n")));

    /// <summary>Reads that form, or says no.</summary>
    internal static ClusterKeys? Parse(string text)
    {
        List<(uint Epoch, byte[] Secret)> keys = [];
        foreach (string line in text.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
        {
            byte[] secret = new byte[ClusterKey.SecretSize];
            if (line.Split(' ') is not [var number, { Length: ClusterKey.SecretSize * 2 } digits]
                || !uint.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out uint epoch)
                    || keys.Exists(key => key.Epoch == epoch)
                || Convert.FromHexString(digits, secret, out _, out _) != OperationStatus.Done)
            {
                return null;
            }

            keys.Add((epoch, secret));
        }

        return keys.Count is 1 or 2 ? new ClusterKeys([.. keys]) : null;
    }

    private static byte[] Draw() => RandomNumberGenerator.GetBytes(ClusterKey.SecretSize);
}
