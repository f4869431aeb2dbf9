using System.Diagnostics.Metrics;
using Carillon.Protocols;
using Carillon.Protocols.Wire;
using Microsoft.Extensions.Logging;

namespace Carillon.Runtime.Datagrams;

/// <summary>What datagrams log.</summary>
internal static partial class DatagramLog
{
    [LoggerMessage(200, LogLevel.Information, "Datagrams listen on {EndPoint} and {Group}")]
    public static partial void Listening(ILogger logger, string endPoint, string group);

    [LoggerMessage(201, LogLevel.Warning, "The multicast group {Group} can't be joined, so heartbeats go to each server: {Reason}")]
    public static partial void NotJoined(ILogger logger, string group, string reason);

    [LoggerMessage(202, LogLevel.Warning, "Datagrams are not sent: {Reason}")]
    public static partial void NotSent(ILogger logger, string reason);

    [LoggerMessage(203, LogLevel.Warning, "No datagrams to {Peer}: host '{Host}' is not known")]
    public static partial void HostUnknown(ILogger logger, NodeId peer, string host);
}

/// <summary>Figures of the datagrams.</summary>
internal static class DatagramMetrics
{
    public static readonly Counter<long> Sent =
        CarillonMeter.Instance.CreateCounter<long>("carillon.datagram.sent", description: "Datagrams sent");

    public static readonly Counter<long> Errors =
        CarillonMeter.Instance.CreateCounter<long>(
            "carillon.datagram.errors", description: "Datagrams that the system did not take, or errors it told of");

    public static readonly Counter<long> Received =
        CarillonMeter.Instance.CreateCounter<long>("carillon.datagram.received", description: "Datagrams received, by what became of them");

    private static readonly string[] Names = [.. Enum.GetValues<DatagramVerdict>().Select(verdict => verdict.ToString())];

    /// <summary>A verdict's name, without making a string each time.</summary>
    public static string NameOf(DatagramVerdict verdict) => Names[(int)verdict];
}
