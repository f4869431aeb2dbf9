using Carillon.Gateway.Streams;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Runtime.Feeds;
using Carillon.Storage.Catalogs;
using Microsoft.Extensions.Logging;

namespace Carillon.Gateway.Feeds;

/// <summary>
/// All who watch the feed at this server. What is applied is read once for all of them, into the <see cref="FeedTail"/>, and only those
/// whose filter lets something through are woken: for the others it costs a look at their prefix, and for those of other buckets nothing.
/// While nobody watches nothing is read.
/// </summary>
internal sealed class FeedHub : IThreadPoolWorkItem, IDisposable
{
    private const int PageItems = 1000;

    private readonly Lock _lock = new();
    private readonly IFeedGate _gate;
    private readonly ILogger _log;

    // By the bucket that they want; the empty name for all buckets.
    private readonly Dictionary<string, List<FeedSource>> _resting = new(StringComparer.Ordinal);
    private FeedTail _tail = FeedTail.At(default);
    private int _watchers;

    // Signals that no reading has answered yet; whoever makes the first of them starts the reading.
    private int _signals;

    public FeedHub(IFeedGate gate, ILogger log)
    {
        _gate = gate;
        _log = log;
        gate.Changed = Signal;
    }

    /// <summary>The end of the feed, as far as it was read here.</summary>
    public FeedTail Tail => Volatile.Read(ref _tail);

    /// <summary>How many watch.</summary>
    public int Watchers => Volatile.Read(ref _watchers);

    /// <summary>A page for one who is behind the tail.</summary>
    public FeedPage Read(FeedQuery query) => _gate.Read(query);

    /// <summary>One more watches.</summary>
    public void Enter()
    {
        lock (_lock)
        {
            // The count first, then the number: a signal in between either counts or was for a number that is seen here.
            if (Interlocked.Increment(ref _watchers) == 1)
            {
                Volatile.Write(ref _tail, FeedTail.At(_gate.Applied.Next));
            }
        }
    }

    /// <summary>One less.</summary>
    public void Leave(FeedSource source)
    {
        lock (_lock)
        {
            Remove(source);
            if (Interlocked.Decrement(ref _watchers) == 0)
            {
                Volatile.Write(ref _tail, FeedTail.At(default));
            }
        }
    }

    /// <summary>Until something is applied that it wants it need not look; false if there is something to look at.</summary>
    public bool Rest(FeedSource source, OpenStream stream)
    {
        lock (_lock)
        {
            if (source.Next < _tail.Next)
            {
                return false;
            }

            if (!_resting.TryGetValue(source.Filter.Bucket, out List<FeedSource>? resting))
            {
                _resting[source.Filter.Bucket] = resting = [];
            }

            source.Resting = stream;
            source.Place = resting.Count;
            resting.Add(source);
            return true;
        }
    }

    /// <summary>It looks again; what passed meanwhile it did not want.</summary>
    public void Rise(FeedSource source)
    {
        lock (_lock)
        {
            Remove(source);
        }
    }

    /// <summary>Stops listening.</summary>
    public void Dispose() => _gate.Changed = null;

    /// <summary>Reads what was applied, page after page.</summary>
    void IThreadPoolWorkItem.Execute()
    {
        int seen;
        do
        {
            seen = Volatile.Read(ref _signals);
            try
            {
                while (Watchers > 0 && Add(Tail))
                {
                }
            }
            catch (Exception unreadable)
            {
                // The tail goes on behind what could not be read, so that all who watch read it by themselves: each of them gets it, or
                // answers as a request that failed does.
                _log.FeedUnreadable(unreadable);
                Replace(Tail, FeedTail.At(_gate.Applied.Next), wakeAll: true);
            }
        }
        while (Interlocked.Add(ref _signals, -seen) > 0);
    }

    private void Signal()
    {
        Interlocked.MemoryBarrier();
        if (Volatile.Read(ref _watchers) > 0 && Interlocked.Increment(ref _signals) == 1)
        {
            ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
        }
    }

    /// <summary>Reads one page behind the tail; false once there is no more.</summary>
    private bool Add(FeedTail tail)
    {
        FeedPage page = _gate.Read(new FeedQuery(tail.Next, Limit: PageItems));
        if (page.IsTooOld)
        {
            // This server went on from a checkpoint: what lies in between was never applied here one by one.
            Replace(tail, FeedTail.At(page.Applied.Next), wakeAll: true);
            return true;
        }

        if (page.Next > tail.Next)
        {
            Replace(tail, tail.With(page), wakeAll: false);
        }

        return page.Next <= page.Applied;
    }

    private void Replace(FeedTail before, FeedTail after, bool wakeAll)
    {
        lock (_lock)
        {
            if (!ReferenceEquals(_tail, before))
            {
                return; // the last watcher went meanwhile, and perhaps another came
            }

            Volatile.Write(ref _tail, after);
            if (wakeAll)
            {
                WakeAll();
                return;
            }

            foreach (FeedItem item in after.Since(before.Next).Span)
            {
                Offer(item, before.Next);
            }
        }
    }

    private void Offer(FeedItem item, SequenceNumber passed)
    {
        Offer(item, "", passed);
        string last = "";
        foreach (FeedOperation operation in item.Operations)
        {
            if (operation.Target.Bucket != last)
            {
                last = operation.Target.Bucket;
                Offer(item, last, passed);
            }
        }
    }

    private void Offer(FeedItem item, string bucket, SequenceNumber passed)
    {
        if (!_resting.TryGetValue(bucket, out List<FeedSource>? resting))
        {
            return;
        }

        // Backwards: one that is removed is replaced by one that was looked at.
        for (int i = resting.Count - 1; i >= 0; i--)
        {
            FeedSource source = resting[i];
            if (item.Number >= source.Next && source.Filter.LetsThrough(item))
            {
                Wake(source, passed);
            }
        }
    }

    private void WakeAll()
    {
        lock (_lock)
        {
            foreach (List<FeedSource> resting in _resting.Values.ToArray())
            {
                for (int i = resting.Count - 1; i >= 0; i--)
                {
                    Wake(resting[i], resting[i].Next);
                }
            }
        }
    }

    private void Wake(FeedSource source, SequenceNumber passed)
    {
        OpenStream stream = source.Resting!;
        Remove(source, passed);
        stream.Wake();
    }

    private void Remove(FeedSource source) => Remove(source, _tail.Next);

    private void Remove(FeedSource source, SequenceNumber passed)
    {
        if (source.Resting is null)
        {
            return;
        }

        source.Resting = null;
        source.Next = SequenceNumber.Max(source.Next, passed);
        List<FeedSource> resting = _resting[source.Filter.Bucket];
        FeedSource last = resting[^1];
        resting[source.Place] = last;
        last.Place = source.Place;
        resting.RemoveAt(resting.Count - 1);
        if (resting.Count == 0)
        {
            _resting.Remove(source.Filter.Bucket);
        }
    }
}
