using System.Collections.Immutable;
using Carillon.Protocols.Cluster;
using Carillon.Protocols.Primacy;

namespace Carillon.Protocols.Tests.Primacy;

/// <summary>
/// A few selection mechanisms on a virtual network: tunnels keep their order and lose everything when they break, datagrams get lost and
/// doubled, each flush takes a while, a crash keeps what was flushed, clocks run at their own pace. One seed decides a run.
/// </summary>
internal sealed class PrimacyLab
{
    private readonly PriorityQueue<Action, (long Ticks, long Order)> _events = new();
    private long _order;

    public PrimacyLab(int servers, ulong seed, PrimacyOptions? options = null, double drift = 0)
    {
        Random = new RandomSource(seed);
        Options = options ?? new PrimacyOptions();
        Configuration = new ClusterConfiguration("lab", 1, [.. Enumerable.Range(1, servers).Select(i => new ServerRecord
        {
            Name = NodeId.Parse($"s{i}"), Disk = new DiskId((UInt128)i), Host = "127.0.0.1", HttpPort = 1, TunnelPort = 2, DatagramPort = 3,
        })]);
        foreach (NodeId name in Configuration.Voters)
        {
            double pace = 1 + (drift * ((2 * Random.Fraction()) - 1));
            Servers.Add(name, new PrimacyServer(this, name, pace));
        }

        foreach (PrimacyServer server in Servers.Values)
        {
            server.Start();
        }

        Reconnect();
    }

    public ClusterConfiguration Configuration { get; }

    public PrimacyOptions Options { get; }

    public RandomSource Random { get; }

    public SortedDictionary<NodeId, PrimacyServer> Servers { get; } = [];

    /// <summary>True time.</summary>
    public long Now { get; private set; } = TimeSpan.TicksPerHour;

    public double DatagramLoss { get; set; }

    public TimeSpan Delay { get; set; } = TimeSpan.FromMilliseconds(1);

    public TimeSpan FlushTime { get; set; } = TimeSpan.FromMilliseconds(2);

    /// <summary>Directions in which nothing arrives.</summary>
    public HashSet<(NodeId From, NodeId To)> Cut { get; } = [];

    /// <summary>The table that every server has been told.</summary>
    public ImmutableArray<ServiceEntry> Table { get; private set; } = [];

    /// <summary>Who acted when, in true time.</summary>
    public List<Acting> Actings { get; } = [];

    /// <summary>What went wrong.</summary>
    public List<string> Faults { get; } = [];

    /// <summary>Hears what a server orders and learns.</summary>
    public Action<NodeId, string>? OnEffect { get; set; }

    public PrimacyServer this[string name] => Servers[NodeId.Parse(name)];

    public void At(TimeSpan delay, Action action) => _events.Enqueue(action, (Now + delay.Ticks, _order++));

    public bool Reaches(NodeId a, NodeId b) => !Cut.Contains((a, b)) && !Cut.Contains((b, a)) && Servers[a].IsUp && Servers[b].IsUp;

    public void SetTable(params ServiceEntry[] entries)
    {
        Table = [.. entries];
        foreach (PrimacyServer server in Servers.Values.Where(s => s.IsUp))
        {
            server.SetTable();
        }
    }

    public ServiceEntry Entry(string name, string with = "", string secondaries = "", params string[] providers)
    {
        ImmutableArray<NodeId> nodes = providers.Length == 0 ? Configuration.Voters : [.. providers.Select(NodeId.Parse)];
        return new ServiceEntry
        {
            Definition = new ServiceDefinition
            {
                Name = ServiceName.Parse(name),
                Providers = nodes,
                With = with.Length == 0 ? default : ServiceName.Parse(with),
                Command = new ServiceCommand { Arguments = ["run"], Grace = TimeSpan.FromMilliseconds(200) },
            },
            Eligible = nodes,
            Secondaries = secondaries.Length == 0 ? [] : [.. secondaries.Split(',').Select(NodeId.Parse)],
        };
    }

    /// <summary>The table is to be this; who is told of it hears so later.</summary>
    public void PrepareTable(params ServiceEntry[] entries) => Table = [.. entries];

