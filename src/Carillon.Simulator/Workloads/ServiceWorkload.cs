using System.Collections.Immutable;
using Carillon.Protocols;
using Carillon.Protocols.Primacy;
using Carillon.Simulator.Checkers;
using Carillon.Simulator.World;
using Carillon.Storage.Catalogs;

namespace Carillon.Simulator.Workloads;

/// <summary>
/// Services of a run: one that all servers provide, one that must be with it, one of some servers only; and users who move them, add and
/// remove another, all the time.
/// </summary>
internal sealed class ServiceWorkload(SimulatedWorld world, RandomSource random)
{
    /// <summary>The service that all servers provide.</summary>
    public static readonly ServiceName Job = ServiceName.Parse("job");

    private static readonly ServiceName Companion = ServiceName.Parse("companion");
    private static readonly ServiceName Partial = ServiceName.Parse("partial");
    private static readonly ServiceName Passing = ServiceName.Parse("passing");

    private readonly HashSet<ServiceName> _added = [];
    private bool _hasBucket;
    private bool _isAsking;
    private bool _stopped;

    /// <summary>True once the services are in the table, and their bucket is everywhere.</summary>
    public bool IsReady =>
        _added.Count == 3 && world.Servers.TrueForAll(server => server.Node?.HasBucket(PrimacyChecker.Bucket) ?? false);

    /// <summary>Asks for what is not there yet; called again and again until <see cref="IsReady"/>.</summary>
    public void SetUp()
    {
        if (_isAsking)
        {
            return;
        }

        if (!_hasBucket)
        {
            _isAsking = true;
            world.Servers[0].Input((node, now) => node.CreateBucket(
                PrimacyChecker.Bucket, new BucketSettings(), "services-bucket", now, outcome =>
                {
                    _isAsking = false;
                    _hasBucket = outcome is Protocols.VectorExchange.SubmitOutcome.Accepted;
                }));
            return;
        }

        if (Definitions().FirstOrDefault(d => !_added.Contains(d.Name)) is { } definition)
        {
            _isAsking = true;
            Ask(new ServiceRequest.Add(definition, Replace: false), answer =>
            {
                _isAsking = false;
                if (answer.Result == ServiceResult.Done)
                {
                    _added.Add(definition.Name);
                }
                else if (answer.Result != ServiceResult.Unavailable)
                {
                    throw Violation.Of("table", $"a good definition is refused: {answer}");
                }
            });
        }
    }

    /// <summary>Users begin.</summary>
    public void Start() => world.Queue.After(new TimeSpan(random.Below(8 * TimeSpan.TicksPerSecond) + 1), () =>
    {
        if (!_stopped)
        {
            Ask(Request(), static _ => { });
            Start();
        }
    });

    /// <summary>No user asks for anything any more, and no provider fails.</summary>
    public void Stop()
    {
        _stopped = true;
        world.ProvidersWork = false;
    }

    /// <summary>Null if every service that can have a primary has one, and all servers know it; else what is wrong.</summary>
    public string? FaultOf(IReadOnlyList<SimulatedServer> voters)
    {
        foreach (ServiceName service in new[] { Job, Companion })
        {
            Acting[] acting = [.. world.Primacy.Primaries(service)];
            if (acting.Length != 1)
            {
                return $"{acting.Length} nodes act for {service}";
            }

            foreach (SimulatedServer server in voters)
            {
                (NodeId primary, Epoch epoch) = server.Node!.PrimaryOf(service);
                if (primary != acting[0].Node || epoch != acting[0].Epoch)
                {
                    string known = primary.IsNone ? "nobody" : primary.Name;
                    return $"{server.Name} knows {known} as primary of {service}, not {acting[0].Node}";
                }
            }
        }

        return world.Primacy.Primaries(Companion).Single().Node == world.Primacy.Primaries(Job).Single().Node
            ? null : $"{Companion} is not where {Job} is";
    }

    /// <summary>A request that changes nothing: who answers it keeps the table.</summary>
    public void AskForNothing(Action<ServiceAnswer> then) => Ask(new ServiceRequest.Add(Definitions()[0], Replace: false), then);

    private ServiceRequest Request() => random.Below(8) switch
    {
        0 => new ServiceRequest.Add(Definition(Passing, default, 0, world.Servers), Replace: true),
        1 => new ServiceRequest.Remove(Passing),
        2 => new ServiceRequest.Remove(Job),
        3 => new ServiceRequest.Move(Companion, AnyServer()),
        4 => new ServiceRequest.Move(Partial, default),
        _ => new ServiceRequest.Move(Job, random.Chance(0.5) ? AnyServer() : default),
    };

    private NodeId AnyServer() => world.Servers[random.Below(world.Servers.Count)].Name;

    private ImmutableArray<ServiceDefinition> Definitions() =>
    [
        Definition(Job, default, world.Servers.Count - 1, world.Servers),
        Definition(Companion, Job, 0, world.Servers),
        Definition(Partial, default, 0, world.Servers.Take((world.Servers.Count + 1) / 2)),
    ];

    private static ServiceDefinition Definition(
        ServiceName name, ServiceName with, int secondaries, IEnumerable<SimulatedServer> servers) => new()
        {
            Name = name,
            Providers = [.. servers.Select(s => s.Name)],
            With = with,
            WantedSecondaries = Math.Min(1, secondaries),
            Command = new ServiceCommand { Arguments = ["run"], Grace = TimeSpan.FromMilliseconds(300) },
        };

    private void Ask(ServiceRequest request, Action<ServiceAnswer> then)
    {
        SimulatedServer server = world.Servers[random.Below(world.Servers.Count)];
        if (server.State == ServerState.Running)
        {
            int life = server.Life;
            bool answered = false;
            server.Input((node, now) => node.AskManager(request, now, answer =>
            {
                answered = true;
                then(answer);
            }));
            world.Queue.After(TimeSpan.FromSeconds(30), () =>
            {
                if (!answered && life != server.Life)
                {
                    then(new ServiceAnswer(ServiceResult.Unavailable, "the server died"));
                }
            });
        }
        else
        {
            then(new ServiceAnswer(ServiceResult.Unavailable, "the server is down"));
        }
    }
}
