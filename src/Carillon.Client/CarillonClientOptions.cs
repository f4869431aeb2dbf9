using System.Collections.Immutable;

namespace Carillon.Client;

/// <summary>How a <see cref="CarillonClient"/> reaches a cluster.</summary>
public sealed record CarillonClientOptions
{
    /// <summary>The most servers that a client knows: as many as a cluster can have.</summary>
    public const int MaxServers = 64;

    /// <summary>The servers' HTTP addresses, in the order of preference; any one will do, the next is tried when one fails.</summary>
    public ImmutableArray<Uri> Servers { get; init; } = [new Uri("http://127.0.0.1:7410")];

    /// <summary>
    /// Whether the cluster's other servers are learned from the first that answers, and tried behind those that are given. Off: only the
    /// given ones are ever asked, as where they stand for other addresses than the cluster knows.
    /// </summary>
    public bool LearnServers { get; init; } = true;

    /// <summary>Bearer token, or null. Never logged.</summary>
    public string? Token { get; init; }

    /// <summary>PEM file of the authorities that may vouch for the servers; null for the system's.</summary>
    public string? CertificateAuthorityFile { get; init; }

    /// <summary>
    /// An operation that makes no progress for this long ends. Too low: slow disks look like losses; too high: a dead
    /// cluster is noticed late.
    /// </summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>
    /// While other servers are left to try: how long one may be silent before the next is asked. Above the servers' own push and
    /// exchange timeouts (2 s + 5 s), so that their answer is heard; too high: a stopped server holds its clients up.
    /// </summary>
    public TimeSpan AttemptTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>
    /// While other servers are left: how long a download may stall in the middle before it moves. Too low: it wanders under
    /// load.
    /// </summary>
    public TimeSpan StallTimeout { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>How long one connection attempt may take. Above one lost SYN (1 s).</summary>
    public TimeSpan ConnectTimeout { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>Bytes of one buffer of a transfer; a download uses two. Too low: system calls dominate; too high: memory.</summary>
    public int BufferBytes { get; init; } = 512 << 10;

    /// <summary>All faults, each in words.</summary>
    public IEnumerable<string> Validate()
    {
        if (Servers.IsDefaultOrEmpty)
        {
            yield return "no server is given";
        }
        else if (Servers.Length > MaxServers)
        {
            yield return $"{Servers.Length} servers are given, more than {MaxServers}";
        }

        foreach (Uri server in Servers.IsDefault ? [] : Servers)
        {
            if (!server.IsAbsoluteUri || server.Scheme is not ("http" or "https"))
            {
                yield return $"'{server}' is not a server's address: use http://HOST:PORT or https://HOST:PORT";
            }
            else if (server.AbsolutePath.Length > 1 || server.Query.Length > 0)
            {
                yield return $"'{server}' has a path; a server's address is scheme, host and port only";
            }
        }

        if (Timeout <= TimeSpan.Zero || AttemptTimeout <= TimeSpan.Zero || StallTimeout <= TimeSpan.Zero || ConnectTimeout <= TimeSpan.Zero)
        {
            yield return "timeouts are longer than zero";
        }

        if (BufferBytes is < 4096 or > 64 << 20)
        {
            yield return "a transfer's buffer has 4 KiB to 64 MiB";
        }

        if (Token is not null && Token.AsSpan().ContainsAny("\r\n "))
        {
            yield return "the token has a space or a line break in it";
        }
    }
}
