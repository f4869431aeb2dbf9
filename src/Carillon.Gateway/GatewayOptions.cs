using System.Collections.Immutable;
using System.Net;
using System.Security.Cryptography.X509Certificates;
using Carillon.Runtime.Security;

namespace Carillon.Gateway;

/// <summary>What a server's HTTP interface is told at its start.</summary>
public sealed record GatewayOptions
{
    /// <summary>
    /// The address to listen on. Any other than loopback needs tokens (the file <c>tokens</c> in <c>files.secrets</c>), and a
    /// certificate (<c>files.httpCertificate</c>) or <c>http.insecure</c>.
    /// </summary>
    public IPAddress Address { get; init; } = IPAddress.Loopback;

    /// <summary>The port to listen on; 0 lets the system choose one, for tests.</summary>
    public int Port { get; init; } = 7410;

    /// <summary>Bearer tokens that may do everything; asked for when the address is not loopback.</summary>
    public BearerTokens? Tokens { get; init; }

    /// <summary>With its private key: HTTPS (and HTTP/2) is spoken; without, HTTP/1.1 in the clear.</summary>
    public X509Certificate2? Certificate { get; init; }

    /// <summary>True: an address other than loopback may do without TLS; tokens and content can then be read on the way.</summary>
    public bool Insecure { get; init; }

    /// <summary>
    /// Connections at a time; further ones are closed at once. Too low refuses clients, too high lets them use up memory and file handles.
    /// </summary>
    public int MaxConnections { get; init; } = 10_000;

    /// <summary>
    /// Changesets with bodies over 1 MiB that are read at a time; more wait. Each may hold some 60 MB while its JSON is read. Too low makes
    /// writers of large changesets wait for each other, too high lets them use up memory.
    /// </summary>
    public int MaxLargeChangesets { get; init; } = 4;

    /// <summary>
    /// How long requests in progress may go on after a stop is asked for. Too short cuts downloads off, too long keeps a machine from
    /// restarting.
    /// </summary>
    public TimeSpan DrainTimeout { get; init; } = TimeSpan.FromSeconds(20);

    /// <summary>
    /// After how long without a message a subscriber of a group or of the feed is told that the connection is alive. Too short costs
    /// packets, too long lets proxies cut idle connections off, and subscribers notice a dead server late.
    /// </summary>
    public TimeSpan Heartbeat { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>True if every request but <c>/healthz/live</c> must bring a token.</summary>
    public bool RequiresToken => !IPAddress.IsLoopback(Address);

    /// <summary>All that is wrong with these options, one line each.</summary>
    public ImmutableArray<string> Validate()
    {
        var faults = ImmutableArray.CreateBuilder<string>();
        if (Port is < 0 or > 65_535)
        {
            faults.Add($"http.port: {Port} is not 0 to 65535");
        }

        if (RequiresToken && Tokens?.Names.Any() != true)
        {
            faults.Add($"http.address: {Address} is not loopback, so a token is required and none is configured");
        }

        if (RequiresToken && Certificate is null && !Insecure)
        {
            faults.Add($"http.address: {Address} is not loopback, so a certificate is required (or http.insecure, to go without TLS)");
        }

        if (Certificate is { HasPrivateKey: false })
        {
            faults.Add("http.certificate: its private key is missing");
        }

        if (MaxConnections < 1)
        {
            faults.Add($"http.maxConnections: {MaxConnections} is less than 1");
        }

        if (MaxLargeChangesets < 1)
        {
            faults.Add($"http.maxLargeChangesets: {MaxLargeChangesets} is less than 1");
        }

        if (DrainTimeout < TimeSpan.Zero)
        {
            faults.Add($"http.drainTimeout: {DrainTimeout} is negative");
        }

        if (Heartbeat <= TimeSpan.Zero)
        {
            faults.Add($"http.heartbeat: {Heartbeat} is not longer than zero");
        }

        return faults.DrainToImmutable();
    }
}
