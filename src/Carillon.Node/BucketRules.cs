using Carillon.Protocols;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.VectorExchange;
using Carillon.Storage.Catalogs;

namespace Carillon.Node;

/// <summary>
/// The rules of buckets, kept at the push by every server: any two push quorums share one, so of two submissions that exclude each other
/// (a bucket's removal and a put into it; two creations with different settings) one fails.
/// </summary>
internal sealed class BucketRules(CatalogReader catalog, AppliedState applied, Func<VectorExchange> exchange)
{
    /// <summary>Null if a push is welcome.</summary>
    public PushVerdict? Refuse(Submission submission)
    {
        string? checkedBucket = null;
        foreach (Operation operation in submission.Operations)
        {
            PushVerdict? verdict = null;
            if (operation.Target.Bucket == ObjectName.SystemBucket)
            {
                verdict = RefuseRecord(operation);
            }
            else if (operation.Target.Bucket != checkedBucket)
            {
                checkedBucket = operation.Target.Bucket;
                verdict = IsRemoved(checkedBucket) ? PushVerdict.BucketUnknown
                    : !submission.AwaitsNumber && !applied.MayAckAgreed(checkedBucket) && !SeededBug.Is("unnumbered-push-taken")
                        ? PushVerdict.Unnumbered : null;
            }

            if (verdict is not null)
            {
                return verdict;
            }
        }

        return null;
    }

    private PushVerdict? RefuseRecord(Operation operation)
    {
        string bucket = operation.Target.Name;
        if (operation.Target == ObjectName.ServiceTable || Protocols.Cluster.ConfigurationEntry.IsTarget(operation.Target))
        {
            return null;
        }

        if (operation.Manifest is not { } manifest)
        {
            return IsInUse(bucket) ? PushVerdict.BucketNotEmpty : null;
        }

        if (manifest.Metadata.Any(m => m.Key == BucketRecordKeys.Replace))
        {
            return null;
        }

        foreach ((Tag _, TagState state, uint _, var _, Submission open) in exchange().OpenOf(operation.Target))
        {
            Operation other = open.Operations.First(o => o.Target == operation.Target);
            if (other.Manifest is { } rival && state != TagState.Rejected && rival.Sha256 != manifest.Sha256)
            {
                return PushVerdict.BucketExists;
            }
        }

        VersionEntry? current = catalog.Current(operation.Target);
        return current?.Manifest is { } record && record.Sha256 != manifest.Sha256 ? PushVerdict.BucketExists : null;
    }

    /// <summary>True if a name in the bucket has content, or may have before long. What is agreed and not applied yet counts as
    /// applied.</summary>
    private bool IsInUse(string bucket)
    {
        IReadOnlyList<(ObjectName Target, Tag Tag, OperationKind Kind, TagState State)> open = exchange().OpenIn(bucket);
        return open.Any(o => o.State != TagState.Accepted)
            || catalog.NameCount(bucket, [.. open.Select(o => (o.Target, o.Tag, o.Kind))]) > 0;
    }

    /// <summary>True if the newest that this server holds of the bucket's record is a tombstone.</summary>
    private bool IsRemoved(string bucket)
    {
        var record = new ObjectName(ObjectName.SystemBucket, bucket);
        if (exchange().HasOpenNames(ObjectName.SystemBucket))
        {
            IReadOnlyList<(Tag Tag, TagState State, uint Round, Protocols.Cluster.VoterSet Bits, Submission Submission)> open =
                exchange().OpenOf(record);
            if (open.Count > 0 && open[0].Tag > applied.GreatestTag(record))
            {
                return open[0].Submission.Operations.First(o => o.Target == record).Kind == OperationKind.Delete;
            }
        }

        return applied.IsRemoved(record);
    }
}
