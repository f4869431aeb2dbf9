using Carillon.Runtime.Security;
using Microsoft.Extensions.Primitives;

namespace Carillon.Gateway.Security;

/// <summary>The <c>Authorization</c> header with a bearer token (RFC 6750).</summary>
internal static class BearerHeader
{
    private const string Scheme = "Bearer ";

    /// <summary>The name of the token that the header brings, or null where it brings none that is accepted.</summary>
    public static string? Find(StringValues authorization, BearerTokens tokens) =>
        authorization.Count == 1 && authorization[0] is { } header && header.StartsWith(Scheme, StringComparison.OrdinalIgnoreCase)
            ? tokens.Find(header[Scheme.Length..].Trim(' ')) : null;
}
