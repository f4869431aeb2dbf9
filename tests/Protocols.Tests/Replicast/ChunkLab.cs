using Carillon.Protocols.Cluster;
using Carillon.Protocols.Replicast;
using Xunit;

namespace Carillon.Protocols.Tests.Replicast;

/// <summary>A cluster of replication cores on a virtual network: messages take a millisecond, transfers and disks five.</summary>
internal sealed class ChunkLab
{
    private readonly SortedDictionary<(Instant At, ulong Order), Action> _events = [];
    private readonly SortedDictionary<NodeId, LabServer> _servers = [];
    private ulong _order;

    public ChunkLab(ulong seed, ChunkReplicationOptions options, params string[] servers)
    {
        Random = new RandomSource(seed);
        Options = options;
        Assert.Empty(options.Validate());
        Configuration = new ClusterConfiguration("lab", 1, [.. servers.Select(Record)]);
        foreach (ServerRecord server in Configuration.Servers)
        {
            _servers.Add(server.Name, new LabServer(this, server.Name));
        }
    }

    /// <summary>Quick upkeep, so that tests need few virtual minutes.</summary>
    public static ChunkReplicationOptions QuickOptions { get; } = new()
    {
        RepairInterval = TimeSpan.FromSeconds(2), CollectInterval = TimeSpan.FromSeconds(5), CollectGrace = TimeSpan.FromSeconds(20),
        ScrubPeriod = TimeSpan.FromMinutes(5), VerifyTimeout = TimeSpan.FromSeconds(2),
    };

    public RandomSource Random { get; }

    public ChunkReplicationOptions Options { get; }

    public ClusterConfiguration Configuration { get; }

    public Instant Now { get; private set; } = new(10_000_000);

    public Moment Moment => new(Now, new WallTime(1_000_000 + (Now.Ticks / 10_000)));

    /// <summary>Where the cores' calls are written, one a line; null where nobody reads them.</summary>
    public List<string>? Effects { get; set; }

    /// <summary>Chunks that kept versions refer to.</summary>
    public HashSet<ChunkId> Referenced { get; } = [];

    public IEnumerable<LabServer> Servers => _servers.Values;

    public LabServer this[NodeId name] => _servers[name];

    public LabServer this[string name] => _servers[NodeId.Parse(name)];

    public static Tag TagOf(int number) => new(new Uid(new Timestamp((ulong)number + 1), NodeId.Parse("s1")), (ulong)number);

    /// <summary>A chunk of a row.</summary>
    public static ChunkId ChunkOf(int row, int number) => new(new Digest(((ulong)row << 56) | ((uint)number + 1), 0, 0, (ulong)number));

    public void After(TimeSpan delay, Action action) => _events.Add((Now + delay, ++_order), action);

    public void Run(TimeSpan time)
    {
        Instant end = Now + time;
        while (true)
        {
            Instant due = Servers.Where(s => s.IsUp).Select(s => s.Core.NextDeadline).Append(Instant.Never).Min();
            Instant next = _events.Count > 0 ? Instant.Min(due, _events.First().Key.At) : due;
            if (next > end)
            {
                Now = end;
                return;
            }

            Now = next > Now ? next : Now;
            while (_events.Count > 0 && _events.First() is var first && first.Key.At <= Now)
            {
                _events.Remove(first.Key);
                first.Value();
            }

            foreach (LabServer server in Servers.Where(s => s.IsUp && s.Core.NextDeadline <= Now))
            {
                server.Core.Advance(Moment);
            }
        }
    }

    public bool AreConnected(LabServer a, LabServer b) =>
        a.IsUp && b.IsUp && !a.Unreachable.Contains(b.Name) && !b.Unreachable.Contains(a.Name);

    public void Cut(LabServer a, LabServer b)
    {
        a.Unreachable.Add(b.Name);
        b.Unreachable.Add(a.Name);
        a.Core.PeerDown(b.Name, Moment);
        b.Core.PeerDown(a.Name, Moment);
    }

    public void Join(LabServer a, LabServer b)
    {
        a.Unreachable.Remove(b.Name);
        b.Unreachable.Remove(a.Name);
        if (a.IsUp && b.IsUp)
        {
            a.Core.PeerUp(b.Name, Moment);
            b.Core.PeerUp(a.Name, Moment);
        }
    }

    public void Crash(LabServer server)
    {
        server.IsUp = false;
        foreach (LabServer other in Servers.Where(s => s.IsUp))
        {
            other.Core.PeerDown(server.Name, Moment);
        }
    }

    public void Start(LabServer server)
    {
        server.Restart();
        foreach (LabServer other in Servers.Where(s => AreConnected(s, server) && s != server))
        {
            other.Core.PeerUp(server.Name, Moment);
            server.Core.PeerUp(other.Name, Moment);
        }
    }

    /// <summary>Joins all and starts all; everything that was wrong is over.</summary>
    public void Heal()
    {
        foreach (LabServer server in Servers)
        {
            server.Unreachable.Clear();
            server.IsFull = false;
            server.IsSilent = false;
        }

        foreach (LabServer server in Servers.Where(s => !s.IsUp).ToArray())
        {
            server.Restart();
        }

        foreach (LabServer a in Servers)
        {
            foreach (LabServer b in Servers.Where(b => b != a))
            {
                a.Core.PeerUp(b.Name, Moment);
            }
        }
    }

    private static ServerRecord Record(string name)
    {
        // "s1" is a domain of its own, "s1:a" is in domain a.
        string[] parts = name.Split(':');
        return new ServerRecord
        {
            Name = NodeId.Parse(parts[0]), Disk = new DiskId(Digest.Of(System.Text.Encoding.ASCII.GetBytes(name)).A), Host = parts[0],
            HttpPort = 1, TunnelPort = 2, DatagramPort = 3, FailureDomain = parts.Length > 1 ? parts[1] : "",
        };
    }
}
