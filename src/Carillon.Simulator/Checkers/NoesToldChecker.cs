using Carillon.Protocols;
using Carillon.Protocols.VectorExchange;

namespace Carillon.Simulator.Checkers;

/// <summary>
/// Who decided a tag *no* tells the others until each has acknowledged it. So, where all servers are up and nothing fails, none of them
/// keeps a tag open for long that is rejected at its accepting server, though nobody asks about it and no temporary is swept.
/// </summary>
internal static class NoesToldChecker
{
    /// <summary>Compares what a server keeps open with what the tags' accepting servers know.</summary>
    public static void Check(NodeId server, IEnumerable<Tag> open, Func<Tag, TagState> atAcceptor)
    {
        foreach (Tag tag in open)
        {
            if (atAcceptor(tag) == TagState.Rejected)
            {
                throw Violation.TooSlow("noes", $"{tag} is rejected at {tag.Uid.Server}, and {server}, which holds it open, is not told");
            }
        }
    }
}
