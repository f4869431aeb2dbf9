using System.Diagnostics.Metrics;
using Carillon.Node;
using Carillon.Node.Groups;
using Carillon.Protocols.AtomicMulticast;

namespace Carillon.Runtime.Serving;

/// <summary>Each group's figures as metrics, by group; docs/protocols/atomic-multicast.md lists them.</summary>
internal static class GroupMetrics
{
    public static void Publish(ServerNode node, Meter meter)
    {
        Count("datagrams", "Messages between servers, a multicast counted as one", f => f.Datagrams);
        Count("multicasts", "Of these, multicasts", f => f.Multicasts);
        Count("records", "Log records of assignments", f => f.Records);
        Count("published", "Messages that senders gave to this server", f => f.Published);
        Count("repeated", "Messages sent again", f => f.Repeated);
        Count("refused", "Messages refused since a window was full", f => f.Refused);
        Count("assigned", "Numbers given by this server", f => f.Assigned);
        Count("filled", "Numbers filled by this server, whose messages are lost", f => f.Filled);
        Count("delivered", "Numbers delivered here", f => f.Delivered);
        Count("numbers_queried", "Numbers asked for", f => f.NumbersQueried);
        Count("messages_queried", "Messages asked for", f => f.MessagesQueried);
        Count("recoveries", "Recoveries begun as sequencer", f => f.Recoveries);
        Count("bad_messages", "Messages that could not be read", f => f.BadMessages);
        Gauge("committed", "Greatest committed number known here", feed => feed.State.Committed.Value);
        Gauge("first", "First number kept here", feed => feed.State.First.Value);

        void Count(string name, string description, Func<GroupFigures, long> read) => meter.CreateObservableCounter(
            $"carillon.group.{name}", () => Each(node, feed => read(feed.Figures)), description: description);

        void Gauge(string name, string description, Func<GroupFeed, ulong> read) => meter.CreateObservableGauge(
            $"carillon.group.{name}", () => Each(node, feed => (long)read(feed)), description: description);
    }

    private static IEnumerable<Measurement<long>> Each(ServerNode node, Func<GroupFeed, long> read) =>
        node.Groups.Values.Select(feed => new Measurement<long>(
            read(feed), new KeyValuePair<string, object?>("group", feed.Name.Name)));
}
