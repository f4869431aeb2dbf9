namespace Carillon.Protocols.Membership;

/// <summary>
/// Decides whether heartbeats go to the multicast group or to each server (REP-138). Trial datagrams go to the group all the
/// time, and every echo says when one arrived; so the group is used once everybody who is heard has heard it for a while, and
/// given up when somebody no longer does. Meanwhile that one is sent copies of its own (<see cref="NeedsDatagram"/>), so that a
/// group that stops working is never mistaken for servers that stop.
/// </summary>
internal sealed class MulticastTrial(MembershipOptions options)
{
    // Trial datagrams that may be lost in a row before a server counts as deaf to the group.
    private const int TrialsLost = 3;

    private readonly TransportChoice _choice = options.Transport;
    private Instant? _trialAt;
    private Instant? _heardByAllSince;
    private NodeId _deaf;
    private NodeId _blocked;
    private bool _anyoneHeard;

    /// <summary>True while the group is used.</summary>
    public bool Multicast { get; private set; } = options.Transport == TransportChoice.Multicast;

    /// <summary>Mode and reason for <c>cluster status</c>.</summary>
    public TransportStatus Status => new(
        Multicast, _blocked.IsNone ? Reason() : $"{Reason()}; no datagrams reach {_blocked}, its heartbeats go through the tunnel");

    /// <summary>True if this heartbeat also, or only, goes to the group.</summary>
    public bool IsGroupDue(Instant now)
    {
        bool due = Multicast || (_choice == TransportChoice.Auto && (_trialAt is not { } last || now - last >= options.MulticastProbe));
        if (due)
        {
            _trialAt = now;
        }

        return due;
    }

    /// <summary>True if this heartbeat goes to the peer by a datagram of its own.</summary>
    public bool NeedsDatagram(Peer peer, Instant now, TimeSpan interval) =>
        _choice != TransportChoice.Multicast && (!Multicast || !IsFresh(peer.GroupReachedAt, now, Patience(peer, interval)));

    /// <summary>True if this heartbeat also goes through the tunnel, since datagrams do not seem to arrive.</summary>
    public static bool NeedsTunnel(Peer peer, Instant now, TimeSpan interval) =>
        peer.TunnelIsUp && !IsFresh(peer.ReachedAt, now, Patience(peer, interval));

    /// <summary>Looks at who hears the group; true if the mode changed.</summary>
    public bool Evaluate(List<Peer> peers, Instant now)
    {
        _deaf = default;
        _blocked = default;
        _anyoneHeard = false;
        foreach (Peer peer in peers)
        {
            if (peer.State == MemberState.Alive)
            {
                _anyoneHeard = true;
                _deaf = _deaf.IsNone && !Hears(peer, now) ? peer.Name : _deaf;
                _blocked = _blocked.IsNone && IsBlocked(peer, now) ? peer.Name : _blocked;
            }
        }

        if (!_anyoneHeard || !_deaf.IsNone)
        {
            _heardByAllSince = null;
        }

        if (_choice != TransportChoice.Auto || !_anyoneHeard)
        {
            return false;
        }

        bool before = Multicast;
        if (_deaf.IsNone)
        {
            _heardByAllSince ??= now;
            Multicast |= now - _heardByAllSince.Value >= options.MulticastSettle;
        }
        else
        {
            Multicast = false;
        }

        return Multicast != before;
    }

    // While the group is used a server that has just come has until the end of the settling time to tell that it hears it.
    private bool Hears(Peer peer, Instant now)
    {
        Instant? reached = peer.GroupReachedAt;
        if (!Multicast)
        {
            return IsFresh(reached, now, (TrialsLost * options.MulticastProbe) + peer.Interval + RoundTripOf(peer));
        }

        return now - Later(reached, peer.AliveSince) <= options.MulticastSettle + (2 * peer.Interval);
    }

    // Only for the reason: heartbeats through the tunnel keep such a server alive, but a firewall should be told of.
    private bool IsBlocked(Peer peer, Instant now) =>
        peer.TunnelIsUp && now - Later(peer.ReachedAt, peer.AliveSince) > options.MulticastSettle + (2 * peer.Interval);

    private static Instant Later(Instant? reached, Instant since) => reached is { } at && at > since ? at : since;

    // In the ordinary course an echo is as old as the time between two of our heartbeats, plus that between two of the peer's,
    // plus the way back; one more of our intervals forgives one lost datagram in most cases.
    private static TimeSpan Patience(Peer peer, TimeSpan interval) => (2 * interval) + peer.Interval + RoundTripOf(peer);

    private static TimeSpan RoundTripOf(Peer peer) => peer.Clock.IsMeasured ? peer.Clock.RoundTrip : TimeSpan.Zero;

    private static bool IsFresh(Instant? at, Instant now, TimeSpan patience) => at is { } reached && now - reached <= patience;

    private string Reason() => _choice switch
    {
        TransportChoice.Unicast => "set by transport.mode: unicast",
        TransportChoice.Multicast when !_deaf.IsNone => $"set by transport.mode: multicast, though {_deaf} does not hear the group",
        TransportChoice.Multicast => "set by transport.mode: multicast",
        _ when !_anyoneHeard => "no other server is heard",
        _ when Multicast => "every server that is heard hears the group",
        _ when !_deaf.IsNone => $"{_deaf} does not hear the group",
        _ => "every server hears the group; waiting for it to last",
    };
}
