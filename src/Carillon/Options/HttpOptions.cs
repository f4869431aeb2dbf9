using System.Net;

namespace Carillon.Options;

/// <summary>Section <c>http</c>: where clients are listened for.</summary>
public sealed record HttpOptions
{
    /// <summary>The address to listen on. Any other than loopback needs tokens, and a certificate or <see cref="Insecure"/>.</summary>
    public IPAddress Address { get; init; } = IPAddress.Loopback;

    /// <summary>True: an address other than loopback may do without TLS; tokens and content can then be read on the way.</summary>
    public bool Insecure { get; init; }
}
