using System.Diagnostics.Metrics;
using Carillon.Node;
using Carillon.Runtime.Tunnels;

namespace Carillon.Runtime.Serving;

/// <summary>A node's figures as metrics; docs/operations/metrics.md lists them.</summary>
internal static class NodeMetrics
{
    public static void Publish(ServerNode node, Tunnel tunnel)
    {
        Meter meter = CarillonMeter.Instance;
        Count(meter, "carillon.submissions", "Submissions begun here", () => node.Exchange.Figures.Submissions);
        Count(meter, "carillon.submissions.accepted", "Submissions answered accepted", () => node.Exchange.Figures.Accepted);
        Count(meter, "carillon.submissions.rejected", "Submissions answered rejected", () => node.Exchange.Figures.Rejected);
        Count(meter, "carillon.submissions.unknown", "Submissions answered unknown", () => node.Exchange.Figures.Unknown);
        Count(meter, "carillon.pushes.stale", "Pushes refused here as stale", () => node.Exchange.Figures.StalePushes);
        Count(meter, "carillon.restamps", "Fresh stamps taken for stale ones", () => node.Exchange.Figures.Restamps);
        Count(meter, "carillon.vectors.sent", "Knowledge vectors sent", () => node.Exchange.Figures.VectorsSent);
        Count(meter, "carillon.rounds.taken", "Resolution rounds taken here", () => node.Exchange.Figures.RoundsTaken);
        Count(meter, "carillon.reads", "Linearizable reads answered", () => node.Exchange.Figures.Reads);
        Count(meter, "carillon.reads.unavailable", "Linearizable reads that could not be decided", () => node.Exchange.Figures.ReadsUnavailable);
        Count(meter, "carillon.chunks.puts", "Chunks put from here", () => node.Replication.Figures.Puts);
        Count(meter, "carillon.chunks.fetches", "Chunks fetched from other servers", () => node.Replication.Figures.Fetches);
        Count(meter, "carillon.chunks.repairs", "Chunks fetched because this server should hold them", () => node.Replication.Figures.Repairs);
        Count(meter, "carillon.chunks.scrubbed", "Chunks read back", () => node.Replication.Figures.Scrubbed);
        Count(meter, "carillon.chunks.damaged", "Chunks found damaged", () => node.Replication.Figures.Damaged);
        Count(meter, "carillon.chunks.collected", "Chunks deleted", () => node.Replication.Figures.Collected);
        meter.CreateObservableGauge("carillon.tags.open", () => node.Exchange.OpenTags, description: "Submissions not decided or not applied here");
        meter.CreateObservableGauge("carillon.chunks.stored", () => node.Chunks.Count, description: "Chunks on this disk");
        meter.CreateObservableGauge("carillon.chunks.bytes", () => node.Chunks.StoredBytes, "By", "Bytes of chunks on this disk");
        meter.CreateObservableGauge(
            "carillon.tunnel.roundtrip",
            () => tunnel.Peers.Select(p => new Measurement<double>(
                tunnel.RoundTrip(p.Name)?.TotalSeconds ?? 0, new KeyValuePair<string, object?>("peer", p.Name.Name))),
            "s", "Last round trip of a tunnel's ping");
    }

    private static void Count(Meter meter, string name, string description, Func<long> read) =>
        meter.CreateObservableCounter(name, read, description: description);
}
