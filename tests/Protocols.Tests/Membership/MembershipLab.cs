using System.Collections.Immutable;
using System.Globalization;
using Carillon.Protocols.Cluster;
using Carillon.Protocols.Membership;

namespace Carillon.Protocols.Tests.Membership;

/// <summary>
/// Several <see cref="MembershipMonitor"/>s on a virtual network, driven as a node drives one: datagrams may be cut per link and
/// direction, groups may be deaf, tunnels are dialled when a server is heard and torn when one dies, records are flushed after a
/// millisecond, clocks can be set. Time is virtual, and everything is decided by the seed.
/// </summary>
internal sealed class MembershipLab
{
    private static readonly TimeSpan FlushTime = TimeSpan.FromMilliseconds(1);
    private static readonly TimeSpan DialAgain = TimeSpan.FromMilliseconds(100);

    private readonly PriorityQueue<Action, (Instant At, long Order)> _queue = new();
    private readonly Dictionary<NodeId, LabServer> _servers = [];
    private readonly HashSet<(NodeId From, NodeId To, MessagePath Path)> _cuts = [];
    private readonly HashSet<NodeId> _deafToGroup = [];
    private readonly RandomSource _random;
    private long _order;

    public MembershipLab(int servers, ulong seed = 1, MembershipOptions? options = null, int? entryServers = null)
    {
        _random = new RandomSource(seed);
        Options = options ?? new MembershipOptions();
        Configuration = ConfigurationOf(servers, entryServers ?? servers);
        foreach (ServerRecord record in Configuration.Servers)
        {
            _servers[record.Name] = new LabServer(record.Name, record.Disk);
        }

        Servers = [.. Configuration.Servers.Select(record => _servers[record.Name])];
    }

    public ClusterConfiguration Configuration { get; }

    public MembershipOptions Options { get; }

    public Instant Now { get; private set; } = new(0);

    public TimeSpan Latency { get; set; } = TimeSpan.FromMilliseconds(1);

    /// <summary>Up to this much is added to the latency of each message, at random; tunnels keep their order all the same.</summary>
    public TimeSpan Jitter { get; set; }

    /// <summary>Chance that a datagram is lost.</summary>
    public double Loss { get; set; }

    /// <summary>Chance that a datagram comes twice, the second up to a second late.</summary>
    public double Duplication { get; set; }

    /// <summary>False: the group reaches nobody.</summary>
    public bool GroupWorks { get; set; } = true;

    /// <summary>Called with each event, as it is drained.</summary>
    public Action<NodeId, MembershipEvent>? OnEvent { get; set; }

    /// <summary>Called with each message, as it is sent.</summary>
    public Action<NodeId, MembershipSend>? OnSend { get; set; }

    public LabServer this[string name] => _servers[NodeId.Parse(name)];

    public ImmutableArray<LabServer> Servers { get; }

    public static ClusterConfiguration ConfigurationOf(int servers, int entryServers) => new(
        "lab", 1,
        [
            .. Enumerable.Range(1, servers).Select(i => new ServerRecord
            {
                Name = NodeId.Parse(string.Create(CultureInfo.InvariantCulture, $"s{i}")),
                Disk = new DiskId((UInt128)(1000 + i)),
                Host = "lab",
                HttpPort = 1,
                TunnelPort = 2,
                DatagramPort = 3,
                Entry = i <= entryServers,
            }),
        ]);

    /// <summary>What a server's clocks show now.</summary>
    public Moment MomentOf(LabServer server) => new(
        new Instant(Now.Ticks + server.MonotonicOffset.Ticks),
        new WallTime(((Now.Ticks + server.WallOffset.Ticks) / TimeSpan.TicksPerMillisecond) + 1_700_000_000_000));

    public void Start(LabServer server, Incarnation? incarnation = null, DiskId? disk = null)
    {
        server.Life++;
        server.LastIncarnation = incarnation ?? new Incarnation(server.LastIncarnation.Value + 1);
        server.Identity = new ServerIdentity(server.Name, disk ?? server.Disk, server.LastIncarnation);
        server.Monitor = new MembershipMonitor(
            server.Identity, Configuration, Options, _random.Fork(), server.Durable.Values, MomentOf(server));
        Drain(server);
        foreach (LabServer other in Servers)
        {
            Dial(other, server);
        }
    }

