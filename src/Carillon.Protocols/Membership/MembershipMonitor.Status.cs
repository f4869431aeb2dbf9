namespace Carillon.Protocols.Membership;

/// <content>Clocks judged, and everything told for <c>cluster status</c>.</content>
public sealed partial class MembershipMonitor
{
    private void ReadClocks()
    {
        _clocks.Begin(Self.Name, _selfBit >= 0, _selfQuarantined, _now);
        foreach (Peer peer in _peers)
        {
            if (peer.IsHeard && peer.Clock.IsMeasured)
            {
                _clocks.Add(peer);
            }
        }
    }

    private void JudgeClocks()
    {
        ReadClocks();
        int quorum = Configuration.Quorum.Size;
        bool selfOff = _clocks.IsOff(Self.Name, quorum, _selfQuarantined);
        if (selfOff != _selfQuarantined)
        {
            _selfQuarantined = selfOff;
            _outbox.Tell(
                selfOff ? MembershipEventKind.Quarantined : MembershipEventKind.QuarantineLifted, Self.Name, Self.Incarnation, View);
        }

        foreach (Peer peer in _peers)
        {
            bool off = _clocks.IsOff(peer.Name, quorum, peer.Quarantined);
            if (off != peer.Quarantined)
            {
                peer.Quarantined = off;
                Tell(off ? MembershipEventKind.Quarantined : MembershipEventKind.QuarantineLifted, peer);
            }
        }
    }

    private ClockOffset OffsetOf(Peer peer) =>
        new(new TimeSpan(peer.Clock.BaseTicks - ClockGuard.SelfBase(_now)), new TimeSpan(peer.Clock.BoundTicks));

    private MemberStatus StatusOf(Peer peer) => new()
    {
        Name = peer.Name,
        State = peer.State,
        Connected = peer.Connected,
        Votes = peer.Votes,
        Fault = peer.Fault,
        Incarnation = peer.Incarnation,
        ConfigurationVersion = peer.ConfigurationVersion,
        SilentFor = peer.EverHeard ? _now.Now - peer.LastHeard : null,
        RoundTrip = peer.Clock.IsMeasured ? peer.Clock.RoundTrip : null,
        Clock = peer.Clock.IsMeasured ? OffsetOf(peer) : null,
        Quarantined = peer.Quarantined,
        Load = peer.Load,
    };

    private MemberStatus StatusOfSelf() => new()
    {
        Name = Self.Name,
        State = MemberState.Alive,
        Connected = true,
        Votes = _selfBit >= 0 && SelfFault == MemberFault.None,
        Fault = SelfFault,
        Incarnation = Self.Incarnation,
        ConfigurationVersion = Configuration.Version,
        SilentFor = TimeSpan.Zero,
        RoundTrip = TimeSpan.Zero,
        Clock = default(ClockOffset),
        Quarantined = _selfQuarantined,
        Load = _load,
    };
}
