namespace Carillon.Protocols.AtomicMulticast;

/// <summary>
/// What is known here of the numbers that the store has not taken over yet: which assignment is stored under which epoch, which are
/// committed. A ring indexed by the number.
/// </summary>
/// <remarks>
/// A number is *known* once it is known to be committed with its value, and so are all below it. That takes a Commit that names it, or an
/// assignment that is stored here under epoch e together with the word of e's own sequencer that its committed number has come there ◆: an
/// assignment of another epoch may stand at that number here and have lost.
/// </remarks>
internal sealed class NumberLog
{
    private readonly int _most;
    private NumberEntry[] _ring = new NumberEntry[1024];
    private ulong _leaderEpoch;
    private ulong _leaderCommitted;

    public NumberLog(int most) => _most = most;

    /// <summary>Numbers up to this are not in the ring.</summary>
    public ulong Base { get; private set; }

    /// <summary>The greatest number in the ring that has, or had, an entry.</summary>
    public ulong Last { get; private set; }

    /// <summary>All up to this are committed, with values that are in the ring, in the store, or trimmed.</summary>
    public ulong Known { get; private set; }

    /// <summary>The greatest number that was heard of as committed.</summary>
    public ulong Heard { get; private set; }

    /// <summary>A number at which another value was committed before, or 0: an alarm that is taken away by reading.</summary>
    public ulong Diverged { get; private set; }

    /// <summary>True if the ring can hold an entry for this number.</summary>
    public bool Takes(ulong number) => number > Base && number - Base <= (ulong)_most;

    /// <summary>The entry of a number between <see cref="Base"/> and <see cref="Last"/>; an empty one for others.</summary>
    public ref readonly NumberEntry this[ulong number]
    {
        get
        {
            if (number <= Base || number > Last)
            {
                return ref NumberEntry.Empty;
            }

            return ref _ring[number & (ulong)(_ring.Length - 1)];
        }
    }

    /// <summary>True if an entry was stored under this epoch.</summary>
    public bool IsStored(ulong number, ulong epoch)
    {
        ref readonly NumberEntry entry = ref this[number];
        return entry.HasValue && entry.Epoch == epoch;
    }

    /// <summary>An assignment of an epoch is stored here, not yet durably. A committed value stays.</summary>
    public void Store(ulong number, in Assignment value, ulong epoch)
    {
        if (!Takes(number))
        {
            return;
        }

        ref NumberEntry entry = ref Place(number);
        if (entry.IsCommitted)
        {
            if (entry.Value != value)
            {
                Diverged = number;
            }

            return;
        }

        entry = new NumberEntry { Value = value, Epoch = epoch, HasValue = true };
    }

    /// <summary>What was stored under this epoch is durable.</summary>
    public void SetDurable(ulong number, ulong epoch)
    {
        if (number > Base && number <= Last)
        {
            ref NumberEntry entry = ref _ring[number & (ulong)(_ring.Length - 1)];
            entry.IsDurable |= entry.Epoch == epoch;
        }
    }

    /// <summary>This value is committed at this number.</summary>
    public void Learn(ulong number, in Assignment value)
    {
        Heard = Math.Max(Heard, number);
        if (number <= Known || !Takes(number))
        {
            return;
        }

        ref NumberEntry entry = ref Place(number);
        if (entry.IsCommitted && entry.Value != value)
        {
            Diverged = number;
            return;
        }

        if (!entry.HasValue || entry.Value != value)
        {
            entry = new NumberEntry { Value = value, HasValue = true };
        }

        entry.IsCommitted = true;
    }

    /// <summary>The sequencer of an epoch says that all up to this number are committed.</summary>
    public void HearCommitted(ulong epoch, ulong upTo)
    {
        Heard = Math.Max(Heard, upTo);
        if (epoch > _leaderEpoch)
        {
            _leaderEpoch = epoch;
            _leaderCommitted = upTo;
        }
        else if (epoch == _leaderEpoch)
        {
            _leaderCommitted = Math.Max(_leaderCommitted, upTo);
        }
    }

    /// <summary>Somebody knows that all up to this number are committed: their values are to be asked for.</summary>
    public void HearAny(ulong upTo) => Heard = Math.Max(Heard, upTo);

    /// <summary>Moves <see cref="Known"/> on as far as it goes.</summary>
    /// <returns>True if it moved.</returns>
    public bool Advance()
    {
        ulong before = Known;
        while (Known < Last)
        {
            ref NumberEntry entry = ref _ring[(Known + 1) & (ulong)(_ring.Length - 1)];
            bool isLeaders = entry.Epoch == _leaderEpoch || SeededBug.Is("commit-inferred-from-another-epoch");
            if (!entry.HasValue || !(entry.IsCommitted || (isLeaders && Known + 1 <= _leaderCommitted)))
            {
                break;
            }

            entry.IsCommitted = true;
            Known++;
        }

        Heard = Math.Max(Heard, Known);
        return Known > before;
    }

    /// <summary>True if a number's value is known to be committed here, though perhaps not all below it.</summary>
    public bool IsCommitted(ulong number)
    {
        ref readonly NumberEntry entry = ref this[number];
        bool isLeaders = entry.Epoch == _leaderEpoch || SeededBug.Is("commit-inferred-from-another-epoch");
        return entry.HasValue && (entry.IsCommitted || (isLeaders && number <= _leaderCommitted));
    }

    /// <summary>Everything up to a number is committed and somewhere else: in the store, or covered by a checkpoint.</summary>
    public void Skip(ulong number)
    {
        if (number > Known)
        {
            Known = number;
            Heard = Math.Max(Heard, number);
        }

        Release(number);
        Advance();
    }

    /// <summary>Numbers up to this, at most the known ones, are not needed in the ring any more.</summary>
    public void Release(ulong upTo)
    {
        upTo = Math.Min(upTo, Known);
        if (upTo <= Base)
        {
            return;
        }

        ulong last = Math.Min(upTo, Last);
        for (ulong number = Base + 1; number <= last; number++)
        {
            _ring[number & (ulong)(_ring.Length - 1)] = default;
        }

        Base = upTo;
        Last = Math.Max(Last, Base);
    }

    /// <summary>Takes the alarm away.</summary>
    public void ClearDiverged() => Diverged = 0;

    private ref NumberEntry Place(ulong number)
    {
        if (number - Base > (ulong)_ring.Length)
        {
            Grow(number);
        }

        Last = Math.Max(Last, number);
        return ref _ring[number & (ulong)(_ring.Length - 1)];
    }

    private void Grow(ulong number)
    {
        int length = _ring.Length;
        while (number - Base > (ulong)length)
        {
            length *= 2;
        }

        var ring = new NumberEntry[length];
        for (ulong n = Base + 1; n <= Last; n++)
        {
            ring[n & (ulong)(length - 1)] = _ring[n & (ulong)(_ring.Length - 1)];
        }

        _ring = ring;
    }
}

/// <summary>What is known of one number.</summary>
internal struct NumberEntry
{
    public static readonly NumberEntry Empty;

    public Assignment Value;

    /// <summary>Under which epoch it was stored; 0: it was only learned.</summary>
    public ulong Epoch;

    public bool HasValue;
    public bool IsCommitted;
    public bool IsDurable;
}
