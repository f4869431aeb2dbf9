using Carillon.Simulator.World;

namespace Carillon.Simulator.Checkers;

/// <summary>
/// The ground on which no two nodes act at once (E4): while one may act, a quorum of voters gives its bit to nobody else for at least as
/// long, though its clock were the slowest that is allowed from now on and theirs the fastest. Looked at whenever a node is told a lease's
/// end, whenever a voter starts, and every so often, so that a broken rule shows without a second node that uses it.
/// </summary>
internal sealed class LeaseChecker(SimulatedWorld world, Func<SimulatedServer, bool> mayBeDamaged)
{
    private const double Fastest = 1.05;
    private const double Slowest = 0.95;

    private static readonly TimeSpan Step = TimeSpan.FromMilliseconds(50);

    /// <summary>Begins to look every so often.</summary>
    public void Start() => world.Queue.After(Step, () =>
    {
        LookAtAll();
        Start();
    });

    /// <summary>Looks at every node that may act.</summary>
    public void LookAtAll()
    {
        foreach (Acting acting in world.Primacy.InForce())
        {
            Look(acting);
        }
    }

    /// <summary>Looks at one of them.</summary>
    public void Look(Acting acting)
    {
        if (acting.IsInForce(world.Queue.Now))
        {
            Check(
                acting.ToString(), acting.End - acting.Clock.At(world.Queue.Now).Now,
                world.Servers.Select(voter => KeptBy(voter, acting)), world.Nodes.Configuration.Quorum.Size);
        }
    }

    /// <summary>The rule itself.</summary>
    /// <param name="who">Who may act.</param>
    /// <param name="left">How long, by its clock.</param>
    /// <param name="kept">How long each voter gives its bit to nobody else, by its own clock; null for one that gives none at all.</param>
    /// <param name="quorum">How many are needed.</param>
    public static void Check(string who, TimeSpan left, IEnumerable<TimeSpan?> kept, int quorum)
    {
        TimeSpan needed = left / Slowest;
        TimeSpan?[] all = [.. kept];
        int count = all.Count(time => time is null || time.Value / Fastest >= needed);
        if (count < quorum)
        {
            string times = string.Join(", ", all.Select(time => time is { } known ? $"{known.TotalSeconds:F3} s" : "gives none"));
            throw Violation.Of("E4", $"{who} may for {left.TotalSeconds:F3} s, and its voters keep their bits for {times}");
        }
    }

    // A server that is down gives no bit, and when it starts none for a whole lease; that is looked at then.
    private TimeSpan? KeptBy(SimulatedServer voter, Acting acting) =>
        voter.Node is { Votes: true } node && !mayBeDamaged(voter)
            ? node.KeptFor(acting.Service, acting.Node) - voter.Clock.At(world.Queue.Now).Now
            : null;
}
