using Carillon.Protocols.VectorExchange;
using Carillon.Simulator.Workloads;
using Carillon.Storage.Catalogs;

namespace Carillon.Simulator.Checkers;

/// <summary>A3: what the client library called rejected is seen nowhere, never: in no get, no page, no catalog.</summary>
internal static class FalsePositiveChecker
{
    /// <summary>Goes over all that was seen.</summary>
    public static void Check(Evidence evidence, IReadOnlyList<ServerImage> images)
    {
        var rejected = new Dictionary<string, KeyedWrite>(StringComparer.Ordinal);
        foreach (KeyedWrite write in KeyedWrite.Join(evidence.Writes))
        {
            if (write.Verdict == LibraryVerdict.Rejected)
            {
                foreach (PlannedOperation operation in write.Operations.Where(operation => operation.Value is not null))
                {
                    rejected[operation.Value!] = write;
                }
            }
        }

        void Refuse(string? value, string where)
        {
            if (value is not null && rejected.TryGetValue(value, out KeyedWrite? write))
            {
                throw Violation.Of("A3", $"{write} was reported as rejected, and is seen in {where}");
            }
        }

        foreach (SeenVersion seen in evidence.Gets)
        {
            if (seen.Outcome is ReadOutcome.Found found)
            {
                Refuse(evidence.ValueOf(found.Manifest.Sha256), $"{seen.Server}'s answer to a get of {seen.Name} at {seen.Returned}");
            }
        }

        foreach (SeenPage page in evidence.Pages)
        {
            RefuseAll(page.Page.Objects, $"{page.Server}'s listing at {page.At}");
        }

        foreach (ServerImage image in images)
        {
            RefuseAll([.. image.Versions, .. image.Raced], $"{image.Server}'s catalog");
        }

        void RefuseAll(IEnumerable<ListedVersion> entries, string where)
        {
            foreach (ListedVersion entry in entries)
            {
                Refuse(evidence.ValueOf(entry), where);
            }
        }
    }
}
