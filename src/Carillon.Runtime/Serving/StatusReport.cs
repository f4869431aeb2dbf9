using System.Collections.Immutable;
using Carillon.Node;
using Carillon.Protocols;
using Carillon.Protocols.Cluster;
using Carillon.Protocols.Membership;

namespace Carillon.Runtime.Serving;

/// <summary>Makes a <see cref="ClusterStatus"/> of what a node knows; runs on its loop.</summary>
internal static class StatusReport
{
    public static ClusterStatus Of(ServerNode node, Moment now)
    {
        ClusterConfiguration configuration = node.Configuration;
        var servers = ImmutableArray.CreateBuilder<ServerStatus>();
        ImmutableArray<MemberStatus> members = node.Members.Status();
        foreach (ServerRecord record in configuration.Servers)
        {
            servers.Add(record.Name == node.Self.Name
                ? OfSelf(node, record)
                : OfPeer(record, members.FirstOrDefault(m => m.Name == record.Name)));
        }

        return new ClusterStatus(
            configuration.Cluster, configuration.Version, configuration.Quorum.Size, node.Members.ConnectedVoters.Count,
            node.TakesSubmissions, servers.DrainToImmutable(), node.UnderReplicatedChunks,
            node.Members.Transport.Multicast ? "multicast" : "unicast", node.Members.Transport.Reason)
        {
            Feed = new FeedStatus(
                node.Feed.State.Epoch, node.Feed.State.Sequencer, node.Feed.State.Committed, node.Feed.State.Checkpoint, node.Feed.Applied),
        };
    }

    private static ServerStatus OfSelf(ServerNode node, ServerRecord record)
    {
        LoadReport load = node.Members.LoadOf(record.Name) ?? default;
        bool quarantined = !node.Members.IsClockGood(record.Name);
        string note = node.NotVotingBecause.Length > 0 ? node.NotVotingBecause
            : quarantined ? Quarantine(node, record.Name)
            : node.GroupsTrouble.Length > 0 ? node.GroupsTrouble
            : node.GroupsSilence;
        return new ServerStatus(
            record.Name, "self", node.Self.Incarnation.Value, Roles(record), node.MayVote, 0, 0, (int)load.Downloads, (int)load.DiskQueue,
            (long)load.FreeBytes, $"{record.Host}:{record.HttpPort}", note);
    }

    private static ServerStatus OfPeer(ServerRecord record, MemberStatus? member)
    {
        string address = $"{record.Host}:{record.HttpPort}";
        if (member is null)
        {
            return new ServerStatus(record.Name, "unknown", 0, Roles(record), false, null, null, 0, 0, 0, address, "");
        }

        string state = member.Connected ? "connected" : member.State switch
        {
            MemberState.Suspected => "suspected",
            MemberState.Failed => "failed",
            MemberState.Unheard => "unheard",
            _ => "disconnected",
        };
        string note = member.Quarantined ? "its clock is off: its submissions are refused" : member.Fault switch
        {
            MemberFault.UnknownDisk => "it has another disk than the configuration names",
            MemberFault.BehindRecord => "its disk is a restored backup",
            MemberFault.DoesNotVote => "it does not vote; its own status says why",
            _ => "",
        };
        LoadReport load = member.Load ?? default;
        return new ServerStatus(
            record.Name, state, member.Incarnation.Value, Roles(record), member.Votes, member.RoundTrip?.TotalMilliseconds,
                member.Clock?.Offset.TotalMilliseconds,
            (int)load.Downloads, (int)load.DiskQueue, (long)load.FreeBytes, address, note);
    }

    private static string Quarantine(ServerNode node, NodeId self) =>
        "this server's clock is off: " + string.Join(
            ", ", node.Members.SkewReport().Where(s => s.Server == self).Select(
                s => FormattableString.Invariant($"{s.Offset.TotalSeconds:F1} s against {s.Against}")));

    private static ImmutableArray<string> Roles(ServerRecord record) =>
        [.. new[] { record.Entry ? "entry" : "", record.Storage ? "storage" : "" }.Where(r => r.Length > 0)];
}