    /// <summary>Power off: its tunnels break, and both ends notice at once, as the kernel of a dead process tells.</summary>
    public void Crash(LabServer server)
    {
        server.Monitor = null;
        server.Life++;
        foreach (LabServer other in Servers.Where(other => other.Monitor is not null))
        {
            other.Monitor!.TunnelDown(server.Identity, MomentOf(other));
            Drain(other);
        }
    }

    /// <summary>The process does not run for a while; what was sent to it waits.</summary>
    public void Pause(LabServer server, TimeSpan time) => server.PausedUntil = Now + time;

    public void Cut(NodeId from, NodeId to, bool datagrams, bool tunnel) =>
        Change(from, to, datagrams, tunnel, (set, link) => set.Add(link));

    public void Heal(NodeId from, NodeId to)
    {
        Change(from, to, datagrams: true, tunnel: true, (set, link) => set.Remove(link));
    }

    public void SetDeaf(NodeId server, bool deaf)
    {
        if (deaf)
        {
            _deafToGroup.Add(server);
        }
        else
        {
            _deafToGroup.Remove(server);
        }
    }

    public void Run(TimeSpan time)
    {
        Instant end = Now + time;
        while (true)
        {
            Instant next = _queue.TryPeek(out _, out (Instant At, long Order) first) ? first.At : Instant.Never;
            foreach (LabServer server in Servers)
            {
                next = Instant.Min(next, DeadlineOf(server));
            }

            if (next > end)
            {
                break;
            }

            Now = next > Now ? next : Now;
            while (_queue.TryPeek(out Action? action, out first) && first.At <= Now)
            {
                _queue.Dequeue();
                action();
            }

            foreach (LabServer server in Servers)
            {
                if (DeadlineOf(server) <= Now)
                {
                    server.Monitor!.Advance(MomentOf(server));
                    Drain(server);
                }
            }
        }

        Now = end;
    }

    /// <summary>Hands a message to a server as if it came from the identity just now.</summary>
    public void Deliver(ServerIdentity from, LabServer to, ReadOnlyMemory<byte> message)
    {
        to.Monitor!.Receive(from, message.Span, MomentOf(to));
        Drain(to);
    }

    /// <summary>Takes the outputs of a server and carries them out.</summary>
    public void Drain(LabServer server)
    {
        MembershipBatch batch = server.Monitor!.Drain();
        server.Deadline = new Instant(batch.Deadline.Ticks - server.MonotonicOffset.Ticks);
        foreach (IncarnationRecord record in batch.Records)
        {
            At(Now + FlushTime, server, server.Life, () =>
            {
                server.Durable[$"{record.Name} {record.Disk}"] = record;
                server.Monitor!.Persisted(record, MomentOf(server));
            });
        }

        foreach (MembershipSend send in batch.Sends)
        {
            OnSend?.Invoke(server.Name, send);
            foreach (LabServer to in Servers.Where(to => send.Path == MessagePath.Group ? to != server : to.Name == send.To))
            {
                Carry(server, to, send);
            }
        }

        foreach (MembershipEvent occurrence in batch.Events)
        {
            OnEvent?.Invoke(server.Name, occurrence);
            if (occurrence.Kind == MembershipEventKind.Heard)
            {
                Dial(server, _servers[occurrence.Server]);
            }
            else if (occurrence.Kind == MembershipEventKind.Failed && server.Monitor is { } monitor)
            {
                DiskId disk = _servers[occurrence.Server].Disk;
                monitor.TunnelDown(new ServerIdentity(occurrence.Server, disk, occurrence.Incarnation), MomentOf(server));
                Drain(server);
            }
        }
    }

    private Instant DeadlineOf(LabServer server) =>
        server.Monitor is null ? Instant.Never
        : server.Deadline > server.PausedUntil ? server.Deadline : server.PausedUntil;

