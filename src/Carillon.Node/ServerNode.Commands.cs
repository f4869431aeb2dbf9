using System.Collections.Immutable;
using Carillon.Node.Requests;
using Carillon.Protocols;
using Carillon.Protocols.Cluster;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.VectorExchange;
using Carillon.Storage.Catalogs;

namespace Carillon.Node;

/// <content>What clients ask, by way of the gateway (or a simulated client). Each answer comes once, on the loop.</content>
public sealed partial class ServerNode
{
    /// <summary>Runs a submission; buckets that this server does not know are asked of a quorum first.</summary>
    public void Submit(SubmitRequest request, Moment now, Action<SubmitOutcome> answer)
    {
        _now = now;
        if (_stopping)
        {
            AbandonUpload(request.Upload, now);
            answer(new SubmitOutcome.Rejected(RejectionReason.NotVoting, "this server is stopping; use another"));
            return;
        }

        if (Submission.FaultOf(request.Operations, request.Key) is { } wrong)
        {
            AbandonUpload(request.Upload, now);
            answer(new SubmitOutcome.Rejected(RejectionReason.Invalid, wrong));
            return;
        }

        WithBuckets([.. request.Operations.Select(o => o.Target.Bucket).Where(b => b != ObjectName.SystemBucket).Distinct(
            StringComparer.Ordinal)], 0, fault =>
        {
            if (fault is null)
            {
                Exchange.Submit(
                    request.Operations, request.Key, request.Upload, _now, answer, request.Fence,
                    untilSequenced: request.Ack == AckWanted.Sequenced,
                    mustBeSequenced: !request.Operations.All(o => MayAckAgreed(o.Target.Bucket)));
            }
            else
            {
                AbandonUpload(request.Upload, _now);
                answer(fault);
            }
        });
    }

    /// <summary>False also where the bucket's settings are not applied here: a power cut may have taken the catalog back behind
    /// them.</summary>
    private bool MayAckAgreed(string bucket) =>
        bucket == ObjectName.SystemBucket || (Applied.HasBucket(bucket) && Applied.MayAckAgreed(bucket));

    /// <summary>Reserves the tag that an upload's chunks are stored under.</summary>
    public void BeginUpload(Moment now, Action<Tag?, RejectionReason> answer)
    {
        _now = now;
        Exchange.BeginUpload(now, answer);
    }

    /// <summary>An upload is given up; nothing for none.</summary>
    public void AbandonUpload(Tag upload, Moment now)
    {
        _now = now;
        if (!upload.IsNone)
        {
            Exchange.AbandonUpload(upload);
        }
    }

    /// <summary>Reads a name linearizably: asks the feed's sequencer, where the bucket allows that, else a quorum.</summary>
    public void Read(ObjectName name, Moment now, Action<ReadOutcome> answer)
    {
        _now = now;
        if (!_reads.TryRead(name, now.Now, answer))
        {
            Exchange.Read(name, now, answer);
        }
    }

    internal void ReadByQuorum(ObjectName name, Action<ReadOutcome> answer) => Exchange.Read(name, _now, answer);

    /// <summary>What became of a tag.</summary>
    public void Show(Tag tag, Moment now, Action<SubmissionReport> answer)
    {
        _now = now;
        Exchange.Show(tag, now, answer);
    }

    /// <summary>What became of a key; null if no quorum answered. Fences the key where nobody holds a submission of it.</summary>
    public void Show(string key, Moment now, Action<SubmissionReport?> answer)
    {
        _now = now;
        Exchange.Show(key, now, found =>
        {
            if (found.State == TagState.Accepted)
            {
                // What has the key may have been refused, or have no number yet; or the key is remembered longer than that.
                bool isForgotten = Reader.Sequenced(found.Tag).Verdict == FeedVerdict.None && Applied.AcceptedKey(key).Tag == found.Tag;
                if (isForgotten)
                {
                    answer(new SubmissionReport(found.Tag, SubmissionState.Forgotten, VectorOf(found.Tag)));
                }
                else
                {
                    Exchange.Show(found.Tag, _now, answer);
                }

                return;
            }

            SubmissionState? state = found.State switch
            {
                TagState.Fenced => SubmissionState.Rejected,
                TagState.Open => SubmissionState.Pending,
                TagState.TooOld => SubmissionState.Forgotten,
                _ => null,
            };
            answer(state is { } known ? new SubmissionReport(found.Tag, known, VectorOf(found.Tag)) : null);
        });
    }

    /// <summary>A bucket's settings: as applied here, else as a quorum knows them. Null settings and no fault: there is no such
    /// bucket.</summary>
    public void FindBucket(string bucket, Moment now, Action<BucketSettings?, ReadOutcome.Unavailable?> answer)
    {
        _now = now;
        if (Reader.Bucket(bucket) is { } applied)
        {
            answer(applied, null);
            return;
        }

        Exchange.Read(new ObjectName(ObjectName.SystemBucket, bucket), now, outcome =>
        {
            switch (outcome)
            {
                case ReadOutcome.Found found when BucketSettings.TryRead(found.Manifest.Inline.Span, out BucketSettings? settings, out _):
                    answer(settings, null);
                    break;
                case ReadOutcome.Unavailable unavailable:
                    answer(null, unavailable);
                    break;
                default:
                    answer(null, null);
                    break;
            }
        });
    }

    private ImmutableArray<(NodeId Server, bool Bit)> VectorOf(Tag tag) => Vector(Exchange.BitsOf(tag));

    private ImmutableArray<(NodeId Server, bool Bit)> Vector(VoterSet bits) =>
        [.. Configuration.Voters.Select((v, i) => (v, bits.Contains(i)))];

    private void WithBuckets(string[] buckets, int next, Action<SubmitOutcome?> then)
    {
        while (next < buckets.Length && Applied.HasBucket(buckets[next]))
        {
            next++;
        }

        if (next == buckets.Length)
        {
            then(null);
            return;
        }

        FindBucket(buckets[next], _now, (settings, unavailable) =>
        {
            if (settings is not null)
            {
                WithBuckets(buckets, next + 1, then);
            }
            else if (unavailable is not null)
            {
                then(new SubmitOutcome.Rejected(RejectionReason.NoQuorum,
                    $"bucket '{buckets[next]}' is not known here, and no quorum could be asked: {unavailable.Why}"));
            }
            else
            {
                then(new SubmitOutcome.Rejected(RejectionReason.BucketNotFound, $"there is no bucket '{buckets[next]}'; create it first"));
            }
        });
    }
}
