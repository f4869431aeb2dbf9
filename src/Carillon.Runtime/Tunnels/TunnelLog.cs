using Carillon.Protocols;
using Microsoft.Extensions.Logging;

namespace Carillon.Runtime.Tunnels;

/// <summary>What tunnels log.</summary>
internal static partial class TunnelLog
{
    [LoggerMessage(100, LogLevel.Information, "Tunnels listen on {EndPoint}")]
    public static partial void Listening(ILogger logger, string endPoint);

    [LoggerMessage(101, LogLevel.Information, "Tunnel to {Peer} is up (incarnation {Incarnation}, disk {Disk})")]
    public static partial void Up(ILogger logger, NodeId peer, Incarnation incarnation, DiskId disk);

    [LoggerMessage(102, LogLevel.Information, "Tunnel to {Peer} is down: {Reason}")]
    public static partial void Down(ILogger logger, NodeId peer, string reason);

    [LoggerMessage(103, LogLevel.Warning, "No tunnel to {Peer} at {Host}:{Port}: {Reason}; trying on")]
    public static partial void NotReached(ILogger logger, NodeId peer, string host, int port, string reason);

    [LoggerMessage(104, LogLevel.Warning, "Refused a tunnel from {Address}: {Reason}")]
    public static partial void Refused(ILogger logger, string address, string reason);

    [LoggerMessage(105, LogLevel.Information, "{Peer} does not know traffic '{Kind}'; it is not sent there")]
    public static partial void KindUnknown(ILogger logger, NodeId peer, string kind);

    [LoggerMessage(106, LogLevel.Critical, "The tunnels failed")]
    public static partial void Failed(ILogger logger, Exception failure);
}
