using Carillon.Protocols;
using Carillon.Protocols.Primacy;
using Carillon.Simulator.World;

namespace Carillon.Simulator.Checkers;

/// <summary>
/// Epochs are durable before use (E3): when a node begins to act, a quorum of voters has on its disks, for certain, the promise of that
/// epoch to that very life of the node, or one of a greater epoch. Opening images is slow: a run's first are looked at.
/// </summary>
internal sealed class GrantChecker(SimulatedWorld world, Func<SimulatedServer, bool> mayBeDamaged)
{
    private const int MostOfOneRun = 60;

    private int _looked;

    /// <summary>A node begins to act.</summary>
    public void Look(Acting acting)
    {
        if (_looked++ < MostOfOneRun)
        {
            Check(acting, world.Servers.Select(PromiseOf), world.Nodes.Configuration.Quorum.Size);
        }

        (Epoch Epoch, NodeId Node, Incarnation Incarnation)? PromiseOf(SimulatedServer voter)
        {
            if (mayBeDamaged(voter))
            {
                return null;
            }

            using IDurableImage image = world.Nodes.OpenDurable(voter.Name, voter.Disk.DurableCopy(), voter.Catalog);
            return image.PromiseOf(acting.Service);
        }
    }

    /// <summary>The rule itself; a promise of null is one that can't be looked at.</summary>
    public static void Check(
        Acting acting, IEnumerable<(Epoch Epoch, NodeId Node, Incarnation Incarnation)?> promises, int quorum)
    {
        var all = promises.ToArray();
        int count = all.Count(promise => promise is not { } known || known.Epoch > acting.Epoch
            || (known.Epoch == acting.Epoch && known.Node == acting.Node && known.Incarnation == acting.Life));
        if (count < quorum)
        {
            string known = string.Join(
                ", ", all.Select(p => p is { } promise ? $"{promise.Epoch} to {promise.Node}#{promise.Incarnation}" : "?"));
            throw Violation.Of("E3", $"{acting} acts, and the epochs promised on the voters' disks are {known}");
        }
    }
}
