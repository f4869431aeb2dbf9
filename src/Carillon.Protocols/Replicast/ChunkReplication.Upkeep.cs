namespace Carillon.Protocols.Replicast;

/// <content>Scrubbing and collection.</content>
public sealed partial class ChunkReplication
{
    private readonly Dictionary<ChunkId, Instant> _unreferencedSince = [];
    private Instant _nextScrub;
    private Instant _nextCollection;
    private ChunkId _scrubbedUpTo;
    private ChunkId _collectedUpTo;

    /// <summary>A chunk was read back: good, or damaged and dropped by the store already.</summary>
    public void Scrubbed(ChunkId chunk, bool isGood, Moment now)
    {
        Figures.Scrubbed++;
        if (_verifying.Remove(chunk, out List<(NodeId Asker, ulong Number)>? askers) && isGood)
        {
            foreach ((NodeId asker, ulong number) in askers)
            {
                Send(asker, new ChunkMessage(ChunkMessageType.HoldAnswer, number) { Chunks = [chunk] });
            }
        }

        if (!isGood)
        {
            Figures.Damaged++;
            Lost(chunk, now);
        }
    }

    private TimeSpan ScrubGap() =>
        TimeSpan.FromTicks(Math.Clamp(
            _options.ScrubPeriod.Ticks / Math.Max(1, _inventory.Count), TimeSpan.TicksPerMillisecond, TimeSpan.TicksPerHour));

    private void AdvanceScrub(Moment now)
    {
        if (_nextScrub > now.Now)
        {
            return;
        }

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
    /// server has merged its
    /// index with a quorum lately: it might not know of a reference otherwise.
    /// </summary>
    private void AdvanceCollection(Moment now)
    {
        if (_nextCollection > now.Now)
        {
            return;
        }

        _nextCollection = now.Now + _options.CollectInterval;
        _host.ResolveIntents();
        if (!_host.MayCollect)
        {
            return;
        }

        IReadOnlyList<ChunkId> step = _inventory.From(_collectedUpTo, _options.CollectStep);
        _collectedUpTo = step.Count < _options.CollectStep ? default : step[^1];
        if (step.Count == _options.CollectStep)
        {
            // A collection under way goes on step by step, with room for other work in between.
            _nextCollection = now.Now + TimeSpan.FromTicks(Math.Min(_options.CollectInterval.Ticks, TimeSpan.FromMilliseconds(50).Ticks));
        }

        foreach (ChunkId chunk in step)
        {
            Consider(chunk, now);
        }
    }

    private void Consider(ChunkId chunk, Moment now)
    {
        bool isNamed = _inventory.HasIntent(chunk) && !SeededBug.Is("chunk-collect-ignores-intent");
        if (isNamed || _host.IsReferenced(chunk))
        {
            _unreferencedSince.Remove(chunk);
            return;
        }

        if (!_unreferencedSince.TryGetValue(chunk, out Instant since))
        {
            if (_unreferencedSince.Count < _options.RepairQueue)
            {
                _unreferencedSince.Add(chunk, now.Now);
            }

            return;
        }

        if (now.Now - since >= _options.CollectGrace)
        {
            _unreferencedSince.Remove(chunk);
            Figures.Collected++;
            _host.Drop(chunk);
        }
    }
}
