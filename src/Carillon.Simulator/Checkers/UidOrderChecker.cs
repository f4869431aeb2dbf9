using Carillon.Protocols.Submissions;
using Carillon.Simulator.Workloads;

namespace Carillon.Simulator.Checkers;

/// <summary>
/// Later writes of a name have greater UIDs: one that was answered before another was asked for has the lower UID,
/// however wrong the clocks are.
/// </summary>
internal static class UidOrderChecker
{
    /// <summary>Goes over what clients were told.</summary>
    public static void Check(Evidence evidence)
    {
        var byName = new SortedDictionary<ObjectName, List<KeyedWrite>>();
        foreach (KeyedWrite write in KeyedWrite.Join(evidence.Writes))
        {
            if (write.Verdict == LibraryVerdict.Accepted)
            {
                foreach (PlannedOperation operation in write.Operations)
                {
                    byName.TryAdd(operation.Target, []);
                    byName[operation.Target].Add(write);
                }
            }
        }

        foreach ((ObjectName name, List<KeyedWrite> writes) in byName)
        {
            KeyedWrite[] byAnswer = [.. writes.OrderBy(write => write.Returned!.Value)];
            int answered = 0;
            KeyedWrite? greatest = null;
            foreach (KeyedWrite write in writes.OrderBy(write => write.Invoked))
            {
                while (answered < byAnswer.Length && byAnswer[answered].Returned!.Value < write.Invoked)
                {
                    greatest = greatest is null || byAnswer[answered].Tag.Uid > greatest.Tag.Uid ? byAnswer[answered] : greatest;
                    answered++;
                }

                if (greatest is not null && write.Tag.Uid <= greatest.Tag.Uid)
                {
                    throw Violation.Of("order", $"{write} came after {greatest}, and has the lower UID ({name})");
                }
            }
        }
    }
}
