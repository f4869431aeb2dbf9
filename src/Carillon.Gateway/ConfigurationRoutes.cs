using System.Text.Json;
using Carillon.Gateway.Json;
using Carillon.Gateway.Problems;
using Carillon.Gateway.Routing;
using Carillon.Node;
using Carillon.Protocols;
using Carillon.Protocols.Cluster;
using Microsoft.AspNetCore.Http;

namespace Carillon.Gateway;

/// <summary><c>/v1/cluster/configuration</c>, the version in force, and <c>/v1/cluster/changes</c>, which makes the next.</summary>
internal static class ConfigurationRoutes
{
    private const int MaxBodyBytes = 64 << 10;

    public static Task AnswerAsync(Exchange exchange)
    {
        if (!exchange.TryQuery([], out _, out Problem? problem))
        {
            return exchange.FailAsync(problem!);
        }

        if (exchange.Kind == RouteKind.Configuration)
        {
            return Methods.IsRead(exchange.Request) ? ShowAsync(exchange) : Methods.RefuseAsync(exchange, "GET, HEAD");
        }

        return HttpMethods.IsPost(exchange.Request.Method) ? ChangeAsync(exchange) : Methods.RefuseAsync(exchange, "POST");
    }

    private static Task ShowAsync(Exchange exchange)
    {
        JsonBody body = JsonBody.Rent();
        Write(body.Writer, exchange.Server.Configuration());
        return body.SendAsync(exchange.Response, StatusCodes.Status200OK);
    }

    private static async Task ChangeAsync(Exchange exchange)
    {
        if (await BodyBytes.ReadAsync(exchange.Request.BodyReader, MaxBodyBytes, exchange.Aborted) is not { } json)
        {
            await exchange.FailAsync(ProblemTypes.TooLarge, $"A change has at most {MaxBodyBytes} bytes.");
            return;
        }

        if (JsonInput.Read<ClusterChange>(json, ReadChange, out string fault) is not { } change)
        {
            await exchange.FailAsync(ProblemTypes.BadRequest, $"The change is not right: {fault}.");
            return;
        }

        ClusterChangeOutcome outcome = await exchange.Server.ChangeClusterAsync(change);
        if (outcome.Version == 0)
        {
            await exchange.FailAsync(
                outcome.IsUnknown ? ProblemTypes.ChangeUnknown
                : outcome.MayRetry ? ProblemTypes.ChangeFailed : ProblemTypes.ChangeRefused,
                $"{char.ToUpperInvariant(outcome.Fault[0])}{outcome.Fault[1..]}.");
            return;
        }

        JsonBody body = JsonBody.Rent();
        Write(body.Writer, exchange.Server.Configuration());
        await body.SendAsync(exchange.Response, StatusCodes.Status200OK);
    }

    private static void Write(Utf8JsonWriter writer, ClusterConfiguration configuration)
    {
        writer.WriteStartObject();
        writer.WriteString("cluster", configuration.Cluster);
        writer.WriteNumber("version", configuration.Version);
        writer.WriteNumber("quorum", configuration.Quorum.Size);
        writer.WriteNumber("leaseMs", (long)configuration.LeaseDuration.TotalMilliseconds);
        writer.WriteStartArray("servers");
        foreach (ServerRecord server in configuration.Servers)
        {
            ServerJson.Write(writer, server);
        }

        writer.WriteEndArray();
        writer.WriteEndObject();
    }

    private static ClusterChange ReadChange(ref Utf8JsonReader reader)
    {
        var kind = ClusterChangeKind.Renew;
        ServerRecord? server = null;
        JsonInput.Expect(ref reader, JsonTokenType.StartObject, "a change is an object");
        while (JsonInput.NextField(ref reader, out string field))
        {
            switch (field)
            {
                case "kind":
                    kind = JsonInput.Text(ref reader, field) switch
                    {
                        "add" => ClusterChangeKind.Add,
                        "remove" => ClusterChangeKind.Remove,
                        "replace" => ClusterChangeKind.Replace,
                        "set" => ClusterChangeKind.Set,
                        _ => throw new JsonInputException("kind is add, remove, replace or set"),
                    };
                    break;
                case "server":
                    server = ReadServer(ref reader);
                    break;
                default:
                    throw JsonInput.Unknown(field, "kind, server");
            }
        }

        return server is null || kind == ClusterChangeKind.Renew
            ? throw new JsonInputException("a change has a kind and a server")
            : new ClusterChange(kind, server);
    }

    private static ServerRecord ReadServer(ref Utf8JsonReader reader)
    {
        var server = new ServerRecord
        {
            Name = default, Disk = default, Host = "", HttpPort = 0, TunnelPort = 0, DatagramPort = 0,
        };
        JsonInput.Expect(ref reader, JsonTokenType.StartObject, "a server is an object");
        while (JsonInput.NextField(ref reader, out string field))
        {
            server = field switch
            {
                "name" => server with { Name = NodeId.TryParse(JsonInput.Text(ref reader, field), out NodeId name)
                    ? name : throw new JsonInputException("name is no server's name") },
                "disk" => server with { Disk = DiskId.TryParse(JsonInput.Text(ref reader, field), out DiskId disk)
                    ? disk : throw new JsonInputException("disk is not 32 hexadecimal digits") },
                "host" => server with { Host = JsonInput.Text(ref reader, field) },
                "httpPort" => server with { HttpPort = Port(ref reader, field) },
                "tunnelPort" => server with { TunnelPort = Port(ref reader, field) },
                "datagramPort" => server with { DatagramPort = Port(ref reader, field) },
                "entry" => server with { Entry = JsonInput.Truth(ref reader, field) },
                "storage" => server with { Storage = JsonInput.Truth(ref reader, field) },
                "failureDomain" => server with { FailureDomain =
                    JsonInput.Text(ref reader, field) is var domain && !domain.Any(char.IsControl)
                        ? domain : throw new JsonInputException("failureDomain is text of one line") },
                "weight" => server with { Weight = JsonInput.Number(ref reader, field) is var weight and > 0 and <= ServerRecord.MaxWeight
                    ? weight : throw new JsonInputException($"weight is 1 to {ServerRecord.MaxWeight}") },
                _ => throw JsonInput.Unknown(
                    field, "name, disk, host, httpPort, tunnelPort, datagramPort, entry, storage, failureDomain, weight"),
            };
        }

        return server.Name.IsNone || server.Host.Length is 0 or > 253
            ? throw new JsonInputException("a server has a name and a host")
            : server;
    }

    private static int Port(ref Utf8JsonReader reader, string field) =>
        JsonInput.Number(ref reader, field) is var port and > 0 and <= 65535
            ? port : throw new JsonInputException($"{field} is a port, 1 to 65535");
}
