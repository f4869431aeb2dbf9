using System.Collections.Immutable;
using Carillon.Protocols;

namespace Carillon.Simulator.Checkers;

/// <summary>
/// The search for an order of one name's operations that a register explains: Wing and Gong's (1993) depth-first search, with Lowe's (2017)
/// memory of the configurations that were tried. A configuration is the set of operations done and the value; it is remembered by 128 bits.
/// </summary>
/// <remarks>
/// Three reductions keep it fast, none changes the answer. A get that fits is done at once and never undone by itself, since it changes
/// nothing. A write of unknown outcome whose value nobody read is left out: if an order with it exists, so does one without. A write of
/// unknown outcome whose value was read, and written by no other, was done when the first of those gets returned.
/// </remarks>
internal sealed class RegisterSearch
{
    private const int Absent = 0;

    // A step that takes effect whatever the value is.
    private const int Anything = -1;

    private readonly List<Step> _steps = [];
    private readonly long _limit;
    private readonly int[] _next;
    private readonly int[] _previous;
    private readonly UInt128[] _identities;
    private int _returnsLeft;
    private int _longest;

    /// <summary>Prepares the search.</summary>
    public RegisterSearch(IReadOnlyList<HistoryEntry> entries, long limit)
    {
        _limit = limit;
        CollectSteps(entries);
        (_next, _previous) = Link();
        var random = new RandomSource((ulong)_steps.Count);
        _identities = new UInt128[_steps.Count];
        for (int i = 0; i < _identities.Length; i++)
        {
            _identities[i] = new UInt128(random.Next(), random.Next());
        }
    }

    /// <summary>After a no: the operation that could not be done in time.</summary>
    public HistoryEntry? Stuck { get; private set; }

    /// <summary>After a no: the last operations of the longest order.</summary>
    public ImmutableArray<HistoryEntry> Before { get; private set; } = [];

    /// <summary>After a no: operations under way at that point.</summary>
    public ImmutableArray<HistoryEntry> Around { get; private set; } = [];

    private int Head => _steps.Count * 2;

    private int Tail => Head + 1;

    /// <summary>Searches.</summary>
    public LinearizabilityResult Run()
    {
        var tried = new HashSet<UInt128>();
        var done = new List<(int Step, int ValueBefore)>();
        UInt128 set = 0;
        int value = Absent;
        int place = _next[Head];
        for (long count = 0; _returnsLeft > 0; count++)
        {
            if (count == _limit)
            {
                return LinearizabilityResult.Undecided;
            }

            int step = place / 2;
            bool isCall = place % 2 == 0;
            if (isCall)
            {
                Step candidate = _steps[step];
                if (candidate.IsWrite ? candidate.Expected == Anything || candidate.Expected == value : candidate.Value == value)
                {
                    int after = candidate.IsWrite ? candidate.Value : value;
                    UInt128 grown = set ^ _identities[step];
                    if (tried.Add(grown + (UInt128)after))
                    {
                        done.Add((step, value));
                        set = grown;
                        value = after;
                        Lift(step);
                        place = _next[Head];
                        continue;
                    }
                }

                place = _next[place];
                continue;
            }

            Remember(step, done);
            do
            {
                if (done.Count == 0)
                {
                    return LinearizabilityResult.NotLinearizable;
                }

                (step, value) = done[^1];
                done.RemoveAt(done.Count - 1);
                set ^= _identities[step];
                Unlift(step);
            }
            while (!_steps[step].IsWrite);
            place = _next[step * 2];
        }

        return LinearizabilityResult.Linearizable;
    }

