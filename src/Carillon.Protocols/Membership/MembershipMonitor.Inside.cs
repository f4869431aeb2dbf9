using System.Collections.Immutable;
using Carillon.Protocols.Cluster;

namespace Carillon.Protocols.Membership;

/// <content>What the inputs do: who is admitted, what a heartbeat tells, when silence is a failure.</content>
public sealed partial class MembershipMonitor
{
    private void Begin(Moment now)
    {
        // Time never runs backwards here, even if a driver hands in a moment that it took before another.
        Instant before = _now.Now;
        Instant at = now.Now < before ? before : now.Now;
        _now = now with { Now = at };
        TimeSpan late = at - (_deadline > before ? _deadline : before);
        if (late > _options.HeartbeatInterval)
        {
            _counters = _counters with { OwnPauses = _counters.OwnPauses + 1 };
            foreach (Peer peer in _peers)
            {
                peer.Excuse(late);
            }
        }
    }

    private void End()
    {
        bool changed = _restartSeen;
        _restartSeen = false;
        foreach (Peer peer in _peers)
        {
            bool connected = peer.TunnelIsUp && peer.IsHeard && !(_options.ClockStrict && (peer.Quarantined || _selfQuarantined));
            if (connected != peer.Connected)
            {
                peer.Connected = connected;
                changed = true;
                Tell(connected ? MembershipEventKind.Connected : MembershipEventKind.Disconnected, peer);
            }
        }

        VoterSet voters = FindConnectedVoters();
        VoterSet good = FindClockGoodVoters();
        if (changed || voters != ConnectedVoters || good != ClockGoodVoters)
        {
            ConnectedVoters = voters;
            ClockGoodVoters = good;
            View++;
            _outbox.Tell(MembershipEventKind.ViewChanged, default, default, View);
        }

        _deadline = _nextHeartbeat;
        foreach (Peer peer in _peers)
        {
            _deadline = Instant.Min(_deadline, DeadlineOf(peer));
        }
    }

    private void Populate(ImmutableArray<Peer> known)
    {
        _peers.Clear();
        _selfIndex = -1;
        _selfBit = Configuration.Find(Self.Name)?.Disk == Self.Disk ? Configuration.BitOf(Self.Name) : -1;
        for (int index = 0; index < Configuration.Servers.Length; index++)
        {
            ServerRecord record = Configuration.Servers[index];
            int bit = Configuration.BitOf(record.Name);
            if (record.Name == Self.Name)
            {
                _selfIndex = index;
            }
            else if (known.FirstOrDefault(peer => peer.Name == record.Name && peer.Record.Disk == record.Disk) is { } peer)
            {
                peer.Move(record, index, bit);
                _peers.Add(peer);
            }
            else
            {
                _peers.Add(new Peer(record, index, bit, _now.Now));
            }
        }

        foreach (Peer gone in known.Where(peer => peer.Connected && !_peers.Contains(peer)))
        {
            Tell(MembershipEventKind.Disconnected, gone);
            _restartSeen = true;
        }
    }

    private Peer? PeerOf(NodeId server)
    {
        foreach (Peer peer in _peers)
        {
            if (peer.Name == server)
            {
                return peer;
            }
        }

        return null;
    }

    /// <summary>The peer that this identity stands for, or null if it does not: unknown, another disk, a former life.</summary>
    private Peer? Admit(ServerIdentity from)
    {
        if (PeerOf(from.Name) is not { } peer)
        {
            _counters = _counters with { Strangers = _counters.Strangers + 1 };
            return null;
        }

        if (from.Disk != peer.Record.Disk)
        {
            _counters = _counters with { UnknownDisks = _counters.UnknownDisks + 1 };
            Accuse(peer, MemberFault.UnknownDisk, MembershipEventKind.UnknownDisk, from.Incarnation);
            return null;
        }

        if (from.Incarnation < peer.Incarnation && !SeededBug.Is("membership-accepts-lower-incarnation"))
        {
            _counters = _counters with { LowerIncarnations = _counters.LowerIncarnations + 1 };
            Accuse(peer, MemberFault.BehindRecord, MembershipEventKind.BehindRecord, from.Incarnation);
            return null;
        }

        if (from.Incarnation != peer.Incarnation)
        {
            Meet(peer, from.Incarnation);
        }

        peer.Imposter = MemberFault.None;
        return peer;
    }

