using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Cluster;
using Carillon.Protocols.Submissions;

namespace Carillon.Protocols.VectorExchange;

/// <summary>Whether a server has the submission's record under its tag.</summary>
internal enum FileState
{
    /// <summary>No.</summary>
    Missing,

    /// <summary>Its record is in the log, not durable yet.</summary>
    Storing,

    /// <summary>Durable and verified: the seed's first readiness bit.</summary>
    Held,
}

/// <summary>The bits of one round and value that are known here.</summary>
internal sealed class Tally(uint round, bool value)
{
    public uint Round { get; } = round;

    public bool Value { get; } = value;

    /// <summary>Bits that their owners told this server themselves, durable there; the only ones that count. Grows only.</summary>
    public VoterSet Bits { get; set; }

    /// <summary>Bits that somebody else passed on; a reason to ask their owners.</summary>
    public VoterSet Relayed { get; set; }
}

/// <summary>A resolution round that this server has taken and not finished.</summary>
internal sealed class TakenRound(uint round)
{
    public uint Round { get; } = round;

    /// <summary>Who promised, this server included once its own promise is durable.</summary>
    public VoterSet Promises { get; set; }

    /// <summary>The bit of the greatest round that any promise showed, if any did.</summary>
    public (uint Round, bool Value)? Greatest { get; set; }

    /// <summary>The value that was proposed; null while promises are gathered.</summary>
    public bool? Proposed { get; set; }
}

/// <summary>
/// All that a server knows of one open tag: whether it has the record, what it promised, its own bit, the bits of others. One instance
/// of agreement (a single-decree one: round 0 belongs to the accepting server and can only say yes; see <see cref="VectorExchange"/>).
/// </summary>
internal sealed class Ballot(Tag tag, Instant created)
{
    private readonly List<Tally> _tallies = [];

    public Tag Tag { get; } = tag;

    public Instant Created { get; } = created;

    /// <summary>Who said that the tag is too old for it to tell.</summary>
    public VoterSet TooOldAt { get; set; }

    /// <summary>The question after the key that such a server is asked; 0 until one is.</summary>
    public ulong KeyQuestion { get; set; }

    public Submission? Submission { get; set; }

    public FileState File { get; set; }

    /// <summary>Log position of the record, once it was written.</summary>
    public ulong StoredAt { get; set; }

    /// <summary>SHA-256 of the record that bits are about; from the record, else from the first vector.</summary>
    public Digest Hash { get; set; }

    /// <summary>No bit is set in a round below. Durable before anybody hears of it. Grows only.</summary>
    public uint Promised { get; set; }

    /// <summary>The greatest round that anybody was heard to have promised; the next one taken here is above.</summary>
    public uint RoundSeen { get; set; }

    /// <summary>Log position of the promise.</summary>
    public ulong PromisedAt { get; set; }

    /// <summary>The own bit of the greatest round, or null; changed only together with a record.</summary>
    public (uint Round, bool Value)? OwnBit { get; set; }

    /// <summary>True once the own bit's record is durable.</summary>
    public bool OwnBitDurable { get; set; }

    /// <summary>Round of a yes bit that waits for the record to be fetched, or for a rival of its key.</summary>
    public uint? WantedRound { get; set; }

    /// <summary>True if it may have been accepted under an earlier version, so that nothing but yes can be proposed ◆.</summary>
    public bool IsCarried { get; set; }

    /// <summary>Which disk made it, as the version that carries it tells; the record tells it too.</summary>
    public DiskId CarriedDisk { get; set; }

    /// <summary>Which disk made it, or none where that is not known here.</summary>
    public DiskId Disk => Submission?.AcceptingDisk ?? CarriedDisk;

    /// <summary>The version's name, where its record is not here and somebody asked for it by that; else null.</summary>
    public ObjectName? AskedAs { get; set; }

    /// <summary>What a promise shows: the own bit, or the value that an earlier version left.</summary>
    public (uint Round, bool Value)? Shown => OwnBit ?? (IsCarried ? (0, true) : null);

    public TagState State { get; set; } = TagState.Open;

    public Tag Successor { get; set; }

    /// <summary>Its number in the feed, from when that is known until the catalog has come to it.</summary>
    public SequenceNumber Number { get; set; }

    /// <summary>The client's attempt that this tag serves, at its accepting server.</summary>
    public Attempt? Attempt { get; set; }

    /// <summary>True while its accepting server prepares a successor: no question about it is answered until that is written.</summary>
    public bool IsBeingReplaced { get; set; }

    /// <summary>The round that this server has taken, or null.</summary>
    public TakenRound? Taken { get; set; }

    /// <summary>True if somebody here needs to know the outcome and a round may be taken.</summary>
    public bool Contested { get; set; }

    /// <summary>Not before this a (further) round is taken.</summary>
    public Instant RoundNotBefore { get; set; }

    /// <summary>Rounds taken here, for the back-off.</summary>
    public int RoundsTaken { get; set; }

    /// <summary>When the vector is passed on again, and how long to wait then.</summary>
    public Instant ResendAt { get; set; } = Instant.Never;

    public TimeSpan ResendWait { get; set; }

    public int Resends { get; set; }

    /// <summary>When the record is asked for again.</summary>
    public Instant FetchAt { get; set; } = Instant.Never;

    public int FetchTurn { get; set; }

    /// <summary>The earliest timer that is queued for this ballot, so that no second one is.</summary>
    public Instant TimerAt { get; set; } = Instant.Never;

    public bool IsOpen => State == TagState.Open;

    /// <summary>True if the log holds something of it that others may rely on: a bit, a promise, a record that was acknowledged.</summary>
    public bool IsKept => OwnBit is not null || Promised > 0 || File != FileState.Missing;

    /// <summary>Yes bits of any round, the own one included once durable: what a linearizable read must reckon with ◆.</summary>
    public ulong YesBits
    {
        get
        {
            ulong bits = 0;
            foreach (Tally tally in _tallies)
            {
                if (tally.Value && (tally.Round == 0 || !SeededBug.Is("read-counts-only-round-zero")))
                {
                    bits |= tally.Bits.Bits | tally.Relayed.Bits;
                }
            }

            return bits;
        }
    }

    public IReadOnlyList<Tally> Tallies => _tallies;

    /// <summary>Another version of the configuration is in force: bits of the one before count no more. Promises stay.</summary>
    public void ForgetBits()
    {
        _tallies.Clear();
        TooOldAt = default;
        OwnBit = null;
        OwnBitDurable = false;
        WantedRound = null;
        IsCarried = false;
        Taken = null;
        ResendAt = Instant.Never;
        Resends = 0;
        Version++;
    }

    /// <summary>Grows with <see cref="ForgetBits"/>: a bit that becomes durable afterwards is one of the version before.</summary>
    public int Version { get; private set; }

    public Tally TallyOf(uint round, bool value)
    {
        foreach (Tally tally in _tallies)
        {
            if (tally.Round == round && tally.Value == value)
            {
                return tally;
            }
        }

        var added = new Tally(round, value);
        _tallies.Add(added);
        return added;
    }
}
