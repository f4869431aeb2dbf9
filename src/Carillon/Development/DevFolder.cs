using System.Collections.Immutable;
using System.Text;
using System.Text.Json;
using Carillon.Clusters;
using Carillon.CommandLine;
using Carillon.Options;
using Carillon.Protocols.Cluster;

namespace Carillon.Development;

/// <summary>A development cluster's folder: made at its first use, gone on with later, used by one process at a time.</summary>
internal sealed class DevFolder : IDisposable
{
    private const string ClusterSubfolder = "cluster";
    private const string LockFile = "dev.lock";
    private const string StateFile = "dev.json";

    private readonly FileStream _lock;
    private readonly bool _ephemeral;

    private DevFolder(string path, FileStream held, bool ephemeral)
    {
        Path = path;
        _lock = held;
        _ephemeral = ephemeral;
    }

    /// <summary>Where it is.</summary>
    public string Path { get; }

    /// <summary>The servers, in order of their names.</summary>
    public ImmutableArray<ServerRecord> Servers { get; private set; } = [];

    /// <summary>Opens or makes it.</summary>
    /// <exception cref="UsageException">It is in use, or belongs to another kind of cluster.</exception>
    public static DevFolder Open(string path, int servers, int port, bool ephemeral)
    {
        path = System.IO.Path.GetFullPath(path);
        Directory.CreateDirectory(path);
        FileStream held;
        try
        {
            held = new FileStream(System.IO.Path.Combine(path, LockFile), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException fault)
        {
            throw new UsageException($"{path} is in use by another carillon dev", fault);
        }

        var folder = new DevFolder(path, held, ephemeral);
        try
        {
            folder.LoadOrMake(servers, port);
            return folder;
        }
        catch
        {
            folder.Dispose();
            throw;
        }
    }

    /// <summary>A server's configuration file.</summary>
    public string ConfigurationOf(ServerRecord server) => System.IO.Path.Combine(FolderOf(server), ClusterFolder.ConfigurationFile);

    /// <summary>What a server says goes here.</summary>
    public string LogOf(ServerRecord server) => System.IO.Path.Combine(FolderOf(server), "server.log");

    /// <summary>Writes dev.json: <c>{"servers":[{"name","pid","http","config"}]}</c>.</summary>
    public void WriteState(IEnumerable<(ServerRecord Server, int? ProcessId)> servers)
    {
        var bytes = new System.Buffers.ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(bytes, new JsonWriterOptions { Indented = true }))
        {
            writer.WriteStartObject();
            writer.WriteStartArray("servers");
            foreach ((ServerRecord server, int? process) in servers)
            {
                writer.WriteStartObject();
                writer.WriteString("name", server.Name.Name);
                if (process is { } id)
                {
                    writer.WriteNumber("pid", id);
                }
                else
                {
                    writer.WriteNull("pid");
                }

                writer.WriteString("http", $"http://{server.Host}:{server.HttpPort}");
                writer.WriteString("config", ConfigurationOf(server));
                writer.WriteEndObject();
            }

            writer.WriteEndArray();
            writer.WriteEndObject();
        }

        string state = System.IO.Path.Combine(Path, StateFile);
        File.WriteAllText(state + ".new", Encoding.UTF8.GetString(bytes.WrittenSpan) + "\n");
        File.Move(state + ".new", state, overwrite: true);
    }

    public void Dispose()
    {
        _lock.Dispose();
        if (_ephemeral && Directory.Exists(Path))
        {
            Directory.Delete(Path, recursive: true);
        }
    }

    private string FolderOf(ServerRecord server) => System.IO.Path.Combine(Path, ClusterSubfolder, server.Name.Name);

    private void LoadOrMake(int servers, int port)
    {
        string cluster = System.IO.Path.Combine(Path, ClusterSubfolder);
        if (!Directory.Exists(cluster))
        {
            ClusterPlan plan = ClusterPlan.OnLoopback("dev", servers, port);
            // Beside its place first: what a killed first start left behind must not look like a cluster.
            string beside = cluster + ".new";
            if (Directory.Exists(beside))
            {
                Directory.Delete(beside, recursive: true);
            }

            ClusterFolder.Write(plan, beside, insecure: false, DateTimeOffset.UtcNow);
            Directory.Move(beside, cluster);
        }

        string any = Directory.EnumerateFiles(cluster, ClusterFolder.ConfigurationFile, SearchOption.AllDirectories).FirstOrDefault()
            ?? throw new UsageException($"{cluster} has no {ClusterFolder.ConfigurationFile} in it; give another --data");
        Configuration configuration = ConfigurationLoader.Load(any, [], []);
        if (!configuration.Faults.IsEmpty)
        {
            throw new UsageException($"{any}: {configuration.Faults[0]}");
        }

        Servers = [.. configuration.Options.Cluster.Servers.OrderBy(s => s.Name)];
        int first = Servers.Min(s => s.HttpPort);
        if (Servers.Length != servers || first != port)
        {
            throw new UsageException(
                $"{Path} holds a cluster of {Servers.Length} servers from port {first}; "
                + $"use --servers {Servers.Length} --port {first}, or another --data");
        }
    }
}
