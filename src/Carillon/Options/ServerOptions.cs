using Carillon.Gateway;
using Carillon.Node;
using Carillon.Protocols;
using Carillon.Protocols.Cluster;
using Carillon.Runtime.Loop;
using Carillon.Runtime.Services;

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

    public ListenOptions Listen { get; init; } = new();

    /// <summary>The HTTP interface; certificate and tokens are added from <see cref="Files"/> when the server starts.</summary>
    public GatewayOptions Http { get; init; } = new();

    public NodeOptions Node { get; init; } = new();

    public EventLoopOptions Loop { get; init; } = new();

    /// <summary>Services with one primary that this server provides; how guards are started is the program's to say.</summary>
    public ServiceOptions Services { get; init; } = new();

    public LoggingOptions Logging { get; init; } = new();

    /// <summary>This server's record, if it is in the cluster.</summary>
    public ServerRecord? Record => NodeId.TryParse(Name, out NodeId name) ? Cluster.Servers.FirstOrDefault(s => s.Name == name) : null;

    /// <summary>A path of <see cref="Files"/>, absolute.</summary>
    public string Resolve(string path) => Path.GetFullPath(path, Path.GetFullPath(Folder));

    /// <summary>All faults, each in words.</summary>
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

        // The gateway's own checks come when its certificate and tokens are there.
        IEnumerable<string>[] parts =
            [
                Cluster.Validate(), Files.Validate(), Listen.Validate(), Node.Validate(), Node.Log.Validate(), Loop.Validate(),
                Services.Validate(),
            ];
        foreach (string fault in parts.SelectMany(part => part))
        {
            yield return fault;
        }
    }
}
