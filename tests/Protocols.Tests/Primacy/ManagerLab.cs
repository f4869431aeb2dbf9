using System.Collections.Immutable;
using Carillon.Protocols.Primacy;

namespace Carillon.Protocols.Tests.Primacy;

/// <summary>A replica manager alone: its table is kept by a store that answers at once; nodes say what the test says.</summary>
internal sealed class ManagerLab : IReplicaManagerHost
{
    private long _now = TimeSpan.TicksPerHour;

    public ManagerLab(params string[] servers)
    {
        Servers = [.. servers.Select(NodeId.Parse)];
        Connected.UnionWith(Servers);
        Core = new ReplicaManager(Servers[0], new PrimacyOptions(), this);
        Core.Begin(new Epoch(1), Now);
    }

    public ImmutableArray<NodeId> Servers { get; }

    public ReplicaManager Core { get; private set; }

    public HashSet<NodeId> Connected { get; } = [];

    public Dictionary<ServiceName, (NodeId, Epoch)> Primaries { get; } = [];

    public List<YieldMessage> Yields { get; } = [];

    /// <summary>What a quorum has.</summary>
    public ServiceTable Stored { get; private set; } = ServiceTable.Empty;

    /// <summary>How the next writes end.</summary>
    public TableWrite WriteEnds { get; set; }

    public Moment Now => new(new Instant(_now), new WallTime(_now / TimeSpan.TicksPerMillisecond));

    public ServiceEntry this[string service] => Stored.Entries.Single(e => e.Definition.Name.Name == service);

    public bool IsConnected(NodeId node) => Connected.Contains(node);

    public bool IsServer(NodeId node) => Servers.Contains(node);

    public (NodeId Primary, Epoch Epoch) PrimaryOf(ServiceName service) => Primaries.GetValueOrDefault(service);

    public void Send(NodeId peer, ReadOnlyMemory<byte> message)
    {
        // Nobody listens: one manager alone.
    }

    public void Yield(NodeId primary, YieldMessage message) => Yields.Add(message);

    public void ReadTable(Action<ServiceTable?, Moment> then) => then(Stored, Now);

    public void WriteTable(ServiceTable table, Action<TableWrite, Moment> then)
    {
        if (WriteEnds == TableWrite.Done)
        {
            ServiceTable.TryRead(table.Encode(), out ServiceTable read);
            Stored = read;
        }

        then(WriteEnds, Now);
    }

    public void Run(double seconds)
    {
        long end = _now + (long)(seconds * TimeSpan.TicksPerSecond);
        while (Core.NextDeadline.Ticks <= end)
        {
            _now = Math.Max(_now, Core.NextDeadline.Ticks);
            Core.Advance(Now);
        }

        _now = end;
    }

    /// <summary>Another node of the same name takes over: a new core that reads what is stored.</summary>
    public void Restart(ulong epoch)
    {
        Core = new ReplicaManager(Servers[0], new PrimacyOptions(), this);
        Core.Begin(new Epoch(epoch), Now);
    }

    public ServiceAnswer? Ask(ServiceRequest request)
    {
        ServiceAnswer? answered = null;
        Core.Handle(request, Now, answer => answered = answer);
        return answered;
    }

    public ServiceAnswer? Add(string name, string providers, string with = "", int secondaries = 0, string preferred = "") =>
        Ask(new ServiceRequest.Add(Definition(name, providers, with, secondaries, preferred), Replace: false));

    public static ServiceDefinition Definition(
        string name, string providers, string with = "", int secondaries = 0, string preferred = "") => new()
        {
            Name = ServiceName.Parse(name),
            Providers = [.. providers.Split(',').Select(NodeId.Parse)],
            With = with.Length == 0 ? default : ServiceName.Parse(with),
            WantedSecondaries = secondaries,
            Preferred = preferred.Length == 0 ? default : NodeId.Parse(preferred),
            Command = new ServiceCommand { Arguments = ["run"] },
        };

    public void BecomesPrimary(string service, string node, ulong epoch, double gap = 2)
    {
        Primaries[ServiceName.Parse(service)] = (NodeId.Parse(node), new Epoch(epoch));
        Core.PrimaryKnown(ServiceName.Parse(service), NodeId.Parse(node), new Epoch(epoch), TimeSpan.FromSeconds(gap), Now);
    }

    public void Reports(string node, string service, bool isUp = true, ServiceRole role = ServiceRole.Spare, string detail = "") =>
        Core.OnReport(
            NodeId.Parse(node), new ReportMessage([new ProviderReport(ServiceName.Parse(service), isUp, role, default, detail)]), Now);
}
