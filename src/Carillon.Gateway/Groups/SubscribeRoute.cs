using Carillon.Gateway.Problems;
using Carillon.Gateway.Routing;
using Carillon.Gateway.Streams;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Runtime.Groups;

namespace Carillon.Gateway.Groups;

/// <summary><c>GET /v1/groups/{group}/messages</c>: a group's messages from a number on, and then each as it is committed.</summary>
internal static class SubscribeRoute
{
    private static readonly string[] Parameters = ["from"];

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

        problem = StreamStart.Read(exchange, query, status.First, status.Committed, TooOld, out SequenceNumber start);
        if (problem is not null)
        {
            await exchange.FailAsync(problem);
            return;
        }

        StreamFormat<GroupMessage> format = MessageFormat.Of(exchange.Request.Headers.Accept.ToString());
        StreamStart.Begin(exchange, format.ContentType, start);
        var source = new GroupSource(ended => groups.SubscribeAsync(group, start, ended), start);
        await StreamStart.RunAsync(exchange, source, format, TooOld);
    }

    private static Problem TooOld(SequenceNumber first) => new(
        ProblemTypes.FeedTooOld, $"Messages before {first} are no longer kept: start from a checkpoint, or from {first}.") { First = first.Value };
}