    private void CollectSteps(IReadOnlyList<HistoryEntry> entries)
    {
        var values = new Dictionary<string, int>(StringComparer.Ordinal);
        var writers = new Dictionary<int, int>();
        var firstRead = new Dictionary<int, long>();
        int NumberOf(string? value)
        {
            if (value is null)
            {
                return Absent;
            }

            values.TryAdd(value, values.Count + 1);
            return values[value];
        }

        foreach (HistoryEntry entry in entries)
        {
            int value = entry.Action == HistoryAction.Delete ? Absent : NumberOf(entry.Value);
            if (entry.Action != HistoryAction.Get)
            {
                writers[value] = writers.GetValueOrDefault(value) + 1;
                if (entry is { IsConditional: true, Outcome: not HistoryOutcome.Failed })
                {
                    // It has met that value, if it took effect: whoever wrote it may not be left out.
                    int expected = NumberOf(entry.Expected);
                    firstRead[expected] = Math.Min(
                        firstRead.GetValueOrDefault(expected, long.MaxValue),
                        entry.Outcome == HistoryOutcome.Ok ? entry.Returned!.Value : long.MaxValue);
                }
            }
            else if (entry.Outcome == HistoryOutcome.Ok)
            {
                firstRead[value] = Math.Min(firstRead.GetValueOrDefault(value, long.MaxValue), entry.Returned!.Value);
            }
        }

        foreach (HistoryEntry entry in entries)
        {
            bool isWrite = entry.Action != HistoryAction.Get;
            int value = entry.Action == HistoryAction.Delete ? Absent : NumberOf(entry.Value);
            int expected = entry.IsConditional ? NumberOf(entry.Expected) : Anything;
            switch (entry.Outcome)
            {
                case HistoryOutcome.Ok:
                    _steps.Add(new Step(entry, isWrite, value, expected, entry.Invoked, entry.Returned!.Value));
                    break;
                case HistoryOutcome.Unknown when isWrite && firstRead.TryGetValue(value, out long read):
                    // Before the first write a name is absent too, so a get of "absent" proves no delete.
                    bool proven = value != Absent && writers[value] == 1;
                    _steps.Add(new Step(
                        entry, isWrite, value, expected, entry.Invoked, proven ? Math.Max(read, entry.Invoked) : long.MaxValue));
                    break;
                default:
                    break;
            }
        }
    }

    // Calls (even places) and returns (odd ones) in order of time; at one instant calls come first, so that what touches counts as
    // overlapping.
    private (int[] Next, int[] Previous) Link()
    {
        var places = new List<(long Time, bool IsReturn, int Place)>();
        for (int step = 0; step < _steps.Count; step++)
        {
            places.Add((_steps[step].Called, false, step * 2));
            if (_steps[step].Returned != long.MaxValue)
            {
                places.Add((_steps[step].Returned, true, (step * 2) + 1));
                _returnsLeft++;
            }
        }

        places.Sort();
        int[] next = new int[Tail + 1];
        int[] previous = new int[Tail + 1];
        int last = Head;
        foreach ((_, _, int place) in places)
        {
            next[last] = place;
            previous[place] = last;
            last = place;
        }

        next[last] = Tail;
        previous[Tail] = last;
        return (next, previous);
    }

    private void Lift(int step)
    {
        Unlink(step * 2);
        if (_steps[step].Returned != long.MaxValue)
        {
            Unlink((step * 2) + 1);
            _returnsLeft--;
        }
    }

    private void Unlift(int step)
    {
        if (_steps[step].Returned != long.MaxValue)
        {
            Relink((step * 2) + 1);
            _returnsLeft++;
        }

        Relink(step * 2);
    }

    private void Unlink(int place)
    {
        _next[_previous[place]] = _next[place];
        _previous[_next[place]] = _previous[place];
    }

    private void Relink(int place)
    {
        _next[_previous[place]] = place;
        _previous[_next[place]] = place;
    }

    private void Remember(int stuck, List<(int Step, int ValueBefore)> done)
    {
        const int Shown = 8;
        if (Stuck is not null && done.Count <= _longest)
        {
            return;
        }

        _longest = done.Count;
        Stuck = _steps[stuck].Entry;
        Before = [.. done.Skip(done.Count - Shown).Select(item => _steps[item.Step].Entry)];
        var around = ImmutableArray.CreateBuilder<HistoryEntry>();
        for (int place = _next[Head]; place % 2 == 0 && place != Tail && around.Count < Shown; place = _next[place])
        {
            if (place / 2 != stuck)
            {
                around.Add(_steps[place / 2].Entry);
            }
        }

        Around = around.DrainToImmutable();
    }

    private readonly record struct Step(HistoryEntry Entry, bool IsWrite, int Value, int Expected, long Called, long Returned);
}
