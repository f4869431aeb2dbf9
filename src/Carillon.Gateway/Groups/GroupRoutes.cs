using Carillon.Gateway.Json;
using Carillon.Gateway.Objects;
using Carillon.Gateway.Problems;
using Carillon.Gateway.Routing;
using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.VectorExchange;
using Carillon.Runtime.Groups;
using Microsoft.AspNetCore.Http;

namespace Carillon.Gateway.Groups;

/// <summary><c>/v1/groups</c>, <c>/v1/groups/{group}</c> and its messages: atomic multicast for applications.</summary>
internal static class GroupRoutes
{
    /// <summary>Settings are a few hundred bytes.</summary>
    private const int MaxBodyBytes = 64 << 10;

    public static Task AnswerAsync(Exchange exchange)
    {
        if (exchange.Gateway.Groups is not { } groups)
        {
            return exchange.FailAsync(ProblemTypes.NoSuchRoute, "This server takes no part in groups.");
        }

        if (exchange.Kind == RouteKind.Groups)
        {
            return Methods.IsRead(exchange.Request) ? ListAsync(exchange, groups) : Methods.RefuseAsync(exchange, "GET, HEAD");
        }

        if (!PercentCoding.TryDecode(exchange.Route.Bucket, plusIsSpace: false, out string text, out _)
            || !GroupName.TryParse(text, out GroupName group))
        {
            return exchange.FailAsync(
                ProblemTypes.BadGroupName,
                $"'{Shown.Text(text)}' is not a group's name: 1-{GroupName.MaxLength} of a-z 0-9 - . that begin with a letter or digit.");
        }

        bool messages = exchange.Kind == RouteKind.GroupMessages;
        if (group == GroupName.Catalog && (messages || !Methods.IsRead(exchange.Request)))
        {
            return exchange.FailAsync(
                ProblemTypes.GroupReserved, $"'{group}' is the system's own group: it is not sent to, read, made or removed like others.");
        }

        return messages ? MessagesAsync(exchange, groups, group) : OneAsync(exchange, groups, group);
    }

    private static Task MessagesAsync(Exchange exchange, IGroupGate groups, GroupName group) =>
        HttpMethods.IsGet(exchange.Request.Method) ? SubscribeRoute.AnswerAsync(exchange, groups, group)
        : HttpMethods.IsPost(exchange.Request.Method) ? PublishRoute.AnswerAsync(exchange, groups, group)
        : Methods.RefuseAsync(exchange, "GET, POST");

    private static Task OneAsync(Exchange exchange, IGroupGate groups, GroupName group) =>
        Methods.IsRead(exchange.Request) ? ShowAsync(exchange, groups, group)
        : HttpMethods.IsPut(exchange.Request.Method) ? PutAsync(exchange, groups, group)
        : HttpMethods.IsDelete(exchange.Request.Method) ? DeleteAsync(exchange, groups, group)
        : Methods.RefuseAsync(exchange, "GET, HEAD, PUT, DELETE");

    private static async Task ListAsync(Exchange exchange, IGroupGate groups)
    {
        if (!exchange.TryQuery([], out _, out Problem? problem))
        {
            await exchange.FailAsync(problem!);
            return;
        }

        IReadOnlyList<GroupStatus> all = await groups.ListAsync();
        await using var stream = new JsonStream(exchange.Response, exchange.Aborted);
        stream.Writer.WriteStartObject();
        stream.Writer.WriteStartArray("groups");
        foreach (GroupStatus status in all)
        {
            GroupJson.Write(stream.Writer, status);
            await stream.PieceAsync();
        }

        stream.Writer.WriteEndArray();
        stream.Writer.WriteEndObject();
    }

    private static async Task ShowAsync(Exchange exchange, IGroupGate groups, GroupName group)
    {
        if (!exchange.TryQuery([], out _, out Problem? problem))
        {
            await exchange.FailAsync(problem!);
            return;
        }

        if (await groups.FindAsync(group) is not { } status)
        {
            await exchange.FailAsync(NotFound(group));
            return;
        }

        JsonBody body = JsonBody.Rent();
        GroupJson.Write(body.Writer, status);
        await body.SendAsync(exchange.Response, StatusCodes.Status200OK);
    }

    private static async Task PutAsync(Exchange exchange, IGroupGate groups, GroupName group)
    {
        if (!exchange.TryQuery([], out _, out Problem? problem) || (problem = WriteRequest.Open(exchange)) is not null)
        {
            await exchange.FailAsync(problem!);
            return;
        }

        if (await BodyBytes.ReadAsync(exchange.Request.BodyReader, MaxBodyBytes, exchange.Aborted) is not { } json)
        {
            await exchange.FailAsync(ProblemTypes.TooLarge, $"A group's settings have at most {MaxBodyBytes} bytes.");
            return;
        }

        if (GroupJson.Read(json, out string fault) is not { } settings)
        {
            await exchange.FailAsync(ProblemTypes.BadSettings, $"The group's settings are not right: {fault}.");
            return;
        }

        SubmitOutcome? outcome = await WriteRequest.RunAsync(exchange, () => groups.CreateAsync(group, settings, exchange.Key!));
        await EndAsync(exchange, group, outcome, writer => GroupJson.WriteFields(writer, group, settings));
    }

    private static async Task DeleteAsync(Exchange exchange, IGroupGate groups, GroupName group)
    {
        if (!exchange.TryQuery([], out _, out Problem? problem) || (problem = WriteRequest.Open(exchange)) is not null)
        {
            await exchange.FailAsync(problem!);
            return;
        }

        bool existed = await groups.FindAsync(group) is not null;
        SubmitOutcome? outcome = await WriteRequest.RunAsync(exchange, () => groups.RemoveAsync(group, exchange.Key!));
        await EndAsync(exchange, group, outcome, writer => writer.WriteBoolean("existed", existed));
    }

    private static async Task EndAsync(
        Exchange exchange, GroupName group, SubmitOutcome? outcome, Action<System.Text.Json.Utf8JsonWriter> writeRest)
    {
        switch (outcome)
        {
            case SubmitOutcome.Rejected { Reason: RejectionReason.BucketExists }:
                // The rule is that of buckets, and the node has no word of its own for it.
                await exchange.FailAsync(ProblemTypes.GroupExists, $"The group '{group}' exists with other settings.");
                return;
            case not SubmitOutcome.Accepted:
                await exchange.FailAsync(WriteRequest.ProblemOf(outcome));
                return;
        }

        await WriteRequest.AnswerAsync(exchange, (SubmitOutcome.Accepted)outcome, writeRest);
    }

    /// <summary>The problem that a memory-only group was forgotten.</summary>
    public static Problem Lost(GroupStatus group) => new(
        ProblemTypes.GroupLost, $"The memory-only group '{group.Name}' can't go on: {group.Trouble}. Remove it, and make it anew.");

    /// <summary>The problem that there is no such group.</summary>
    public static Problem NotFound(GroupName group) => new(ProblemTypes.GroupNotFound, $"There is no group '{group}'.");
}
