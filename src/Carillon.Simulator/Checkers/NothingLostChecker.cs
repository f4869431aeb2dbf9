using System.Collections.Immutable;
using Carillon.Protocols;
using Carillon.Protocols.Submissions;
using Carillon.Simulator.Workloads;
using Carillon.Storage.Catalogs;

namespace Carillon.Simulator.Checkers;

/// <summary>
/// A2: when all is quiet, what was accepted is there at every server: as the name's current version, or as an older one while that many
/// are kept; and no name's current version is older than an accepted one.
/// </summary>
internal static class NothingLostChecker
{
    /// <summary>Goes over all accepted writes at all servers.</summary>
    /// <param name="evidence">What clients were told.</param>
    /// <param name="images">What the servers' catalogs say.</param>
    /// <param name="versionsKept">Versions that the bucket keeps of each name.</param>
    public static void Check(Evidence evidence, IReadOnlyList<ServerImage> images, int versionsKept)
    {
        ImmutableArray<KeyedWrite> writes = KeyedWrite.Join(evidence.Writes);
        foreach (ServerImage image in images)
        {
            ILookup<ObjectName, ListedVersion> byName = image.Versions.ToLookup(entry => entry.Target);
            foreach (KeyedWrite write in writes)
            {
                if (write.Verdict == LibraryVerdict.Accepted && write.Operations[0].Target.Bucket == Workload.Bucket)
                {
                    foreach (PlannedOperation operation in write.Operations)
                    {
                        Check(evidence, write, operation, image.Server, [.. byName[operation.Target]], versionsKept);
                    }
                }
            }
        }
    }

    private static void Check(
        Evidence evidence, KeyedWrite write, PlannedOperation operation, NodeId server, ListedVersion[] versions, int versionsKept)
    {
        if (versions.Length == 0 || versions[0].Uid < write.Tag.Uid)
        {
            string found = versions.Length == 0 ? "has no version of it" : $"says {versions[0].Uid} is current";
            throw Violation.Of("A2", $"{write} is lost: {server} {found} ({operation.Target})");
        }

        ListedVersion? entry = Array.Find(versions, version => version.Uid == write.Tag.Uid);
        if (entry is null)
        {
            // Trimmed, if as many newer ones are kept; tombstones don't count.
            int newer = versions.Count(version => version.Uid > write.Tag.Uid && version.Kind == OperationKind.Put);
            if (newer < versionsKept && operation.Kind == OperationKind.Put)
            {
                throw Violation.Of("A2", $"{write} is lost: {server} keeps {newer} newer versions of {operation.Target}, but not this one");
            }

            return;
        }

        string? value = evidence.ValueOf(entry);
        if (entry.Tag != write.Tag || entry.Kind != operation.Kind || value != operation.Value)
        {
            throw Violation.Of("A2", $"{write} was replaced: {server} has {entry.Kind} {value} under {entry.Tag} ({operation.Target})");
        }
    }
}
