namespace Carillon.Protocols.Membership;

/// <content>
/// Suspicion, and the probes before it becomes a failure (SWIM: Das, Gupta, Motivala, 2002). The suspecter asks the silent
/// server itself, by datagram and tunnel, and asks helpers to ask it. Helpers wait for nothing: a probe names its origin, and so
/// does the answer that they pass on.
/// </content>
public sealed partial class MembershipMonitor
{
    private Instant DeadlineOf(Peer peer) => peer.State switch
    {
        MemberState.Unheard or MemberState.Alive => peer.LastHeard + TimeoutOf(peer),
        MemberState.Suspected => peer.FailAt,
        _ => Instant.Never,
    };

    // A peer with a distant neighbour sends less often than this server expects: three of its own intervals are granted.
    private TimeSpan TimeoutOf(Peer peer) => Max(_options.HeartbeatTimeout, 3 * peer.Interval);

    private void WatchSilence(Peer peer)
    {
        bool isEarly = peer.State == MemberState.Alive && Buggify.Here("silence-suspected-early", 0.01);
        if (_now.Now < DeadlineOf(peer) && !isEarly)
        {
            return;
        }

        switch (peer.State)
        {
            case MemberState.Unheard or MemberState.Alive:
                Suspect(peer);
                break;
            case MemberState.Suspected:
                peer.State = MemberState.Failed;
                peer.FailAt = Instant.Never;
                Sometimes.Reached("member-failed");
                _counters = _counters with { Failures = _counters.Failures + 1 };
                Tell(MembershipEventKind.Failed, peer);
                break;
        }
    }

    private void Suspect(Peer peer)
    {
        _counters = _counters with { Suspicions = _counters.Suspicions + 1 };
        peer.FailAt = _now.Now + Max(_options.ProbeTimeout, 2 * LongestDistance());
        peer.State = MemberState.Suspected;
        peer.ProbeNumber = ++_suspicions;
        var target = new ServerIdentity(peer.Name, peer.Record.Disk, peer.Incarnation);
        SendOnAllPaths(peer, new ProbeMessage(MembershipMessageKind.Probe, Self.Name, peer.ProbeNumber, target));
        List<Peer> helpers = _peers.FindAll(other => other.State == MemberState.Alive);
        for (int i = 0; i < _options.ProbeHelpers && helpers.Count > 0; i++)
        {
            int chosen = _random.Below(helpers.Count);
            SendOnAllPaths(helpers[chosen], new ProbeMessage(MembershipMessageKind.ProbeRequest, Self.Name, peer.ProbeNumber, target));
            helpers.RemoveAt(chosen);
        }
    }

    private void TakeProbe(ServerIdentity from, ProbeMessage probe)
    {
        if (Admit(from) is not { } sender)
        {
            return;
        }

        Hear(sender);
        switch (probe.Kind)
        {
            case MembershipMessageKind.ProbeRequest when probe.Origin == from.Name && PeerOf(probe.Target.Name) is { } target:
                PassOn(target, probe with { Kind = MembershipMessageKind.Probe }, sender.RequestsTaken);
                break;
            case MembershipMessageKind.Probe when probe.Target.Name == Self.Name:
                SendOnAllPaths(sender, probe with { Kind = MembershipMessageKind.ProbeAnswer, Target = Self });
                break;
            case MembershipMessageKind.ProbeAnswer when probe.Origin == Self.Name:
                TakeAnswer(probe);
                break;
            case MembershipMessageKind.ProbeAnswer when probe.Target == from && PeerOf(probe.Origin) is { } origin:
                PassOn(origin, probe, origin.AnswersPassed);
                break;
            default:
                _counters = _counters with { Malformed = _counters.Malformed + 1 };
                break;
        }
    }

    // An answer counts for the suspicion that asked; a late one says that the peer lived then, not that it lives.
    private void TakeAnswer(ProbeMessage answer)
    {
        if (PeerOf(answer.Target.Name) is { State: MemberState.Suspected } suspected && suspected.ProbeNumber == answer.Number
            && !Buggify.Here("probe-fails", 0.5) && Admit(answer.Target) is { } peer)
        {
            Sometimes.Reached("probe-refutes-a-suspicion");
            Hear(peer);
        }
    }

    // What comes by two ways and leaves by two would double at each server.
    private void PassOn(Peer to, ProbeMessage probe, RecentNumbers passed)
    {
        if (passed.Add(probe.Number))
        {
            SendOnAllPaths(to, probe);
        }
    }

    // Probes are rare and worth both ways.
    private void SendOnAllPaths(Peer to, ProbeMessage probe)
    {
        byte[] bytes = new byte[probe.Size];
        probe.Write(bytes);
        _outbox.Send(MessagePath.Datagram, to.Name, bytes);
        if (to.TunnelIsUp)
        {
            _outbox.Send(MessagePath.Tunnel, to.Name, bytes);
        }
    }

    private static TimeSpan Max(TimeSpan a, TimeSpan b) => a >= b ? a : b;
}
