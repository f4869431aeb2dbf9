using System.Text.Json;
using Carillon.Gateway.Json;
using Carillon.Gateway.Problems;
using Carillon.Gateway.Routing;
using Carillon.Gateway.Services;
using Carillon.Runtime.Serving;
using Microsoft.AspNetCore.Http;

namespace Carillon.Gateway;

/// <summary><c>/v1/cluster</c>, <c>/healthz/…</c> and <c>/metrics</c>: for operators and their tools.</summary>
internal static class ClusterRoutes
{
    public static Task AnswerAsync(Exchange exchange)
    {
        if (!Methods.IsRead(exchange.Request))
        {
            return Methods.RefuseAsync(exchange, "GET, HEAD");
        }

        return exchange.Kind switch
        {
            RouteKind.Live => HealthyAsync(exchange, "live"),
            RouteKind.Ready => ReadyAsync(exchange),
            RouteKind.ClusterHealth => ClusterHealthAsync(exchange),
            RouteKind.Metrics => exchange.Gateway.Exporter.SendAsync(exchange.Response),
            _ => ClusterAsync(exchange),
        };
    }

    /// <summary>Ready: this server takes part, so that what it is asked it can do as far as the cluster can.</summary>
    private static Task ReadyAsync(Exchange exchange)
    {
        if (exchange.Gateway.Stopping)
        {
            return exchange.FailAsync(ProblemTypes.Stopping, "This server is stopping.");
        }

        foreach (ServerStatus server in exchange.Server.Status().Servers)
        {
            if (server.Name == exchange.Server.Name && !server.Voting)
            {
                return exchange.FailAsync(ProblemTypes.NotReady, $"This server takes no part in agreement: {server.Note}.");
            }
        }

        return HealthyAsync(exchange, "ready");
    }

    private static Task ClusterHealthAsync(Exchange exchange)
    {
        ClusterStatus status = exchange.Server.Status();
        return status.WriteQuorum ? HealthyAsync(exchange, "ok")
            : exchange.FailAsync(
                ProblemTypes.NoQuorum,
                $"{status.QuorumConnected} entry servers are connected, a write needs {status.QuorumSize} that vote.");
    }

    private static Task HealthyAsync(Exchange exchange, string status)
    {
        JsonBody body = JsonBody.Rent();
        body.Writer.WriteStartObject();
        body.Writer.WriteString("status", status);
        body.Writer.WriteEndObject();
        return body.SendAsync(exchange.Response, StatusCodes.Status200OK);
    }

    private static Task ClusterAsync(Exchange exchange)
    {
        if (!exchange.TryQuery([], out _, out Problem? problem))
        {
            return exchange.FailAsync(problem!);
        }

        ClusterStatus status = exchange.Server.Status();
        JsonBody body = JsonBody.Rent();
        Utf8JsonWriter writer = body.Writer;
        writer.WriteStartObject();
        writer.WriteString("cluster", status.Cluster);
        writer.WriteString("self", exchange.Server.Name.Name);
        writer.WriteNumber("configuration", status.Configuration);
        writer.WriteStartObject("quorum");
        writer.WriteNumber("size", status.QuorumSize);
        writer.WriteNumber("connected", status.QuorumConnected);
        writer.WriteBoolean("ok", status.WriteQuorum);
        writer.WriteEndObject();
        writer.WriteStartArray("servers");
        foreach (ServerStatus server in status.Servers)
        {
            Write(writer, server);
        }

        writer.WriteEndArray();
        WriteFeed(writer, status.Feed);
        writer.WriteStartObject("chunks");
        writer.WriteNumber("underReplicated", status.UnderReplicatedChunks);
        writer.WriteEndObject();
        writer.WriteStartObject("transport");
        writer.WriteString("mode", status.TransportMode);
        writer.WriteString("reason", status.TransportReason);
        writer.WriteEndObject();
        writer.WriteEndObject();
        return body.SendAsync(exchange.Response, StatusCodes.Status200OK);
    }

    private static void Write(Utf8JsonWriter writer, ServerStatus server)
    {
        writer.WriteStartObject();
        writer.WriteString("name", server.Name.Name);
        writer.WriteString("state", server.State);
        writer.WriteNumber("incarnation", server.Incarnation);
        writer.WriteStartArray("roles");
        foreach (string role in server.Roles)
        {
            writer.WriteStringValue(role);
        }

        writer.WriteEndArray();
        writer.WriteBoolean("voting", server.Voting);
        WriteMilliseconds(writer, "rttMs", server.RoundTripMilliseconds);
        WriteMilliseconds(writer, "clockOffsetMs", server.ClockOffsetMilliseconds);
        writer.WriteStartObject("load");
        writer.WriteNumber("downloads", server.Downloads);
        writer.WriteNumber("queue", server.QueueDepth);
        writer.WriteNumber("freeBytes", server.FreeBytes);
        writer.WriteEndObject();
        writer.WriteString("http", server.HttpAddress);
        writer.WriteString("note", server.Note);
        writer.WriteEndObject();
    }

    /// <summary>What is not known here yet is null.</summary>
    private static void WriteFeed(Utf8JsonWriter writer, FeedStatus feed)
    {
        writer.WriteStartObject("feed");
        WriteNumber(writer, "epoch", feed.Epoch);
        ServiceJson.WriteNode(writer, "sequencer", feed.Sequencer);
        writer.WriteNumber("committed", feed.Committed.Value);
        WriteNumber(writer, "checkpoint", feed.Checkpoint.Value);
        writer.WriteNumber("applied", feed.Applied.Value);
        writer.WriteEndObject();
    }

    private static void WriteNumber(Utf8JsonWriter writer, string name, ulong number)
    {
        if (number == 0)
        {
            writer.WriteNull(name);
        }
        else
        {
            writer.WriteNumber(name, number);
        }
    }

    private static void WriteMilliseconds(Utf8JsonWriter writer, string name, double? milliseconds)
    {
        if (milliseconds is { } value && double.IsFinite(value))
        {
            writer.WriteNumber(name, Math.Round(value, 3));
        }
        else
        {
            writer.WriteNull(name);
        }
    }
}