    private void Carry(LabServer from, LabServer to, MembershipSend send)
    {
        bool datagram = send.Path != MessagePath.Tunnel;
        if (_cuts.Contains((from.Name, to.Name, datagram ? MessagePath.Datagram : MessagePath.Tunnel))
            || (send.Path == MessagePath.Group && (!GroupWorks || _deafToGroup.Contains(to.Name)))
            || (datagram && _random.Chance(Loss)))
        {
            return;
        }

        ServerIdentity identity = from.Identity;
        void Arrive() => to.Monitor!.Receive(identity, send.Message.Span, MomentOf(to));
        Instant arrival = Now + Latency + _random.Below(Jitter);
        if (!datagram)
        {
            from.TunnelArrival[to.Name] = arrival = Later(arrival, from.TunnelArrival.GetValueOrDefault(to.Name));
        }

        At(arrival, to, to.Life, Arrive);
        if (datagram && _random.Chance(Duplication))
        {
            At(Now + Latency + _random.Below(TimeSpan.FromSeconds(1)), to, to.Life, Arrive);
        }
    }

    // Three times the way, as a handshake takes; then both ends have it.
    private void Dial(LabServer a, LabServer b) => At(Now + (3 * Latency), a, a.Life, () =>
    {
        bool cut = _cuts.Contains((a.Name, b.Name, MessagePath.Tunnel)) || _cuts.Contains((b.Name, a.Name, MessagePath.Tunnel));
        if (a == b || b.Monitor is null)
        {
            return;
        }

        if (cut)
        {
            At(Now + DialAgain, a, a.Life, () => Dial(a, b));
        }
        else
        {
            a.Monitor!.TunnelUp(b.Identity, MomentOf(a));
            b.Monitor.TunnelUp(a.Identity, MomentOf(b));
            Drain(b);
        }
    });

    private static Instant Later(Instant a, Instant b) => a > b ? a : b;

    // To a later life of the server nothing comes; a paused one gets it when it runs again.
    private void At(Instant at, LabServer server, int life, Action action) => _queue.Enqueue(
        () =>
        {
            if (server.Life != life || server.Monitor is null)
            {
                return;
            }

            if (server.PausedUntil > Now)
            {
                At(server.PausedUntil, server, life, action);
                return;
            }

            action();
            Drain(server);
        },
        (at, _order++));

    private void Change(
        NodeId from, NodeId to, bool datagrams, bool tunnel,
        Func<HashSet<(NodeId, NodeId, MessagePath)>, (NodeId, NodeId, MessagePath), bool> change)
    {
        if (datagrams)
        {
            change(_cuts, (from, to, MessagePath.Datagram));
        }

        if (tunnel)
        {
            change(_cuts, (from, to, MessagePath.Tunnel));
        }
    }
}

/// <summary>One server of a <see cref="MembershipLab"/>.</summary>
internal sealed class LabServer(NodeId name, DiskId disk)
{
    public NodeId Name { get; } = name;

    public DiskId Disk { get; } = disk;

    /// <summary>Null while it is down.</summary>
    public MembershipMonitor? Monitor { get; set; }

    public ServerIdentity Identity { get; set; } = new(name, disk, default);

    public Incarnation LastIncarnation { get; set; }

    /// <summary>Raised at each start and crash: what was on its way to a former life is lost.</summary>
    public int Life { get; set; }

    public Instant Deadline { get; set; } = Instant.Never;

    public Instant PausedUntil { get; set; } = new(0);

    /// <summary>Its monotonic clock against the lab's; no two servers' have the same zero.</summary>
    public TimeSpan MonotonicOffset { get; } = TimeSpan.FromSeconds(1000 * (long)(disk.Value % 97));

    /// <summary>Its wall clock against the lab's.</summary>
    public TimeSpan WallOffset { get; set; }

    /// <summary>When the last message through each tunnel arrives: none overtakes another.</summary>
    public Dictionary<NodeId, Instant> TunnelArrival { get; } = [];

    /// <summary>The incarnation records on its disk.</summary>
    public SortedDictionary<string, IncarnationRecord> Durable { get; } = new(StringComparer.Ordinal);
}
