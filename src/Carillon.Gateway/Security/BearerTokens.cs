using System.Collections.Immutable;
using System.Security.Cryptography;
using System.Text;
using Microsoft.Extensions.Primitives;

namespace Carillon.Gateway.Security;

/// <summary>
/// The tokens that are accepted (RFC 6750), kept as hashes: the time of a comparison tells nothing about a token, and a memory dump
/// has none.
/// </summary>
internal sealed class BearerTokens
{
    /// <summary>Longer ones are refused unread.</summary>
    private const int MaxTokenLength = 4096;

    private const string Scheme = "Bearer ";

    private readonly byte[][] _hashes;

    public BearerTokens(ImmutableArray<string> tokens) =>
        _hashes = [.. tokens.Select(token => SHA256.HashData(Encoding.UTF8.GetBytes(token)))];

    /// <summary>True if an <c>Authorization</c> header brings one of the tokens.</summary>
    public bool Accept(StringValues authorization)
    {
        if (authorization.Count != 1
            || authorization[0] is not { } header || !header.StartsWith(Scheme, StringComparison.OrdinalIgnoreCase))
        {
            return false;
        }

        ReadOnlySpan<char> token = header.AsSpan(Scheme.Length).Trim(' ');
        if (token.Length is 0 or > MaxTokenLength)
        {
            return false;
        }

        Span<byte> bytes = new byte[Encoding.UTF8.GetByteCount(token)];
        Encoding.UTF8.GetBytes(token, bytes);
        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(bytes, hash);

        // All are compared, so that the time does not tell which one came close.
        bool accepted = false;
        foreach (byte[] known in _hashes)
        {
            accepted |= CryptographicOperations.FixedTimeEquals(known, hash);
        }

        return accepted;
    }
}
