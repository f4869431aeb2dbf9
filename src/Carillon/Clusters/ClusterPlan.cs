using System.Collections.Immutable;
using System.Globalization;
using System.Net;
using System.Security.Cryptography;
using Carillon.CommandLine;
using Carillon.Options;
using Carillon.Protocols;
using Carillon.Protocols.Cluster;

namespace Carillon.Clusters;

/// <summary>A cluster that is to be made: its name, and its servers with fresh disk ids.</summary>
internal sealed record ClusterPlan(string Name, ImmutableArray<ServerRecord> Servers)
{
    private const string Form = "use --server NAME=HOST[:PORT][,tunnel=PORT][,datagrams=PORT][,domain=NAME]";

    /// <summary>A plan from <c>NAME=HOST[:PORT]</c> each.</summary>
    /// <exception cref="UsageException">One of them is not right.</exception>
    public static ClusterPlan Of(string name, IEnumerable<string> servers)
    {
        var plan = new ClusterPlan(name, [.. servers.Select(Parse)]);
        var options = new ClusterOptions { Name = name, Servers = plan.Servers };
        return options.Validate().FirstOrDefault() is { } fault ? throw new UsageException(fault) : plan;
    }

    /// <summary>A plan of servers on this machine: HTTP on port, port + 10, port + 20, …</summary>
    public static ClusterPlan OnLoopback(string name, int count, int port) =>
        Of(name, Enumerable.Range(0, count)
            .Select(i => string.Create(CultureInfo.InvariantCulture, $"s{i + 1}=127.0.0.1:{port + (10 * i)}")));

    /// <summary>Reads one server.</summary>
    internal static ServerRecord Parse(string text)
    {
        string[] parts = text.Split(',');
        int equals = parts[0].IndexOf('=');
        if (equals <= 0 || !NodeId.TryParse(parts[0].AsSpan(0, equals), out NodeId name))
        {
            throw new UsageException($"--server {text}: names have 1-{NodeId.MaxLength} of a-z 0-9 -; {Form}");
        }

        (string host, int http) = HostAndPort(parts[0][(equals + 1)..], text);
        var record = new ServerRecord
        {
            Name = name,
            Disk = new DiskId(new UInt128(Random64(), Random64())),
            Host = host,
            HttpPort = http,
            TunnelPort = Extra(parts, "tunnel", text) is { } tunnel ? Port(tunnel, text) : http + 1,
            DatagramPort = Extra(parts, "datagrams", text) is { } datagrams ? Port(datagrams, text) : http + 2,
            FailureDomain = Extra(parts, "domain", text) ?? "",
        };
        return record.DatagramPort <= 65535 && record.TunnelPort <= 65535
            ? record
            : throw new UsageException($"--server {text}: its ports go beyond 65535");
    }

    private static (string Host, int Port) HostAndPort(string text, string whole)
    {
        int colon = text.LastIndexOf(':');
        bool isBareAddress = IPAddress.TryParse(text, out IPAddress? address) && !text.StartsWith('[');
        bool hasPort = colon >= 0 && !isBareAddress && text.AsSpan(colon).IndexOf(']') < 0;
        string host = isBareAddress ? address!.ToString() : (hasPort ? text[..colon] : text).Trim('[', ']');
        if (Uri.CheckHostName(host) == UriHostNameType.Unknown)
        {
            throw new UsageException($"--server {whole}: '{host}' is not a host name or address; {Form}");
        }

        return (host, hasPort ? Port(text[(colon + 1)..], whole) : ServerRecordJson.DefaultHttpPort);
    }

    private static string? Extra(string[] parts, string key, string whole)
    {
        string? found = null;
        foreach (string part in parts.Skip(1))
        {
            int equals = part.IndexOf('=');
            string name = equals < 0 ? part : part[..equals];
            if (name is not ("tunnel" or "datagrams" or "domain") || equals < 0)
            {
                throw new UsageException($"--server {whole}: '{part}' is not known; {Form}");
            }

            found = name == key ? part[(equals + 1)..] : found;
        }

        return found;
    }

    private static int Port(string text, string whole) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int port) && port is > 0 and <= 65535
            ? port
            : throw new UsageException($"--server {whole}: '{text}' is not a port; {Form}");

    private static ulong Random64() => BitConverter.ToUInt64(RandomNumberGenerator.GetBytes(8));
}
