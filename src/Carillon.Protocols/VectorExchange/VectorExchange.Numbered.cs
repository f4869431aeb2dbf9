using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Submissions;

namespace Carillon.Protocols.VectorExchange;

/// <content>
/// Buckets whose writes are answered only with their numbers. A read of one may ask the feed's sequencer instead of a quorum, once no write
/// that was answered at its agreement is without a number: docs/protocols/vector-exchange.md, "Reads by number".
/// </content>
public sealed partial class VectorExchange
{
    private const int MostNumbered = 4096;

    // By bucket: the record of it that a quorum had settled when this server asked.
    private readonly Dictionary<string, Tag> _numbered = new(StringComparer.Ordinal);

    /// <summary>
    /// The bucket's record, if the feed alone tells what was accepted in the bucket under that: a quorum refuses all that might be answered
    /// without a number, and of what they took before everything has one ◆. None: a quorum is to be asked for a name of it, which may make
    /// it so. A read that begins now, and at whose end the same record is applied, may rest on the feed.
    /// </summary>
    public Tag SettledRecord(string bucket)
    {
        Tag record = _host.NumberedBy(bucket);
        return _host.MayVote && !record.IsNone
            && (_numbered.GetValueOrDefault(bucket) == record || SeededBug.Is("read-by-number-at-once"))
            ? record
            : default;
    }

    /// <summary>What is applied here of a name; null where its record is not kept.</summary>
    public ReadOutcome? ReadApplied(ObjectName name)
    {
        Tag tag = _host.GreatestApplied(name);
        if (tag.IsNone)
        {
            return new ReadOutcome.Absent(default);
        }

        return _host.Applied(tag) is { } submission ? OutcomeIn(submission, name) : null;
    }

    private ReadOutcome OutcomeIn(Submission submission, ObjectName name)
    {
        Operation operation = submission.Operations.First(o => o.Target == name);
        SequenceNumber number = SequencedHere(submission.Tag).Number;
        return operation.Manifest is { } manifest
            ? new ReadOutcome.Found(submission.Tag.Uid, submission.Tag, manifest) { Number = number }
            : new ReadOutcome.Absent(submission.Tag.Uid) { Number = number };
    }

    /// <summary>This server's word about a bucket: what it holds there and may be answered without a number has all come to its end, and no
    /// more of it is taken while this record is in force here.</summary>
    private Tag SettledHere(string bucket)
    {
        Tag record = _host.DurablyNumberedBy(bucket);
        return record.IsNone || _book.HasUnnumbered(bucket) ? default : record;
    }

    private void HearSettled(QuorumRead read, int from, Tag settled)
    {
        if (settled.IsNone || settled != read.Settling)
        {
            return;
        }

        read.Settled = read.Settled.With(from);
        if (Quorum.IsReachedBy(read.Settled))
        {
            if (_numbered.Count >= MostNumbered)
            {
                _numbered.Clear();
            }

            Sometimes.Reached("bucket-settled");
            _numbered[read.Name.Bucket] = settled;
        }
    }
}
