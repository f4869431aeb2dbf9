using Carillon.Protocols.Cluster;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.Wire;

namespace Carillon.Protocols.VectorExchange;

/// <content>Start-up: a server reads its vectors back and goes on (VE-53); and the snapshot by which the log is cut.</content>
public sealed partial class VectorExchange
{
    /// <summary>True for a record of this protocol.</summary>
    public static bool Owns(ReadOnlySpan<byte> record) =>
        record.Length > 0 && record[0] is >= (byte)RecordType.Pending and <= (byte)RecordType.GivenUp;

    /// <summary>Replays one record, in the log's order, before <see cref="Start"/>. False: it can't be read, which the caller treats as
    /// damage.</summary>
    public bool Restore(ReadOnlySpan<byte> record, ulong position, Moment now)
    {
        var reader = new WireReader(record);
        var type = (RecordType)reader.U8();
        switch (type)
        {
            case RecordType.Pending:
                return RestorePending(record[1..], position, now);
            case RecordType.Bit:
                return RestoreBit(ref reader, now);
            case RecordType.StampsReserved:
                _stamps.Restore(new Timestamp(reader.U64()));
                return !reader.Failed;
            case RecordType.KeyFenced:
                _fences[reader.Text(Submission.MaxKeyBytes)] = reader.I64();
                return !reader.Failed;
            default:
                return RestoreFate(type, ref reader, position, now);
        }
    }

    /// <summary>The log is replayed: goes on where the last life stopped.</summary>
    public void Start(Moment now)
    {
        foreach (Ballot ballot in _book.InOrder())
        {
            if (_host.Outcome(ballot.Tag).State is TagState.Accepted or TagState.Rejected)
            {
                _book.Remove(ballot);
            }
            else if (ballot.State == TagState.Accepted)
            {
                ballot.State = TagState.Open;
                Decide(ballot, TagState.Accepted, default, now);
            }
            else if (IsOwn(ballot.Tag) && ballot.Shown is null && _host.MayVote && !IsPastEntry(ballot)
                && !SeededBug.Is("no-abort-at-start"))
            {
                Sometimes.Reached("start-aborts-own-tag");

                // Or others wait for it for ever ◆: its client is gone, and nobody else may begin round 0. A damaged log may have lost the
                // bit: then others decide by rounds.
                Bury(ballot.Tag, default, AllOthers, now);
            }
            else
            {
                Sometimes.Reached("start-goes-on-with-a-tag");
                ballot.ResendWait = _options.ResendFirst;
                ballot.ResendAt = ballot.OwnBit is null ? Instant.Never : now.Now + ballot.ResendWait;
                Schedule(ballot, ballot.ResendAt);
                TakeUp(ballot, now);
            }
        }

        EndVoidEntries(now);
        if (_graves.Count > 0)
        {
            ScheduleGraves(now);
        }

        Schedule(SweepTimer, now.Now + (_options.TemporaryTtl / 4));
    }

    /// <summary>
    /// True for a record that follows from durable ones, here and at a quorum: nothing waits for it, so it needs no flush of its own. Lost
    /// in a crash, it is found out again.
    /// </summary>
    public static bool FollowsFromOthers(ReadOnlySpan<byte> record) => record[0] == (byte)RecordType.Agreed;

