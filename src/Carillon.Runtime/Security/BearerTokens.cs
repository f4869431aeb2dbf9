using System.Buffers.Text;
using System.Collections.Immutable;
using System.Security.Cryptography;
using System.Text;
using Carillon.Protocols;

namespace Carillon.Runtime.Security;

/// <summary>
/// The bearer tokens that a server takes, by name. It keeps their SHA-256 only: a token is 256 random bits, so there is nothing
/// to guess and no need of a slow hash or a key (one that changes would void every token). Immutable.
/// </summary>
public sealed class BearerTokens
{
    /// <summary>The file in a server's directory.</summary>
    public const string File = "tokens";

    private const string Prefix = "carillon_";
    private const int RandomBytes = 32;
    private const int MaxTokens = 10_000;

    // Longer than any token: what is longer is not worth hashing.
    private const int MaxPresented = 512;

    private readonly ImmutableArray<Entry> _entries;

    private BearerTokens(ImmutableArray<Entry> entries) => _entries = entries;

    /// <summary>No tokens: nobody gets in.</summary>
    public static BearerTokens None { get; } = new([]);

    /// <summary>The names, in the order in which they were added.</summary>
    public IEnumerable<string> Names => _entries.Select(entry => entry.Name);

    /// <summary>Draws a new token.</summary>
    public static string Generate() => Prefix + Base64Url.EncodeToString(RandomNumberGenerator.GetBytes(RandomBytes));

    /// <summary>These tokens and one more; one of the same name is replaced.</summary>
    /// <param name="name">Letters, digits, '-', '_' and '.', for logs and for taking it back.</param>
    /// <param name="token">The token itself.</param>
    public BearerTokens With(string name, string token)
    {
        Invariant.That(IsName(name));
        return new BearerTokens(Without(name)._entries.Add(new Entry(name, Hash(token))));
    }

    /// <summary>These tokens without the one of that name.</summary>
    public BearerTokens Without(string name) => new(_entries.RemoveAll(entry => entry.Name == name));

    /// <summary>The name of a token that somebody shows, or null. It takes the same time whichever it is and how much of it is
    /// right.</summary>
    public string? Find(string presented)
    {
        if (presented.Length is 0 or > MaxPresented)
        {
            return null;
        }

        byte[] hash = Hash(presented);
        string? found = null;
        foreach (Entry entry in _entries)
        {
            if (CryptographicOperations.FixedTimeEquals(hash, entry.Hash))
            {
                found = entry.Name;
            }
        }

        return found;
    }

    /// <summary>Writes a line per token (name, space, 64 hexadecimal digits), mode 0600.</summary>
    public void Save(string directory) =>
        SecretFile.Write(Path.Combine(directory, File),
            string.Concat(_entries.Select(entry => $"{entry.Name} {Convert.ToHexStringLower(entry.Hash)}\n")));

    /// <summary>Reads what <see cref="Save"/> wrote.</summary>
    /// <exception cref="SecurityFileException">Missing, open to others, or damaged.</exception>
    public static BearerTokens Load(string directory)
    {
        string path = Path.Combine(directory, File);
        ImmutableArray<Entry>.Builder entries = ImmutableArray.CreateBuilder<Entry>();
        foreach (string line in SecretFile.Read(path).Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
        {
            byte[] hash = new byte[SHA256.HashSizeInBytes];
            if (line.Split(' ') is not [var name, { Length: SHA256.HashSizeInBytes * 2 } digits] || !IsName(name)
                || entries.Count == MaxTokens
                || Convert.FromHexString(digits, hash, out _, out _) != System.Buffers.OperationStatus.Done)
            {
                throw new SecurityFileException($"{path} is damaged: each line is a name and 64 hexadecimal digits.");
            }

            entries.Add(new Entry(name, hash));
        }

        return new BearerTokens(entries.ToImmutable());
    }

    private static bool IsName(string name) =>
        name.Length is > 0 and <= 64 && name.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.');

    private static byte[] Hash(string token) => SHA256.HashData(Encoding.UTF8.GetBytes("carillon bearer token\n" + token));

    private sealed record Entry(string Name, byte[] Hash);
}
