using Carillon.Protocols;
using Carillon.Protocols.Membership;

namespace Carillon.Node;

/// <content>Membership: its messages, its records, and what its changes mean for the other cores.</content>
public sealed partial class ServerNode
{
    private Instant _membershipDeadline;
    private bool _hadQuorum;

    private void DrainMembership()
    {
        MembershipBatch batch = Members.Drain();
        _membershipDeadline = batch.Deadline;
        foreach (IncarnationRecord record in batch.Records)
        {
            if (Log.CanAppend(128, urgent: true))
            {
                _incarnations[record.Name] = record;
                _incarnationsOnTheirWay.Enqueue((AppendIncarnation(record), record));
            }
        }

        foreach (MembershipSend send in batch.Sends)
        {
            switch (send.Path)
            {
                case MessagePath.Datagram:
                    _world.SendDatagram(send.To, send.Message);
                    break;
                case MessagePath.Group:
                    _world.SendDatagramToAll(send.Message, multicast: true);
                    break;
                default:
                    Post(send.To, TrafficKind.Agreement, Protocol.Membership, send.Message, 0);
                    break;
            }
        }

        foreach (MembershipEvent change in batch.Events)
        {
            React(change);
        }
    }

    private void React(MembershipEvent change)
    {
        switch (change.Kind)
        {
            case MembershipEventKind.ViewChanged:
                Exchange.SetConnected(Members.ConnectedVoters, _now);
                if (_isOpen)
                {
                    Selection.ConnectivityChanged(_now);
                    Manager.ConnectivityChanged(_now);
                }

                if (Members.HasQuorum != _hadQuorum)
                {
                    _hadQuorum = Members.HasQuorum;
                    Tell(_hadQuorum ? NodeEventKind.PeerConnected : NodeEventKind.PeerFailed, default, _hadQuorum
                        ? "a quorum is connected"
                        : "no quorum is connected");
                }

                break;
            case MembershipEventKind.Connected:
                Tell(NodeEventKind.PeerConnected, change.Server, $"incarnation {change.Incarnation}");
                break;
            case MembershipEventKind.Failed or MembershipEventKind.Disconnected:
                Tell(NodeEventKind.PeerFailed, change.Server, change.Kind == MembershipEventKind.Failed
                    ? "not heard, and not found by others" : "its tunnel is down");
                break;
            case MembershipEventKind.Restarted:
                Tell(NodeEventKind.PeerRestarted, change.Server, $"incarnation {change.Incarnation}");
                Sometimes.Reached("peer-restarted");
                PeerRestarted(change.Server);
                break;
            case MembershipEventKind.Quarantined or MembershipEventKind.QuarantineLifted:
                Sometimes.Reached("clock-in-quarantine");
                Tell(NodeEventKind.ClockQuarantine, change.Server, change.Kind == MembershipEventKind.Quarantined
                    ? "its clock is off"
                    : "its clock is good again");
                break;
            case MembershipEventKind.UnknownDisk or MembershipEventKind.BehindRecord:
                Tell(NodeEventKind.NotVoting, change.Server, change.Kind == MembershipEventKind.UnknownDisk
                    ? "unknown disk"
                    : "restored backup");
                break;
        }
    }
}
