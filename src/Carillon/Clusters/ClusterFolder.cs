using System.Net;
using System.Text;
using System.Text.Json;
using Carillon.CommandLine;
using Carillon.Gateway.Json;
using Carillon.Protocols.Cluster;
using Carillon.Runtime.Security;

namespace Carillon.Clusters;

/// <summary>
/// Writes a new cluster's files: the authority and the administrator's token, which stay with whoever runs this, and a folder
/// per server, which goes to that server's machine as it is.
/// </summary>
internal static class ClusterFolder
{
    /// <summary>A server's configuration within its folder.</summary>
    public const string ConfigurationFile = "server.json";

    /// <summary>The administrator's token.</summary>
    public const string TokenFile = "admin.token";

    internal const string HttpCertificateFile = "http.pem";
    internal const string HttpKeyFile = "http.key";
    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;

    /// <summary>Writes everything.</summary>
    /// <param name="plan">The cluster.</param>
    /// <param name="folder">A folder that is empty or not there.</param>
    /// <param name="insecure">Servers beyond loopback speak HTTP without TLS.</param>
    /// <param name="now">For the certificates.</param>
    /// <param name="version">The configuration's version: above all that the servers' data know of.</param>
    /// <param name="runsCommands">False: commands of services don't run until that is switched on.</param>
    /// <exception cref="UsageException">The folder has something in it, or the name is not one of a cluster.</exception>
    public static void Write(
        ClusterPlan plan, string folder, bool insecure, DateTimeOffset now, ulong version = 1, bool runsCommands = true)
    {
        if (folder.Length == 0)
        {
            throw new UsageException("--out is empty; give a folder");
        }

        if (Directory.Exists(folder) && Directory.EnumerateFileSystemEntries(folder).Any())
        {
            throw new UsageException($"{folder} is not empty; a cluster's secrets are never written over");
        }

        Make(folder);
        using ClusterAuthority authority = CreateAuthority(plan.Name, now);
        authority.Save(folder);
        string token = BearerTokens.Generate();
        BearerTokens tokens = BearerTokens.None.With("admin", token);
        ClusterKeys keys = ClusterKeys.Create();
        foreach (ServerRecord server in plan.Servers)
        {
            string own = Path.Combine(folder, server.Name.Name);
            Make(own);
            using (Keyring keyring = Keyring.Create(authority, server.Name, keys, now))
            {
                keyring.Save(own);
            }

            tokens.Save(own);
            bool tls = !IsLoopback(server.Host) && !insecure;
            if (tls)
            {
                HttpCertificate.Write(folder, server.Host, Path.Combine(own, HttpCertificateFile), Path.Combine(own, HttpKeyFile), now);
            }

            File.WriteAllText(Path.Combine(own, ConfigurationFile), Configuration(plan, version, server, tls, insecure, runsCommands));
        }

        SecretFile.Write(Path.Combine(folder, TokenFile), token + "\n");
    }

    /// <summary>True for addresses that only this machine has.</summary>
    public static bool IsLoopback(string host) =>
        host.Equals("localhost", StringComparison.OrdinalIgnoreCase)
            || (IPAddress.TryParse(host, out IPAddress? address) && IPAddress.IsLoopback(address));

    private static ClusterAuthority CreateAuthority(string name, DateTimeOffset now)
    {
        try
        {
            return ClusterAuthority.Create(name, now);
        }
        catch (ArgumentException fault)
        {
            throw new UsageException($"--name: '{name}' is not a cluster name: use a-z 0-9 - .", fault);
        }
    }

    private static void Make(string folder)
    {
        if (OperatingSystem.IsWindows())
        {
            Directory.CreateDirectory(folder);
        }
        else
        {
            Directory.CreateDirectory(folder, OwnerOnly);
        }
    }

    private static string Configuration(
        ClusterPlan plan, ulong version, ServerRecord server, bool tls, bool insecure, bool runsCommands)
    {
        var bytes = new System.Buffers.ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(bytes, new JsonWriterOptions { Indented = true }))
        {
            writer.WriteStartObject();
            writer.WriteString("name", server.Name.Name);
            writer.WriteStartObject("cluster");
            writer.WriteString("name", plan.Name);
            writer.WriteNumber("version", version);
            writer.WriteStartArray("servers");
            foreach (ServerRecord each in plan.Servers)
            {
                ServerJson.Write(writer, each);
            }

            writer.WriteEndArray();
            writer.WriteEndObject();
            writer.WriteStartObject("files");
            writer.WriteString("data", "data");
            writer.WriteString("secrets", ".");
            if (tls)
            {
                writer.WriteString("httpCertificate", HttpCertificateFile);
                writer.WriteString("httpKey", HttpKeyFile);
            }

            writer.WriteEndObject();
            writer.WriteStartObject("http");
            writer.WriteString("address", ListenAddress(server.Host));
            if (insecure && !IsLoopback(server.Host))
            {
                writer.WriteBoolean("insecure", true);
            }

            writer.WriteEndObject();
            if (!runsCommands)
            {
                writer.WriteStartObject("services");
                writer.WriteBoolean("commands", false);
                writer.WriteEndObject();
            }

            writer.WriteEndObject();
        }

        return Encoding.UTF8.GetString(bytes.WrittenSpan) + "\n";
    }

    // A name may stand for an address that the machine does not know it has; an address given as one is listened on, and no other.
    internal static string ListenAddress(string host) =>
        IPAddress.TryParse(host, out IPAddress? address) ? address.ToString() : IsLoopback(host) ? "127.0.0.1" : "0.0.0.0";
}
