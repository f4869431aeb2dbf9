using Carillon.Protocols;
using Carillon.Protocols.Submissions;
using Carillon.Simulator.Workloads;
using Carillon.Storage.Catalogs;

namespace Carillon.Simulator.Checkers;

/// <summary>A changeset is never seen half: a page that shows one of its names with its UID shows none of the others with a lower
/// one.</summary>
internal static class ChangesetChecker
{
    /// <summary>Goes over all pages.</summary>
    public static void Check(Evidence evidence, IReadOnlyList<ServerImage> images)
    {
        // By value rather than by UID, so that a changeset whose outcome nobody was told counts too.
        var changesets = new Dictionary<string, KeyedWrite>(StringComparer.Ordinal);
        foreach (KeyedWrite write in KeyedWrite.Join(evidence.Writes).Where(write => write.Operations.Length > 1))
        {
            foreach (PlannedOperation operation in write.Operations.Where(operation => operation.Value is not null))
            {
                changesets[operation.Value!] = write;
            }
        }

        foreach (SeenPage page in evidence.Pages)
        {
            CheckPage(evidence, changesets, page.Page.Objects, $"{page.Server}'s listing at {page.At}");
        }

        foreach (ServerImage image in images)
        {
            CheckPage(evidence, changesets, image.Versions, $"{image.Server}'s catalog");
        }
    }

    private static void CheckPage(
        Evidence evidence, Dictionary<string, KeyedWrite> changesets, IReadOnlyList<ListedVersion> entries, string where)
    {
        var greatest = new Dictionary<ObjectName, Uid>();
        foreach (ListedVersion entry in entries)
        {
            greatest[entry.Target] = Uid.Max(greatest.GetValueOrDefault(entry.Target), entry.Uid);
        }

        foreach (ListedVersion entry in entries)
        {
            if (evidence.ValueOf(entry) is not { } value || !changesets.TryGetValue(value, out KeyedWrite? write))
            {
                continue;
            }

            foreach (PlannedOperation operation in write.Operations)
            {
                // A deleted name is in no page of current versions, so only puts prove anything.
                if (operation.Kind == OperationKind.Put && greatest.TryGetValue(operation.Target, out Uid shown) && shown < entry.Uid)
                {
                    throw Violation.Of(
                        "changeset", $"{where} shows {entry.Target} of {write}, and {operation.Target} still at {shown}");
                }

                if (operation.Kind == OperationKind.Put && !greatest.ContainsKey(operation.Target)
                    && !WasDeletedLater(evidence, operation.Target, write))
                {
                    throw Violation.Of("changeset", $"{where} shows {entry.Target} of {write}, and {operation.Target} not at all");
                }
            }
        }
    }

    private static bool WasDeletedLater(Evidence evidence, ObjectName name, KeyedWrite after) => evidence.Writes.Exists(
        write => write.Key != after.Key
            && write.Operations.Any(operation => operation.Target == name && operation.Kind == OperationKind.Delete));
}
