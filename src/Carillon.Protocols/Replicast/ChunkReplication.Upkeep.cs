namespace Carillon.Protocols.Replicast;

/// <content>Upkeep: chunks are read back, when asked about and in turn; what nothing refers to is collected.</content>
public sealed partial class ChunkReplication
{
    private readonly SortedDictionary<ChunkId, Verification> _verifying = [];

    // By the id's first eight bytes, to save memory: a chance meeting of two only shortens one's grace.
    private readonly Dictionary<ulong, Unreferenced> _unreferenced = [];
    private Instant _nextScrub;
    private Instant _nextCollection;
    private Instant _nextIntentCheck;
    private ChunkId _scrubbedUpTo;
    private ChunkId _collectedUpTo;
    private uint _pass;

    private TimeSpan IntentCheckGap => _options.IntentLease / 10;

    private Instant NextVerification => _verifying.Count == 0 ? Instant.Never : _verifying.Values.Min(v => v.Until);

    /// <summary>
    /// Reads this server's copy back, then tells whether it is good: nobody says "already stored" on less (REP-146). Told false at once
    /// where there is no copy, or too many are being read.
    /// </summary>
    public void Verify(ChunkId chunk, Moment now, Action<bool> then)
    {
        if (_verifying.TryGetValue(chunk, out Verification? running))
        {
            running.Then.Add(then);
            return;
        }

        if (!_inventory.Contains(chunk) || _verifying.Count >= _options.VerifyWindow)
        {
            then(false);
            return;
        }

        _verifying.Add(chunk, new Verification(now.Now + _options.VerifyTimeout) { Then = { then } });
        _host.Scrub(chunk);
    }

    /// <summary>A chunk was read back: good, or damaged and dropped by the store already.</summary>
    public void Scrubbed(ChunkId chunk, bool isGood, Moment now)
    {
        Figures.Scrubbed++;
        if (!isGood)
        {
            Figures.Damaged++;
            Lost(chunk, now);
        }

        EndVerification(chunk, isGood);
    }

    private void EndVerification(ChunkId chunk, bool isGood)
    {
        if (_verifying.Remove(chunk, out Verification? verification))
        {
            verification.Then.ForEach(then => then(isGood));
        }
    }

    private void AdvanceVerification(Moment now)
    {
        if (NextVerification <= now.Now)
        {
            foreach (ChunkId chunk in _verifying.Where(entry => entry.Value.Until <= now.Now).Select(entry => entry.Key).ToArray())
            {
                EndVerification(chunk, isGood: false);
            }
        }
    }

    private TimeSpan ScrubGap() => TimeSpan.FromTicks(
        Math.Clamp(_options.ScrubPeriod.Ticks / Math.Max(1, _inventory.Count), TimeSpan.TicksPerMillisecond, TimeSpan.TicksPerMinute));

    private void AdvanceScrub(Moment now)
    {
        if (_nextScrub > now.Now)
        {
            return;
        }

        // At most one a minute while chunks are few: so the pace is right again soon after many have come.
        _nextScrub = now.Now + ScrubGap();
        IReadOnlyList<ChunkId> next = _inventory.From(_scrubbedUpTo, 1);
        if (next.Count == 0)
        {
            _scrubbedUpTo = default;
            return;
        }

        _scrubbedUpTo = next[0];
        _host.Scrub(next[0]);
    }

    /// <summary>
    /// A chunk goes when nothing has referred to it for the grace time: no kept version, no open submission, no put-intent. Only after this
    /// server has merged its index with a quorum lately: it might not know of a reference otherwise.
    /// </summary>
    private void AdvanceCollection(Moment now)
    {
        if (_nextIntentCheck <= now.Now)
        {
            _nextIntentCheck = now.Now + IntentCheckGap;
            _host.ResolveIntents();
        }

        if (_nextCollection > now.Now)
        {
            return;
        }

        if (!_host.MayCollect)
        {
            _nextCollection = now.Now + _options.CollectInterval;
            return;
        }

        IReadOnlyList<ChunkId> step = _inventory.From(_collectedUpTo, _options.CollectStep);
        foreach (ChunkId chunk in step)
        {
            Consider(chunk, now);
        }

        if (step.Count == _options.CollectStep)
        {
            _collectedUpTo = step[^1];
            _nextCollection = now.Now + _options.CollectStepInterval;
            return;
        }

        EndPass();
        _nextCollection = now.Now + (Buggify.Here("collection-hurried", 0.5) ? _options.CollectInterval / 50 : _options.CollectInterval);
    }

    private void Consider(ChunkId chunk, Moment now)
    {
        bool isNamed = _inventory.HasIntent(chunk) && !SeededBug.Is("chunk-collect-ignores-intent");
        if (isNamed || _host.IsReferenced(chunk))
        {
            _unreferenced.Remove(chunk.Digest.A);
            return;
        }

        if (!_unreferenced.TryGetValue(chunk.Digest.A, out Unreferenced known))
        {
            if (_unreferenced.Count < _options.CollectCandidates)
            {
                _unreferenced.Add(chunk.Digest.A, new Unreferenced(now.Now, _pass));
            }

            return;
        }

        // The grace saves traffic; what is safe must not rest on it.
        if (now.Now - known.Since >= _options.CollectGrace || Buggify.Here("collected-without-grace", 0.5))
        {
            Sometimes.Reached("chunk-collected");
            _unreferenced.Remove(chunk.Digest.A);
            Figures.Collected++;
            _host.Drop(chunk);
            return;
        }

        _unreferenced[chunk.Digest.A] = known with { Pass = _pass };
    }

    // What was not met in this pass is not here any more.
    private void EndPass()
    {
        _collectedUpTo = default;
        foreach (ulong gone in _unreferenced.Where(entry => entry.Value.Pass != _pass).Select(entry => entry.Key).ToArray())
        {
            _unreferenced.Remove(gone);
        }

        _pass++;
    }

    /// <summary>Since when a chunk has been without reference, and in which pass that was last seen.</summary>
    private readonly record struct Unreferenced(Instant Since, uint Pass);

    /// <summary>A copy that is being read back, and who waits for the result.</summary>
    private sealed class Verification(Instant until)
    {
        public Instant Until { get; } = until;

        public List<Action<bool>> Then { get; } = [];
    }
}