    /// <summary>Tells everybody whom it can reach, after the time that noticing takes.</summary>
    public void Reconnect(TimeSpan notice = default)
    {
        foreach (PrimacyServer server in Servers.Values)
        {
            At(notice, () => server.Input(now => server.Core.ConnectivityChanged(now)));
        }
    }

    public void Isolate(params string[] names)
    {
        foreach (NodeId a in Configuration.Voters)
        {
            foreach (NodeId b in Configuration.Voters)
            {
                if (names.Contains(a.Name) != names.Contains(b.Name))
                {
                    Cut.Add((a, b));
                }
            }
        }

        Reconnect(TimeSpan.FromMilliseconds(600));
    }

    public void Heal()
    {
        Cut.Clear();
        DatagramLoss = 0;
        Reconnect(TimeSpan.FromMilliseconds(5));
    }

    /// <summary>Hears of every tunnel message.</summary>
    public Action<NodeId, NodeId, ReadOnlyMemory<byte>>? OnSend { get; set; }

    public void Carry(NodeId from, NodeId to, ReadOnlyMemory<byte> message)
    {
        OnSend?.Invoke(from, to, message);
        if (Cut.Contains((from, to)) || !Servers[to].IsUp)
        {
            return;
        }

        // In order per pair: the delay is the same for all.
        ServerIdentity identity = Servers[from].Identity;
        int connection = Servers[to].Life;
        At(Delay, () =>
        {
            if (!Cut.Contains((from, to)) && Servers[to].Life == connection)
            {
                Servers[to].Input(now => Servers[to].Core.Receive(identity, message.Span, isDatagram: false, now));
            }
        });
    }

    public void CarryDatagram(NodeId from, NodeId to, ReadOnlyMemory<byte> message)
    {
        int copies = Random.Chance(DatagramLoss) ? 0 : Random.Chance(DatagramLoss / 4) ? 2 : 1;
        ServerIdentity identity = Servers[from].Identity;
        for (int i = 0; i < copies; i++)
        {
            TimeSpan extra = DatagramLoss == 0 ? default : new TimeSpan(Random.Below(20 * TimeSpan.TicksPerMillisecond));
            At(Delay + extra, () =>
            {
                if (!Cut.Contains((from, to)))
                {
                    Servers[to].Input(now => Servers[to].Core.Receive(identity, message.Span, isDatagram: true, now));
                }
            });
        }
    }

    public void Run(TimeSpan span)
    {
        long end = Now + span.Ticks;
        while (_events.TryPeek(out Action? action, out (long Ticks, long Order) at) && at.Ticks <= end)
        {
            _events.Dequeue();
            Now = Math.Max(Now, at.Ticks);
            action();
        }

        Now = end;
    }

    /// <summary>Who may act for a service at this moment.</summary>
    public ImmutableArray<NodeId> Primaries(string service) =>
        [.. Actings.Where(a => a.Service.Name == service && a.EndsAt > Now).Select(a => a.Node)];

    /// <summary>A node begins to act: nobody else may be acting, and its epoch is above all before (E1, E4).</summary>
    public void Begin(PrimacyServer server, ServiceName service, Epoch epoch, long endsAt)
    {
        foreach (Acting other in Actings.Where(a => a.Service == service))
        {
            if (other.EndsAt > Now && other.Node != server.Name)
            {
                Faults.Add($"{server.Name} acts for {service} in epoch {epoch} while {other.Node} may in {other.Epoch}");
            }

            if (other.Epoch >= epoch)
            {
                Faults.Add($"{server.Name} acts for {service} in epoch {epoch} after epoch {other.Epoch} of {other.Node}");
            }
        }

        Actings.Add(new Acting(server.Name, service, epoch) { EndsAt = endsAt, BeganAt = Now });
    }

    /// <summary>One node's time as primary.</summary>
    internal sealed class Acting(NodeId node, ServiceName service, Epoch epoch)
    {
        public NodeId Node { get; } = node;

        public ServiceName Service { get; } = service;

        public Epoch Epoch { get; } = epoch;

        public long BeganAt { get; init; }

        public long EndsAt { get; set; }
    }
}
