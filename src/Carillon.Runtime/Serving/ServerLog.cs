using Microsoft.Extensions.Logging;

namespace Carillon.Runtime.Serving;

/// <summary>What a server logs of itself.</summary>
internal static partial class ServerLog
{
    [LoggerMessage(1, LogLevel.Information,
        "Server {Name} incarnation {Incarnation} of cluster '{Cluster}' is up: HTTP {Http}, tunnel {Tunnel}")]
    public static partial void Up(ILogger logger, string name, ulong incarnation, string cluster, string http, string tunnel);

    [LoggerMessage(2, LogLevel.Information, "{Kind}: {Peer} {Detail}")]
    public static partial void Event(ILogger logger, Node.NodeEventKind kind, string peer, string detail);

    [LoggerMessage(3, LogLevel.Warning, "{Kind}: {Peer} {Detail}")]
    public static partial void Trouble(ILogger logger, Node.NodeEventKind kind, string peer, string detail);

    [LoggerMessage(4, LogLevel.Critical, "The server stops: {Reason}")]
    public static partial void Fatal(ILogger logger, string reason, Exception? exception);

    [LoggerMessage(5, LogLevel.Information, "Stopping: requests are finished, nothing new is begun")]
    public static partial void Stopping(ILogger logger);

    [LoggerMessage(6, LogLevel.Information, "Stopped")]
    public static partial void Stopped(ILogger logger);

    [LoggerMessage(7, LogLevel.Warning,
        "The catalog could not be used and is made anew from the other servers; the old file is kept as {Kept}: {Reason}")]
    public static partial void CatalogLost(ILogger logger, string kept, string reason);
}