    /// <summary>Writes everything that is still open as records, so that the log before them can be cut.</summary>
    public void WriteSnapshot(Action<ReadOnlyMemory<byte>> append, Moment now)
    {
        append(Records.StampsReserved(_stamps.Asked));
        foreach ((string key, long until) in _fences.OrderBy(f => f.Key, StringComparer.Ordinal).ToArray())
        {
            if (until <= now.Wall.Milliseconds)
            {
                _fences.Remove(key);
            }
            else
            {
                append(Records.KeyFenced(key, until));
            }
        }

        foreach ((Tag tag, string key) in _givenUp.Since(_host.OutcomeHorizon))
        {
            append(Records.GivenUp(tag, key));
        }

        foreach (Ballot ballot in _book.InOrder())
        {
            if (ballot is { File: not FileState.Missing, Submission: { } submission })
            {
                append(Records.Pending(submission.Encoded.Span));
            }

            if (ballot.Promised > 0)
            {
                append(Records.Promised(ballot.Tag, ballot.Promised));
            }

            if (ballot.OwnBit is { } bit)
            {
                Tally tally = ballot.TallyOf(bit.Round, bit.Value);
                ulong bits = (tally.Bits | tally.Relayed).With(_bit).Bits;
                append(Records.Bit(ballot.Tag, ballot.Hash, _configuration.Version, bit.Round, bit.Value, bits));
            }

            if (ballot.State == TagState.Accepted)
            {
                append(Records.OfTag(RecordType.Agreed, ballot.Tag));
            }
        }

        foreach ((Tag tag, (Tag successor, VoterSet untold)) in _graves)
        {
            append(Records.Rejected(tag, successor, untold.Bits));
        }
    }

    /// <summary>The record of an outcome that the catalog does not hold durably yet, for a snapshot.</summary>
    public static byte[] RejectedRecord(Tag tag, Tag successor) => Records.Rejected(tag, successor, untold: 0);

    private bool RestorePending(ReadOnlySpan<byte> bytes, ulong position, Moment now)
    {
        if (!Submission.TryRead(bytes, out Submission submission))
        {
            return false;
        }

        Ballot ballot = _book.Find(submission.Tag) ?? _book.Add(new Ballot(submission.Tag, now.Now));
        if (ballot.Submission is null)
        {
            _book.SetSubmission(ballot, submission);
        }

        ballot.File = FileState.Held;
        ballot.StoredAt = position;
        return true;
    }

    private bool RestoreBit(ref WireReader reader, Moment now)
    {
        Tag tag = reader.Tag();
        Digest hash = reader.Digest();
        ulong version = reader.U64();
        uint round = reader.U32();
        bool value = reader.Bool();
        var bits = new VoterSet(reader.U64());
        if (reader.Failed || tag.IsNone)
        {
            return false;
        }

        if (version != _configuration.Version)
        {
            return true;
        }

        Ballot ballot = FindOrAdd(tag, now);
        ballot.Hash = hash;
        ballot.OwnBit = (round, value);
        ballot.OwnBitDurable = true;
        ballot.Promised = Math.Max(ballot.Promised, round);
        Tally tally = ballot.TallyOf(round, value);
        tally.Bits = tally.Bits.With(_bit);
        tally.Relayed |= bits.Without(_bit);
        return true;
    }

    private bool RestoreFate(RecordType type, ref WireReader reader, ulong position, Moment now)
    {
        Tag tag = reader.Tag();
        switch (type)
        {
            case RecordType.Agreed:
                if (!reader.Failed)
                {
                    FindOrAdd(tag, now).State = TagState.Accepted;
                }

                return !reader.Failed;
            case RecordType.Promised:
                Ballot promised = FindOrAdd(tag, now);
                promised.Promised = Math.Max(promised.Promised, reader.U32());
                promised.PromisedAt = position;
                return !reader.Failed;
            case RecordType.Rejected:
                Tag successor = reader.Tag();
                var untold = new VoterSet(reader.U64());
                if (_book.Find(tag) is { } rejected)
                {
                    BindTo(rejected);
                }

                Forget(tag);
                if (untold.Count > 0 && !SeededBug.Is("noes-forgotten"))
                {
                    Sometimes.Reached("start-still-has-a-no-to-tell");
                    _graves[tag] = (successor, untold);
                }

                if (!reader.Failed)
                {
                    _host.Rejected(tag, successor);
                }

                return !reader.Failed;
            case RecordType.GivenUp:
                Forget(tag);
                _givenUp.Add(tag, reader.Text(Submission.MaxKeyBytes));
                return !reader.Failed;
            default:
                return false;
        }
    }

    private Ballot FindOrAdd(Tag tag, Moment now) => _book.Find(tag) ?? _book.Add(new Ballot(tag, now.Now));

    private void Forget(Tag tag)
    {
        if (_book.Find(tag) is { } ballot)
        {
            _book.Remove(ballot);
        }
    }
}
