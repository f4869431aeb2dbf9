using Carillon.Protocols;

namespace Carillon.Simulator.World;

/// <summary>
/// What is to happen, by virtual time; what is to happen at one instant happens in the order in which it was scheduled. A heap with four
/// children a node, since most of a run's own time goes here and this touches the fewest cache lines.
/// </summary>
internal sealed class EventQueue
{
    private const int Fan = 4;

    private Entry[] _heap = new Entry[1024];
    private int _count;
    private long _order;

    /// <summary>True time; the servers' clocks are wrong in their own ways.</summary>
    public Instant Now { get; private set; }

    /// <summary>How many events have happened.</summary>
    public long Happened { get; private set; }

    /// <summary>When the next event is due, or never.</summary>
    public Instant Next => _count == 0 ? Instant.Never : new Instant(_heap[0].Ticks);

    /// <summary>Schedules something; what should have happened already happens next.</summary>
    public void At(Instant when, Action happening)
    {
        if (_count == _heap.Length)
        {
            Array.Resize(ref _heap, _heap.Length * 2);
        }

        var entry = new Entry(Math.Max(when.Ticks, Now.Ticks), _order++, happening);
        int place = _count++;
        while (place > 0)
        {
            int parent = (place - 1) / Fan;
            if (_heap[parent].IsBefore(entry))
            {
                break;
            }

            _heap[place] = _heap[parent];
            place = parent;
        }

        _heap[place] = entry;
    }

    /// <summary>Schedules something after a delay.</summary>
    public void After(TimeSpan delay, Action happening) => At(Now + delay, happening);

    /// <summary>Lets the next event happen, unless it is due after the limit; then only time passes, up to the limit.</summary>
    public bool RunNext(Instant limit)
    {
        if (_count == 0 || _heap[0].Ticks > limit.Ticks)
        {
            Now = limit > Now ? limit : Now;
            return false;
        }

        Entry entry = _heap[0];
        RemoveFirst();
        Now = new Instant(entry.Ticks);
        Happened++;
        entry.Happening();
        return true;
    }

    private void RemoveFirst()
    {
        Entry last = _heap[--_count];
        _heap[_count] = default;
        if (_count == 0)
        {
            return;
        }

        int place = 0;
        while (true)
        {
            int first = (place * Fan) + 1;
            if (first >= _count)
            {
                break;
            }

            int least = first;
            int end = Math.Min(first + Fan, _count);
            for (int child = first + 1; child < end; child++)
            {
                if (_heap[child].IsBefore(_heap[least]))
                {
                    least = child;
                }
            }

            if (last.IsBefore(_heap[least]))
            {
                break;
            }

            _heap[place] = _heap[least];
            place = least;
        }

        _heap[place] = last;
    }

    private readonly record struct Entry(long Ticks, long Order, Action Happening)
    {
        public bool IsBefore(in Entry other) => Ticks < other.Ticks || (Ticks == other.Ticks && Order < other.Order);
    }
}
