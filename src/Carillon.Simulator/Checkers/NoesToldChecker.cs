using Carillon.Protocols;
using Carillon.Protocols.VectorExchange;
using Carillon.Simulator.World;

namespace Carillon.Simulator.Checkers;

/// <summary>
/// Who decided a tag *no* tells the others until each has acknowledged it. So, where all servers are up and nothing fails, none of them
/// keeps a tag open for long that is rejected at its accepting server, though nobody asks about it and no temporary is swept.
/// </summary>
internal static class NoesToldChecker
{
    /// <summary>Compares what each server keeps open with what the tags' accepting servers know.</summary>
    public static void Check(IReadOnlyDictionary<NodeId, INodeUnderTest> nodes)
    {
        foreach ((NodeId server, INodeUnderTest node) in nodes.OrderBy(entry => entry.Key))
        {
            foreach (Tag tag in node.OpenTags)
            {
                if (nodes.TryGetValue(tag.Uid.Server, out INodeUnderTest? acceptor) && acceptor.StateOf(tag) == TagState.Rejected)
                {
                    throw Violation.TooSlow("noes", $"{tag} is rejected at {tag.Uid.Server}, and {server}, which holds it open, is not told");
                }
            }
        }
    }
}
