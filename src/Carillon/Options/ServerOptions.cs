using Carillon.Protocols;
using Carillon.Protocols.Cluster;
using Carillon.Protocols.Membership;
using Carillon.Protocols.VectorExchange;
using Carillon.Runtime.Loop;
using Carillon.Storage.Catalogs;
using Carillon.Storage.Chunks;
using Carillon.Storage.Log;

namespace Carillon.Options;

/// <summary>
/// Everything that one server is configured with. Each component's own options record is part of it, with its own defaults and
/// checks: nothing is declared twice. <see cref="OptionKeys"/> tells what they are called in files and in the environment.
/// </summary>
public sealed record ServerOptions
{
    /// <summary>This server's name; one of <c>cluster.servers</c>.</summary>
    public string Name { get; init; } = "";

    /// <summary>Folder of the configuration file, which relative paths start from.</summary>
    public string Folder { get; init; } = ".";

    public ClusterOptions Cluster { get; init; } = new();

    public FileOptions Files { get; init; } = new();

    public HttpOptions Http { get; init; } = new();

    public MembershipOptions Membership { get; init; } = new();

    public VectorExchangeOptions Exchange { get; init; } = new();

    public SegmentLogOptions Log { get; init; } = new();

    public ChunkStoreOptions Chunks { get; init; } = new();

    public CatalogOptions Catalog { get; init; } = new();

    public EventLoopOptions Loop { get; init; } = new();

    /// <summary>This server's record, if it is in the cluster.</summary>
    public ServerRecord? Record => NodeId.TryParse(Name, out NodeId name) ? Cluster.Servers.FirstOrDefault(s => s.Name == name) : null;

    /// <summary>A path of <see cref="Files"/>, absolute.</summary>
    public string Resolve(string path) => Path.GetFullPath(path, Path.GetFullPath(Folder));

    /// <summary>Faults between the parts; each part has its own checks.</summary>
    public IEnumerable<string> Validate()
    {
        if (!NodeId.TryParse(Name, out _))
        {
            yield return $"name: '{Name}' is not a server name: use 1-{NodeId.MaxLength} of a-z 0-9 -";
        }
        else if (Record is null)
        {
            yield return $"name: {Name} is not in cluster.servers ({string.Join(", ", Cluster.Servers.Select(s => s.Name))})";
        }
    }
}
