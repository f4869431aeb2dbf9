using System.Diagnostics.Metrics;
using Carillon.Node;
using Carillon.Protocols.Membership;
using Carillon.Protocols.Primacy;
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
        Count(meter, "carillon.reads.unavailable", "Linearizable reads that could not be decided", () =>
            node.Exchange.Figures.ReadsUnavailable);
        Count(meter, "carillon.reads.by_number", "Linearizable reads answered from the catalog, at the sequencer's number", () =>
            node.ReadsByNumber);
        Count(meter, "carillon.reads.left_to_quorum", "Reads that the sequencer did not answer in time", () => node.ReadsLeftToQuorum);
        CountPrimacy(meter, node.Selection.Figures);
        Count(meter, "carillon.chunks.puts", "Chunks put from here", () => node.Replication.Figures.Puts);
        Count(meter, "carillon.chunks.fetches", "Chunks fetched from other servers", () => node.Replication.Figures.Fetches);
        Count(meter, "carillon.chunks.repairs", "Chunks fetched because this server should hold them", () =>
            node.Replication.Figures.Repairs);
        Count(meter, "carillon.chunks.scrubbed", "Chunks read back", () => node.Replication.Figures.Scrubbed);
        Count(meter, "carillon.chunks.damaged", "Chunks found damaged", () => node.Replication.Figures.Damaged);
        Count(meter, "carillon.chunks.collected", "Chunks deleted", () => node.Replication.Figures.Collected);
        meter.CreateObservableGauge(
            "carillon.tags.open", () => node.Exchange.OpenTags, description: "Submissions not decided or not applied here");
        meter.CreateObservableGauge("carillon.chunks.stored", () => node.Chunks.Count, description: "Chunks on this disk");
        meter.CreateObservableGauge("carillon.chunks.bytes", () => node.Chunks.StoredBytes, "By", "Bytes of chunks on this disk");
        meter.CreateObservableGauge(
            "carillon.tunnel.roundtrip",
            () => tunnel.Peers.Select(p => new Measurement<double>(
                tunnel.RoundTrip(p.Name)?.TotalSeconds ?? 0, new KeyValuePair<string, object?>("peer", p.Name.Name))),
            "s", "Last round trip of a tunnel's ping");
        PublishMembership(node, meter);
        GroupMetrics.Publish(node, meter);
    }

    // VE-62: skew is measured and exported.
    private static void PublishMembership(ServerNode node, Meter meter)
    {
        Count(meter, "carillon.heartbeats.sent", "Heartbeats made here", () => node.Members.Counters.HeartbeatsSent);
        Count(meter, "carillon.heartbeats.received", "Heartbeats taken", () => node.Members.Counters.HeartbeatsReceived);
        Count(meter, "carillon.members.suspicions", "Servers suspected", () => node.Members.Counters.Suspicions);
        Count(meter, "carillon.members.refutations", "Suspicions that were wrong", () => node.Members.Counters.Refutations);
        Count(meter, "carillon.members.failures", "Servers failed", () => node.Members.Counters.Failures);
        Count(meter, "carillon.members.lower_incarnations", "Messages of former lives", () => node.Members.Counters.LowerIncarnations);
        Count(meter, "carillon.members.unknown_disks", "Messages of disks not configured", () => node.Members.Counters.UnknownDisks);
        Count(meter, "carillon.members.malformed", "Membership messages that could not be read", () => node.Members.Counters.Malformed);
        Count(meter, "carillon.members.own_pauses", "Times that this server did not run", () => node.Members.Counters.OwnPauses);
        meter.CreateObservableGauge(
            "carillon.members.connected_voters", () => node.Members.ConnectedVoters.Count, description: "Entry servers that count");
        meter.CreateObservableGauge(
            "carillon.clock.offset", () => Each(node, member => member.Clock?.Offset.TotalSeconds), "s", "How far its clock is ahead");
        meter.CreateObservableGauge(
            "carillon.clock.bound", () => Each(node, member => member.Clock?.Bound.TotalSeconds), "s", "How far that may be wrong");
        meter.CreateObservableGauge(
            "carillon.clock.quarantined", () => Each(node, member => member.Quarantined ? 1 : 0), description: "1 if the clock is off");
        meter.CreateObservableGauge(
            "carillon.members.roundtrip", () => Each(node, member => member.RoundTrip?.TotalSeconds), "s", "Round trip of heartbeats");
    }

    // What was not measured yet is left out.
    private static IEnumerable<Measurement<double>> Each(ServerNode node, Func<MemberStatus, double?> read)
    {
        foreach (MemberStatus member in node.Members.Status())
        {
            if (read(member) is { } value)
            {
                yield return new Measurement<double>(value, new KeyValuePair<string, object?>("server", member.Name.Name));
            }
        }
    }

    private static void CountPrimacy(Meter meter, PrimacyFigures figures)
    {
        Count(meter, "carillon.primacy.calls", "Calls to disqualify others", () => figures.Calls);
        Count(meter, "carillon.primacy.bids", "Bids for epochs begun here", () => figures.Bids);
        Count(meter, "carillon.primacy.bids.withdrawn", "Bids withdrawn", () => figures.Withdrawn);
        Count(meter, "carillon.primacy.epochs", "Epochs granted to this server", () => figures.Granted);
        Count(meter, "carillon.primacy.leases.lost", "Leases that too few voters renewed", () => figures.LeasesLost);
        Count(meter, "carillon.primacy.stood.anyway", "Times this server stood although it was disqualified", () => figures.StoodAnyway);
        Count(meter, "carillon.primacy.malformed", "Messages of primacy that could not be read", () => figures.BadMessages);
    }

    private static void Count(Meter meter, string name, string description, Func<long> read) =>
        meter.CreateObservableCounter(name, read, description: description);
}
