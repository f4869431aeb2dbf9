using System.Collections.Immutable;
using Carillon.Protocols.Wire;

namespace Carillon.Protocols.Membership;

/// <summary>
/// Makes this server's heartbeats. With 64 servers and the longest names a sealed heartbeat has 1,157 bytes, so all echoes fit
/// the default of 1,400; where they do not, they take turns.
/// </summary>
internal sealed class HeartbeatComposer(ServerIdentity self, int datagramBytes)
{
    private readonly int _room =
        (datagramBytes - SealedDatagram.Overhead(self.Name) - Heartbeat.SizeWithout(self)) / HeartbeatEcho.Size;

    private int _turn;
    private uint _number;

    /// <summary>The next heartbeat, without a path.</summary>
    public Heartbeat Next(List<Peer> peers, ulong configurationVersion, TimeSpan interval, bool votes, LoadReport load, Moment now)
    {
        int count = Math.Min(_room, peers.Count);
        var echoes = ImmutableArray.CreateBuilder<HeartbeatEcho>(count);
        for (int i = 0; i < count; i++)
        {
            echoes.Add(EchoOf(peers[(_turn + i) % peers.Count], now.Now));
        }

        _turn = peers.Count == 0 ? 0 : (_turn + count) % peers.Count;
        return new Heartbeat
        {
            Sender = self,
            ConfigurationVersion = configurationVersion,
            Number = ++_number,
            Interval = interval,
            Monotonic = now.Now,
            Wall = now.Wall,
            Votes = votes,
            Load = load,
            Echoes = echoes.DrainToImmutable(),
        };
    }

    /// <summary>The low 32 bits of a monotonic clock's microseconds, as echoes carry them: they wrap after 71 minutes.</summary>
    public static uint Microseconds(Instant at) => unchecked((uint)(at.Ticks / TimeSpan.TicksPerMicrosecond));

    private static HeartbeatEcho EchoOf(Peer peer, Instant now)
    {
        long held = peer.LastNumber == 0 ? HeartbeatEcho.NotHeld : (now - peer.HeartbeatAt).Ticks / TimeSpan.TicksPerMicrosecond;
        return new HeartbeatEcho(
            (byte)peer.Index, unchecked((uint)peer.Incarnation.Value), peer.HeartbeatSent, (uint)Math.Min(held, HeartbeatEcho.NotHeld),
            Age(peer.DatagramAt, now), Age(peer.GroupAt, now));
    }

    private static byte Age(Instant? at, Instant now) =>
        at is { } heard
            ? (byte)Math.Min((now - heard).Ticks / HeartbeatEcho.AgeUnit.Ticks, HeartbeatEcho.NeverHeard)
            : HeartbeatEcho.NeverHeard;
}
