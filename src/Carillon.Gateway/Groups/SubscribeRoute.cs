using Carillon.Gateway.Problems;
using Carillon.Gateway.Routing;
using Carillon.Gateway.Streams;
using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Runtime.Groups;

namespace Carillon.Gateway.Groups;

/// <summary><c>GET /v1/groups/{group}/messages</c>: a group's messages from a number on, and then each as it is committed.</summary>
internal static class SubscribeRoute
{
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

        if (!status.IsOpen)
        {
            // What "now" is, and which is the first that is kept, another server knows.
            await exchange.FailAsync(ProblemTypes.GroupBusy, $"The group '{group}' is not open at this server yet.");
            return;
        }

        string here = GroupJson.IdOf(status);
        string? id = query["id"];
        string seen = Seen(exchange, ref id);
        if (id is not null && id != here)
        {
            await exchange.FailAsync(
                ProblemTypes.GroupReplaced, $"The group '{group}' is {here} here, not {Shown.Text(id)}: its messages are others.");
            return;
        }

        problem = StreamStart.Read(query, seen, status.First, status.Committed, TooOld, out SequenceNumber start);
        if (problem is not null)
        {
            await exchange.FailAsync(problem);
            return;
        }

        StreamFormat<GroupMessage> format = MessageFormat.Of(exchange.Request.Headers.Accept.ToString(), here);
        StreamStart.Begin(exchange, format.ContentType, start);
        exchange.Response.Headers[IdHeader] = here;
        var source = new GroupSource(ended => groups.SubscribeAsync(group, start, ended), start);
        await StreamStart.RunAsync(exchange, source, format, TooOld);
    }

    private static Problem TooOld(SequenceNumber first) => new(
        ProblemTypes.FeedTooOld, $"Messages before {first} are no longer kept: start from a checkpoint, or from {first}.") { First = first.Value };

    // As events have them: the group's identity, a dash, the number; a number alone is of whichever group has the name.
    private static string Seen(Exchange exchange, ref string? id)
    {
        string seen = StreamStart.Seen(exchange);
        int dash = seen.IndexOf('-', StringComparison.Ordinal);
        if (dash <= 0 || dash == seen.Length - 1)
        {
            return seen;
        }

        id = seen[..dash];
        return seen[(dash + 1)..];
    }
}
