using System.Collections.Immutable;
using Carillon.Protocols;
using Carillon.Protocols.IndexMerge;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.VectorExchange;
using Carillon.Storage.Catalogs;

namespace Carillon.Node;

/// <summary>
/// What agreement asks of the catalog about names, keys and tags, as of the last batch that is known to be applied. A put asks the same two
/// or three times between its push and its application, nearly always about what is not there: answers are kept until a batch touches them,
/// so that each costs one look into the database.
/// </summary>
internal sealed class AppliedState(CatalogReader reader)
{
    // Some seconds of pushes at full speed; what is asked about and never applied would stay for good otherwise.
    private const int MaxKept = 32_768;

    private readonly Dictionary<ObjectName, Tag> _names = [];
    private readonly Dictionary<string, (Tag Tag, Digest Fingerprint)> _keys = new(StringComparer.Ordinal);
    private readonly Dictionary<ObjectName, bool> _removed = [];
    private readonly Dictionary<string, (Tag Numbered, ulong Since)> _buckets = new(StringComparer.Ordinal);

    private long _bucketsVersion;

    /// <summary>No accepted tag has a key above: those of our client begin with the time, so a fresh one need not be looked up.</summary>
    private string _greatestKey = reader.GreatestKey;

    /// <summary>No tag above is in the catalog, accepted or rejected: nothing need be looked up for a fresh one.</summary>
    private Timestamp _decidedUpTo = reader.GreatestStamp;

    /// <summary>The greatest tag of a name, tombstones included; none if the name never was.</summary>
    public Tag GreatestTag(ObjectName name)
    {
        if (!_names.TryGetValue(name, out Tag tag))
        {
            tag = reader.GreatestTag(name);
            MakeRoom(_names);
            _names.Add(name, tag);
        }

        return tag;
    }

    /// <summary>The accepted tag of a key with its fingerprint; none where there is no such.</summary>
    public (Tag Tag, Digest Fingerprint) AcceptedKey(string key)
    {
        if (Utf8Order.Compare(key, _greatestKey) > 0)
        {
            return default;
        }

        if (_keys.TryGetValue(key, out (Tag Tag, Digest Fingerprint) known))
        {
            return known;
        }

        // One that is there is not kept: it is forgotten in its time, and by the catalog.
        if (reader.Key(key) is { Outcome: TagOutcome.Accepted } entry)
        {
            return (entry.Tag, entry.Fingerprint);
        }

        MakeRoom(_keys);
        _keys.Add(key, default);
        return default;
    }

    /// <summary>What is kept of a decided tag.</summary>
    public AppliedOutcome Outcome(Tag tag) => tag.Uid.Stamp > _decidedUpTo
        ? default
        : reader.Outcome(tag) switch
        {
            TagOutcome.Accepted => new AppliedOutcome(TagState.Accepted, default),
            TagOutcome.Rejected => new AppliedOutcome(TagState.Rejected, reader.SuccessorOf(tag)),
            _ => default,
        };

    /// <summary>Grows with each applied change of a bucket's record. Any thread may read it.</summary>
    public long BucketsVersion => Volatile.Read(ref _bucketsVersion);

    /// <summary>True if there is such a bucket.</summary>
    public bool HasBucket(string bucket)
    {
        if (_buckets.ContainsKey(bucket))
        {
            return true;
        }

        var record = new ObjectName(ObjectName.SystemBucket, bucket);
        if (reader.Current(record) is not { Manifest: { Form: ContentForm.Inline } manifest } entry
            || !BucketSettings.TryRead(manifest.Inline.Span, out BucketSettings? settings, out _))
        {
            return false;
        }

        // Read behind the record, so that this stands at no greater number.
        _buckets.Add(bucket, (settings.AckAgreed ? default : entry.Tag, reader.AppliedNumber.Value));
        return true;
    }

    /// <summary>False where the bucket's settings, as far as they are applied, say that no write is answered before it is
    /// sequenced.</summary>
    public bool MayAckAgreed(string bucket) => Numbered(bucket).Record.IsNone;

    /// <summary>The bucket's record, if no write of the bucket is answered before it is sequenced; and a number of the feed at which that
    /// was applied.</summary>
    public (Tag Record, ulong Since) Numbered(string bucket) => HasBucket(bucket) ? _buckets[bucket] : default;

    /// <summary>True if the newest that is applied of a bucket's record is a tombstone.</summary>
    public bool IsRemoved(ObjectName bucketRecord)
    {
        if (!_removed.TryGetValue(bucketRecord, out bool isRemoved))
        {
            isRemoved = reader.Current(bucketRecord)?.Kind == OperationKind.Delete;
            MakeRoom(_removed);
            _removed.Add(bucketRecord, isRemoved);
        }

        return isRemoved;
    }

    /// <summary>A batch is applied: what was known of its names, keys and tags is asked again.</summary>
    public void Applied(CatalogBatch batch, ImmutableArray<FeedOutcome> outcomes)
    {
        for (int i = 0; i < batch.Entries.Length; i++)
        {
            if (batch.Entries[i].Submission is { } submission)
            {
                Applied(submission, outcomes[i]);
            }
        }

        foreach (RejectedTag rejected in batch.Rejected)
        {
            _decidedUpTo = Timestamp.Max(_decidedUpTo, rejected.Tag.Uid.Stamp);
        }
    }

    /// <summary>The catalog has another state now: nothing that was known of it counts.</summary>
    public void Reset()
    {
        _names.Clear();
        _keys.Clear();
        _removed.Clear();
        _buckets.Clear();
        _greatestKey = reader.GreatestKey;
        _decidedUpTo = reader.GreatestStamp;
        Volatile.Write(ref _bucketsVersion, _bucketsVersion + 1);
    }

    private void Applied(Submission submission, FeedOutcome outcome)
    {
        _decidedUpTo = Timestamp.Max(_decidedUpTo, submission.Tag.Uid.Stamp);
        _greatestKey = Utf8Order.Compare(submission.Key, _greatestKey) > 0 ? submission.Key : _greatestKey;
        _keys.Remove(submission.Key);
        if (!outcome.IsInEffect)
        {
            return;
        }

        foreach (Operation operation in submission.Operations)
        {
            _names.Remove(operation.Target);
            if (operation.Target.Bucket == ObjectName.SystemBucket)
            {
                _removed.Remove(operation.Target);
                _buckets.Remove(operation.Target.Name);
                Volatile.Write(ref _bucketsVersion, _bucketsVersion + 1);
            }
        }
    }

    private static void MakeRoom<TKey, TValue>(Dictionary<TKey, TValue> kept)
        where TKey : notnull
    {
        if (kept.Count >= MaxKept)
        {
            kept.Clear();
        }
    }
}
