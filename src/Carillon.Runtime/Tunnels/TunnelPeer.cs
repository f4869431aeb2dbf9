using Carillon.Protocols;

namespace Carillon.Runtime.Tunnels;

/// <summary>A server to be connected with.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Host">Host name or address.</param>
/// <param name="Port">Its tunnel port.</param>
public sealed record TunnelTarget(NodeId Name, string Host, int Port);

/// <summary>The other end of one tunnel, as its certificate and its greeting say.</summary>
/// <param name="Name">The server.</param>
/// <param name="Disk">Its disk.</param>
/// <param name="Incarnation">How many times that disk has been started.</param>
/// <param name="ConfigurationVersion">The configuration it had when it greeted.</param>
/// <param name="Connection">Counts this process's tunnels: two of the same peer differ in it.</param>
public sealed record TunnelPeer(NodeId Name, DiskId Disk, Incarnation Incarnation, ulong ConfigurationVersion, long Connection)
{
    /// <summary>Name, disk and incarnation in one.</summary>
    public ServerIdentity Identity => new(Name, Disk, Incarnation);
}

/// <summary>Who this server says it is.</summary>
/// <param name="Disk">Its disk.</param>
/// <param name="Incarnation">How many times the disk has been started; already durable.</param>
/// <param name="ConfigurationVersion">The configuration it has.</param>
public sealed record TunnelIdentity(DiskId Disk, Incarnation Incarnation, ulong ConfigurationVersion);
