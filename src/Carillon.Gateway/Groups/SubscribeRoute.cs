using System.Globalization;
using Carillon.Gateway.Problems;
using Carillon.Gateway.Routing;
using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Runtime.Groups;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core.Features;

namespace Carillon.Gateway.Groups;

/// <summary><c>GET /v1/groups/{group}/messages</c>: a group's messages from a number on, and then each as it is committed.</summary>
internal static class SubscribeRoute
{
    /// <summary>The response header with the number that the stream starts at, which <c>begin</c> and <c>now</c> leave open.</summary>
    private const string NextHeader = "Carillon-Next";

    /// <summary>The response header with the group's identity: who goes on elsewhere names it, so as to land in no other.</summary>
    private const string IdHeader = "Carillon-Group-Id";

    private static readonly string[] Parameters = ["from", "id"];

    public static async Task AnswerAsync(Exchange exchange, IGroupGate groups, GroupName group)
    {
        if (!exchange.TryQuery(Parameters, out QueryText query, out Problem? problem))
        {
            await exchange.FailAsync(problem!);
            return;
        }

        if (await groups.FindAsync(group) is not { } status)
        {
            await exchange.FailAsync(GroupRoutes.NotFound(group));
            return;
        }

        if (status.IsLost)
        {
            await exchange.FailAsync(GroupRoutes.Lost(status));
            return;
        }

        // A browser asks again with the first address and where it was: that is what counts then.
        string? id = query["id"];
        string last = exchange.Request.Headers["Last-Event-ID"].ToString();
        string from = last.Length > 0 ? Behind(last, ref id) : query["from"] ?? "now";
        if (id is not null && id != GroupJson.IdOf(status))
        {
            await exchange.FailAsync(
                ProblemTypes.GroupReplaced, $"The group '{group}' is {GroupJson.IdOf(status)} here, not {Shown.Text(id)}: its messages are others.");
            return;
        }

        if (!TryStart(from, status, out SequenceNumber start))
        {
            await exchange.FailAsync(ProblemTypes.BadRequest, $"from is a number from 1 on, 'begin' or 'now', not '{Shown.Text(from)}'.");
            return;
        }

        if (start < status.First)
        {
            await exchange.FailAsync(TooOld(status.First));
            return;
        }

        await StreamAsync(exchange, groups, status, start);
    }

    private static async Task StreamAsync(Exchange exchange, IGroupGate groups, GroupStatus group, SequenceNumber start)
    {
        if (exchange.Features.Get<IHttpMinResponseDataRateFeature>() is { } rate)
        {
            // A subscriber may take its time: it holds up nobody, and its part of the group is read only as fast as it reads.
            rate.MinDataRate = null;
        }

        MessageFormat format = MessageFormat.Of(exchange.Request.Headers.Accept.ToString(), GroupJson.IdOf(group));
        HttpResponse response = exchange.Response;
        response.ContentType = format.ContentType;
        response.Headers[NextHeader] = start.ToString();
        response.Headers[IdHeader] = GroupJson.IdOf(group);
        response.Headers.CacheControl = "no-store";
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(exchange.Aborted, exchange.Gateway.Ending);
        try
        {
            IAsyncEnumerable<ReadOnlyMemory<GroupMessage>> messages = groups.SubscribeAsync(group.Name, start, ended.Token);
            await new Subscription(messages, response.BodyWriter, format, exchange.Gateway.Options.Heartbeat).RunAsync(ended.Token);
        }
        catch (FeedTooOldException late)
        {
            // Where the answer has begun it is cut off, and who asks again is told.
            await exchange.FailAsync(TooOld(late.First));
        }
        catch (OperationCanceledException) when (exchange.Gateway.Stopping)
        {
            // The stream ends here, whole as far as it goes; another server goes on with it.
            return;
        }
        finally
        {
            await ended.CancelAsync();
        }
    }

    private static Problem TooOld(SequenceNumber first) => new(
        ProblemTypes.FeedTooOld, $"Messages before {first} are no longer kept: start from a checkpoint, or from {first}.") { First = first.Value };

    private static bool TryStart(string from, GroupStatus status, out SequenceNumber start)
    {
        ulong number = from switch
        {
            "begin" => Math.Max(1, status.First.Value),
            "now" => status.Committed.Value + 1,
            _ => ulong.TryParse(from, NumberStyles.None, CultureInfo.InvariantCulture, out ulong given) ? given : 0,
        };
        start = new SequenceNumber(number);
        return number > 0;
    }

    // As events have them: the group's identity, a dash, the number; a number alone is of whichever group has the name.
    private static string Behind(string last, ref string? id)
    {
        int dash = last.IndexOf('-', StringComparison.Ordinal);
        id = dash > 0 ? last[..dash] : id;
        return ulong.TryParse(last.AsSpan(dash + 1), NumberStyles.None, CultureInfo.InvariantCulture, out ulong number)
            && number < ulong.MaxValue ? (number + 1).ToString(CultureInfo.InvariantCulture) : last;
    }
}
