using System.Text.Json;
using System.Text.Json.Nodes;
using Carillon.CommandLine;
using Carillon.Gateway.Json;
using Carillon.Protocols;
using Carillon.Protocols.Cluster;
using Carillon.Runtime.Security;

namespace Carillon.Clusters;

/// <summary>
/// The folders of single servers in what <c>cluster init</c> wrote: for a server that joins a running cluster, or whose disk is another
/// one now. What else stands in its configuration is left as it is.
/// </summary>
internal static class ServerFolder
{
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };

    /// <summary>Checks that a folder is one of <c>cluster init</c>'s, before anything is changed.</summary>
    /// <exception cref="UsageException">It is not.</exception>
    public static void Check(string root)
    {
        if (!File.Exists(Path.Combine(root, "authority.key")))
        {
            throw new UsageException($"{root} is not what 'carillon cluster init' wrote: it has no authority.key");
        }
    }

    /// <summary>Writes the configuration of a server with a new disk, and where it is new its keys; gives the folder.</summary>
    /// <param name="root">What <c>cluster init</c> wrote.</param>
    /// <param name="configuration">The version with the server in it.</param>
    /// <param name="name">Which server.</param>
    /// <param name="now">For its certificate.</param>
    public static string Write(string root, ClusterConfiguration configuration, NodeId name, DateTimeOffset now)
    {
        ServerRecord record = configuration.Find(name)!;
        string own = Path.Combine(root, name.Name);
        string model = Directory.Exists(own) ? own : AnotherFolder(root, configuration, name);
        JsonObject json = JsonNode.Parse(File.ReadAllBytes(Path.Combine(model, ClusterFolder.ConfigurationFile)))!.AsObject();
        if (model != own)
        {
            MakeKeys(root, configuration, record, model, own, json, now);
        }

        json["name"] = name.Name;
        JsonObject cluster = json["cluster"]!.AsObject();
        cluster["version"] = configuration.Version;
        cluster["joins"] = true;
        cluster["quorum"] = configuration.Quorum.Size;
        cluster["leaseDuration"] = $"{(long)configuration.LeaseDuration.TotalMilliseconds}ms";
        cluster["servers"] = new JsonArray([.. configuration.Servers.Select(ToNode)]);

        // A directory of its own for each disk: what is left in another one must not be taken for this one's.
        json["files"]!.AsObject()["data"] = $"data-{record.Disk.ToString()[..8]}";
        File.WriteAllText(Path.Combine(own, ClusterFolder.ConfigurationFile), json.ToJsonString(Indented) + "\n");
        return own;
    }

    private static void MakeKeys(
        string root, ClusterConfiguration configuration, ServerRecord record, string model, string own, JsonObject json, DateTimeOffset now)
    {
        using ClusterAuthority authority = ClusterAuthority.Load(root, configuration.Cluster);
        using Keyring another = Keyring.Load(model);
        Directory.CreateDirectory(own);
        if (!OperatingSystem.IsWindows())
        {
            File.SetUnixFileMode(own, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        }

        using (Keyring keyring = Keyring.Create(authority, record.Name, another.Keys, now))
        {
            keyring.Save(own);
        }

        BearerTokens.Load(model).Save(own);
        json["http"]!.AsObject()["address"] = ClusterFolder.ListenAddress(record.Host);
        if (json["files"]!.AsObject().ContainsKey("httpCertificate"))
        {
            HttpCertificate.Write(
                root, record.Host, Path.Combine(own, ClusterFolder.HttpCertificateFile), Path.Combine(own, ClusterFolder.HttpKeyFile), now);
        }
    }

    private static string AnotherFolder(string root, ClusterConfiguration configuration, NodeId name) =>
        configuration.Servers.Where(s => s.Name != name).Select(s => Path.Combine(root, s.Name.Name))
            .FirstOrDefault(f => File.Exists(Path.Combine(f, ClusterFolder.ConfigurationFile)))
        ?? throw new UsageException($"{root} has no server's folder: one is needed for the cluster's keys");

    private static JsonNode ToNode(ServerRecord server)
    {
        var bytes = new System.Buffers.ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(bytes))
        {
            ServerJson.Write(writer, server);
        }

        return JsonNode.Parse(bytes.WrittenSpan)!;
    }
}
