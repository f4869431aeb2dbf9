using Carillon.Node;
using Carillon.Protocols;
using Carillon.Simulator.Checkers;

namespace Carillon.Simulator.World;

/// <summary>All servers, the network between them, and time.</summary>
internal sealed class SimulatedWorld : IDisposable
{
    /// <summary>Makes a world in which nothing runs yet.</summary>
    public SimulatedWorld(WorldOptions options, INodeFactory nodes, RandomSource random, Action<string>? trace)
    {
        Options = options;
        Nodes = nodes;
        Primacy = new PrimacyChecker(() => Queue.Now);
        if (trace is not null)
        {
            Trace = line => trace(FormattableString.Invariant($"{Queue.Now} {line}"));
        }

        Network = new Network(Queue, random.Fork(), Digest, options.Servers, options.Network);
        for (int place = 0; place < options.Servers; place++)
        {
            var server = new SimulatedServer(this, NameOf(place), place, random.Fork());
            Servers.Add(server);
            Network.Add(server);
        }
    }

    public WorldOptions Options { get; }

    public INodeFactory Nodes { get; }

    /// <summary>Who acts for which service.</summary>
    public PrimacyChecker Primacy { get; }

    public EventQueue Queue { get; } = new();

    public TraceDigest Digest { get; } = new();

    public Network Network { get; }

    public List<SimulatedServer> Servers { get; } = [];

    /// <summary>Takes a line for people who follow a run; null if nobody does.</summary>
    public Action<string>? Trace { get; }

    /// <summary>True while services' providers write, and may crash; at the end they only act.</summary>
    public bool ProvidersWork { get; set; } = true;

    /// <summary>How often a node stopped itself.</summary>
    public int SelfStops { get; set; }

    /// <summary>Called when a node has started, before its first input.</summary>
    public Action<SimulatedServer>? Started { get; set; }

    /// <summary>Called when a node's process is about to end.</summary>
    public Action<SimulatedServer>? Stopping { get; set; }

    /// <summary>Called with what a node tells of itself.</summary>
    public Action<SimulatedServer, NodeEvent>? Reported { get; set; }

    /// <summary>Called when a server's storage has taken a file away, durably.</summary>
    public Action<SimulatedServer>? Removed { get; set; }

    /// <summary>Called when a node has learned that a work on its catalog has ended, before it begins the next.</summary>
    public Action<SimulatedServer>? CatalogWritten { get; set; }

    /// <summary>Called when a node stopped itself.</summary>
    public Action<SimulatedServer>? SelfStopped { get; set; }

    /// <summary>Servers' names, by place.</summary>
    public static NodeId NameOf(int place) => NodeId.Parse(FormattableString.Invariant($"s{place + 1}"));

    /// <summary>Lets time pass.</summary>
    public void RunFor(TimeSpan duration)
    {
        Instant limit = Queue.Now + duration;
        while (Queue.RunNext(limit))
        {
        }
    }

    /// <summary>Lets time pass until something is true, looking again after each step; false if that takes longer than the bound.</summary>
    public bool RunUntil(Func<bool> isTrue, TimeSpan bound, TimeSpan step)
    {
        Instant limit = Queue.Now + bound;
        while (!isTrue())
        {
            if (Queue.Now >= limit)
            {
                return false;
            }

            RunFor(step);
        }

        return true;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (SimulatedServer server in Servers)
        {
            server.Dispose();
        }
    }
}
