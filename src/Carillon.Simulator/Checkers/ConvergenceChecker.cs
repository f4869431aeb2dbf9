using Carillon.Protocols;
using Carillon.Protocols.Submissions;
using Carillon.Storage.Catalogs;

namespace Carillon.Simulator.Checkers;

/// <summary>When all is quiet, all catalogs say the same; and a bucket that is gone has no names.</summary>
internal static class ConvergenceChecker
{
    /// <summary>Compares all servers with the first.</summary>
    public static void Check(IReadOnlyList<ServerImage> images)
    {
        foreach (ServerImage image in images)
        {
            if (!image.RacedExists
                && image.Raced.FirstOrDefault(version => version is { IsCurrent: true, Kind: OperationKind.Put }) is { } orphan)
            {
                throw Violation.Of("bucket", $"at {image.Server} the removed bucket has {orphan.Target}");
            }

            if (image.Digest != images[0].Digest || !Facts(image.Versions).SequenceEqual(Facts(images[0].Versions))
                || !Facts(image.Raced).SequenceEqual(Facts(images[0].Raced))
                || image.RacedExists != images[0].RacedExists)
            {
                throw Violation.TooSlow("convergence", Difference(images[0], image));
            }
        }
    }

    private static IEnumerable<(ObjectName Target, Tag Tag, OperationKind Kind, Digest Sha256, bool IsCurrent)> Facts(
        IEnumerable<ListedVersion> versions) =>
        versions.Select(version => (version.Target, version.Tag, version.Kind, version.Sha256, version.IsCurrent));

    private static string Difference(ServerImage a, ServerImage b)
    {
        string both = $"the catalogs of {a.Server} and {b.Server} differ";
        var inA = a.Versions.Concat(a.Raced).Select(entry => (entry.Target, entry.Uid)).ToHashSet();
        var inB = b.Versions.Concat(b.Raced).Select(entry => (entry.Target, entry.Uid)).ToHashSet();
        string OnlyIn(HashSet<(ObjectName Target, Uid Uid)> one, HashSet<(ObjectName Target, Uid Uid)> other, NodeId who)
        {
            var only = one.Except(other).Order().ToList();
            return only.Count == 0
                ? ""
                : $"; only {who} has {only[0].Target} {only[0].Uid}{(only.Count > 1 ? $" and {only.Count - 1} more" : "")}";
        }

        return both + OnlyIn(inA, inB, a.Server) + OnlyIn(inB, inA, b.Server);
    }
}
