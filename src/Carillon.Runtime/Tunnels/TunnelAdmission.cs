using System.Collections.Frozen;
using Carillon.Protocols;
using Carillon.Runtime.Security;

namespace Carillon.Runtime.Tunnels;

/// <summary>Decides whom this server has a tunnel with, by certificate name and greeting. Safe for any thread.</summary>
internal sealed class TunnelAdmission(Keyring keyring, TunnelIdentity identity)
{
    // Disks of configured servers, and a few that were replaced; more would be a peer that changes its disk in every greeting.
    private const int MaxDisks = 1024;

    private readonly Lock _gate = new();
    private readonly Dictionary<(NodeId, DiskId), Incarnation> _greatest = [];
    private FrozenDictionary<NodeId, TunnelTarget> _targets = FrozenDictionary<NodeId, TunnelTarget>.Empty;
    private ulong _configurationVersion = identity.ConfigurationVersion;

    /// <summary>The servers of the configuration.</summary>
    public FrozenDictionary<NodeId, TunnelTarget> Targets => Volatile.Read(ref _targets);

    /// <summary>Takes another configuration.</summary>
    public void Configure(ulong version, IEnumerable<TunnelTarget> targets)
    {
        Volatile.Write(ref _targets, targets.Where(target => target.Name != keyring.Name).ToFrozenDictionary(target => target.Name));
        Volatile.Write(ref _configurationVersion, version);
    }

    /// <summary>This server's greeting.</summary>
    public Hello Greeting() => new(
        Hello.CurrentVersion,
        Hello.OldestSpoken,
        keyring.Cluster,
        keyring.Name,
        identity.Disk,
        identity.Incarnation,
        Volatile.Read(ref _configurationVersion));

    /// <summary>True if this server is the one of the two that dials: the smaller name does, so a pair has one connection.</summary>
    public bool Dials(NodeId peer) => keyring.Name < peer;

    /// <summary>Remembers an incarnation that was seen; true if it is no older than any before.</summary>
    public bool TryObserve(NodeId server, DiskId disk, Incarnation incarnation)
    {
        lock (_gate)
        {
            if (_greatest.TryGetValue((server, disk), out Incarnation greatest))
            {
                if (incarnation < greatest)
                {
                    return false;
                }
            }
            else if (_greatest.Count >= MaxDisks)
            {
                _greatest.Clear();
            }

            _greatest[(server, disk)] = incarnation;
            return true;
        }
    }

    /// <summary>Why there is no tunnel with a peer that greets so; null if there is one.</summary>
    /// <param name="hello">Its greeting.</param>
    /// <param name="certified">The name in its certificate.</param>
    /// <param name="dialled">True if this server dialled.</param>
    public string? FaultOf(in Hello hello, NodeId certified, bool dialled)
    {
        if (Math.Min(hello.Version, Hello.CurrentVersion) < Math.Max(hello.OldestVersion, Hello.OldestSpoken))
        {
            return $"it speaks tunnel versions {hello.OldestVersion} to {hello.Version}, "
                + $"this server {Hello.OldestSpoken} to {Hello.CurrentVersion}";
        }

        if (hello.Cluster != keyring.Cluster)
        {
            return $"it is of cluster '{hello.Cluster}', this server of '{keyring.Cluster}'";
        }

        if (hello.Name != certified)
        {
            return $"it says that it is '{hello.Name}', its certificate is for '{certified}'";
        }

        if (hello.Name == keyring.Name)
        {
            return $"it has this server's own name '{keyring.Name}'";
        }

        if (!Targets.ContainsKey(hello.Name))
        {
            return $"'{hello.Name}' is not in the configuration";
        }

        if (dialled != Dials(hello.Name))
        {
            return $"of '{hello.Name}' and '{keyring.Name}' the other one dials";
        }

        return TryObserve(hello.Name, hello.Disk, hello.Incarnation)
            ? null
            : $"'{hello.Name}' has been here with a later incarnation of its disk than {hello.Incarnation}";
    }
}