    // While the right one is heard, the wrong one is a straggler, and only counted.
    private void Accuse(Peer peer, MemberFault fault, MembershipEventKind kind, Incarnation incarnation)
    {
        if (peer.State != MemberState.Alive && peer.Imposter != fault)
        {
            peer.Imposter = fault;
            _outbox.Tell(kind, peer.Name, incarnation, View);
        }
    }

    private void Meet(Peer peer, Incarnation incarnation)
    {
        bool restarted = peer.EverHeard;
        peer.Become(incarnation);
        if (restarted)
        {
            _restartSeen = true;
            Tell(MembershipEventKind.Restarted, peer);
        }

        if (incarnation > peer.Recorded)
        {
            AskForRecord(peer);
        }
    }

    private void AskForRecord(Peer peer)
    {
        peer.RecordAskedAt = _now.Now;
        _outbox.Record(new IncarnationRecord(peer.Name, peer.Record.Disk, peer.Incarnation));
    }

    // A full disk may have refused it; without its record the peer would never count as a voter.
    private void AskAgainForRecords()
    {
        foreach (Peer peer in _peers)
        {
            if (peer.EverHeard && peer.Recorded < peer.Incarnation && _now.Now - peer.RecordAskedAt >= RecordAgain)
            {
                AskForRecord(peer);
            }
        }
    }

    // A datagram of our own that the group brings back; or somebody else under our name.
    private void MeetOwnName(ServerIdentity from)
    {
        if (from == Self)
        {
            return;
        }

        if (from.Disk != Self.Disk)
        {
            _counters = _counters with { UnknownDisks = _counters.UnknownDisks + 1 };
        }
        else if (from.Incarnation > Self.Incarnation)
        {
            FallBehind();
        }
        else
        {
            _counters = _counters with { LowerIncarnations = _counters.LowerIncarnations + 1 };
        }
    }

    private void FallBehind()
    {
        if (!_behindRecord)
        {
            _behindRecord = true;
            _outbox.Tell(MembershipEventKind.BehindRecord, Self.Name, Self.Incarnation, View);
        }
    }

    private void Hear(Peer peer)
    {
        if (peer.State == MemberState.Suspected)
        {
            _counters = _counters with { Refutations = _counters.Refutations + 1 };
        }

        if (!peer.EverHeard || peer.State == MemberState.Failed)
        {
            peer.EverHeard = true;
            peer.AliveSince = _now.Now;
            Tell(MembershipEventKind.Heard, peer);
        }

        peer.State = MemberState.Alive;
        peer.LastHeard = _now.Now;
        peer.FailAt = Instant.Never;
    }

    private void TakeHeartbeat(ServerIdentity from, in Heartbeat heartbeat)
    {
        // A late one proves nothing of the present; a copy of the newest one still shows that its way works.
        if (Admit(from) is not { } peer || heartbeat.Number < peer.LastNumber)
        {
            return;
        }

        peer.DatagramAt = heartbeat.Path == MessagePath.Tunnel ? peer.DatagramAt : _now.Now;
        peer.GroupAt = heartbeat.Path == MessagePath.Group ? _now.Now : peer.GroupAt;
        if (heartbeat.Number == peer.LastNumber)
        {
            return;
        }

        _counters = _counters with { HeartbeatsReceived = _counters.HeartbeatsReceived + 1 };
        Hear(peer);
        peer.LastNumber = heartbeat.Number;
        peer.HeartbeatAt = _now.Now;
        peer.HeartbeatSent = HeartbeatComposer.Microseconds(heartbeat.Monotonic);
        peer.Interval = heartbeat.Interval;
        peer.ConfigurationVersion = heartbeat.ConfigurationVersion;
        peer.SaysItVotes = heartbeat.Votes;
        peer.Load = heartbeat.Load;
        if (heartbeat.ConfigurationVersion != Configuration.Version || _selfIndex < 0)
        {
            return;
        }

        foreach (HeartbeatEcho echo in heartbeat.Echoes)
        {
            if (echo.Index == _selfIndex)
            {
                TakeEcho(peer, echo, heartbeat.Wall);
            }
        }
    }

    private void TakeEcho(Peer peer, HeartbeatEcho echo, WallTime peerWall)
    {
        uint own = unchecked((uint)Self.Incarnation.Value);
        if (echo.Incarnation > own && Configuration.Servers[_selfIndex].Disk == Self.Disk)
        {
            FallBehind();
        }

        if (echo.Incarnation != own)
        {
            return;
        }

        peer.ReachedAt = Reached(echo.DatagramAge) ?? peer.ReachedAt;
        peer.GroupReachedAt = Reached(echo.GroupAge) ?? peer.GroupReachedAt;
        if (echo.Held == HeartbeatEcho.NotHeld)
        {
            return;
        }

        // As in NTP the time that the peer held it is not part of the way. Both differences are of one server's own clock.
        uint elapsed = unchecked(HeartbeatComposer.Microseconds(_now.Now) - echo.Sent);
        TimeSpan roundTrip = TimeSpan.FromMicroseconds((long)elapsed - echo.Held);
        if (roundTrip >= TimeSpan.Zero && roundTrip <= LongestRoundTrip)
        {
            peer.Clock.Add(roundTrip, peerWall, _now.Now);
        }
    }

    private Instant? Reached(byte age) => age == HeartbeatEcho.NeverHeard ? null : _now.Now - (age * HeartbeatEcho.AgeUnit);

    private void SendHeartbeat()
    {
        TimeSpan interval = CurrentInterval();
        _nextHeartbeat = _now.Now + (interval * (1 - Spread + (2 * Spread * _random.Fraction())));
        if (_peers.Count == 0)
        {
            return;
        }

        Heartbeat heartbeat = _composer.Next(
            _peers, Configuration.Version, interval, SelfFault == MemberFault.None, _load, _now);
        _counters = _counters with { HeartbeatsSent = _counters.HeartbeatsSent + 1 };
        if (_trial.IsGroupDue(_now.Now))
        {
            _outbox.Send(MessagePath.Group, default, Encode(heartbeat, MessagePath.Group));
        }

        ReadOnlyMemory<byte> datagram = default;
        ReadOnlyMemory<byte> tunnel = default;
        foreach (Peer peer in _peers)
        {
            if (_trial.NeedsDatagram(peer, _now.Now, interval))
            {
                datagram = datagram.IsEmpty ? Encode(heartbeat, MessagePath.Datagram) : datagram;
                _outbox.Send(MessagePath.Datagram, peer.Name, datagram);
            }

            if (MulticastTrial.NeedsTunnel(peer, _now.Now, interval))
            {
                tunnel = tunnel.IsEmpty ? Encode(heartbeat, MessagePath.Tunnel) : tunnel;
                _outbox.Send(MessagePath.Tunnel, peer.Name, tunnel);
            }
        }
    }

    private static byte[] Encode(Heartbeat heartbeat, MessagePath path)
    {
        byte[] bytes = new byte[heartbeat.Size];
        (heartbeat with { Path = path }).Write(bytes);
        return bytes;
    }

    // Seed 003, §5.2: the interval cannot be lower than the round-trip time.
    private TimeSpan CurrentInterval() => Max(_options.HeartbeatInterval, LongestDistance());

    private TimeSpan LongestDistance()
    {
        TimeSpan longest = TimeSpan.Zero;
        foreach (Peer peer in _peers)
        {
            longest = peer.State == MemberState.Alive && peer.Clock.IsMeasured ? Max(longest, peer.Clock.RoundTrip) : longest;
        }

        return longest;
    }

    private VoterSet FindConnectedVoters()
    {
        VoterSet voters = default;
        if (_selfBit >= 0 && SelfFault == MemberFault.None)
        {
            voters = voters.With(_selfBit);
        }

        foreach (Peer peer in _peers)
        {
            voters = peer is { Connected: true, Votes: true } ? voters.With(peer.Bit) : voters;
        }

        return voters;
    }

    private VoterSet FindClockGoodVoters()
    {
        VoterSet good = default;
        if (_selfBit >= 0 && !_selfQuarantined)
        {
            good = good.With(_selfBit);
        }

        foreach (Peer peer in _peers)
        {
            good = peer.Bit >= 0 && !peer.Quarantined ? good.With(peer.Bit) : good;
        }

        return good;
    }

    private void Tell(MembershipEventKind kind, Peer peer) => _outbox.Tell(kind, peer.Name, peer.Incarnation, View);
}
