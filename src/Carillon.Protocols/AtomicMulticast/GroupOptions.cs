namespace Carillon.Protocols.AtomicMulticast;

/// <summary>How atomic multicast behaves; the defaults are the design's.</summary>
public sealed record GroupOptions
{
    /// <summary>How often the sequencer tells its greatest committed number. Too low: datagrams while idle; too high: a lost last message
    /// is missed for that long.</summary>
    public TimeSpan GossipInterval { get; init; } = TimeSpan.FromMilliseconds(50);

    /// <summary>Longest random wait before something missing is asked for, so that a repair that others asked for is overheard.
    /// Too low: many ask; too high: a loss costs that long.</summary>
    public TimeSpan QueryDelay { get; init; } = TimeSpan.FromMilliseconds(20);

    /// <summary>Wait before the next server is asked for what the last one did not send.</summary>
    public TimeSpan QueryTimeout { get; init; } = TimeSpan.FromMilliseconds(100);

    /// <summary>First wait of a sender before it sends an uncommitted message again; it doubles each time.</summary>
    public TimeSpan SendRetryFirst { get; init; } = TimeSpan.FromMilliseconds(200);

    /// <summary>Longest wait of a sender between two sendings.</summary>
    public TimeSpan SendRetryLast { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>A data server that sees no commit asks (again) for a number after this.</summary>
    public TimeSpan RequestInterval { get; init; } = TimeSpan.FromMilliseconds(100);

    /// <summary>The sequencer sends assignments again to a commit server that has not acknowledged them for this long.</summary>
    public TimeSpan AssignRetry { get; init; } = TimeSpan.FromMilliseconds(60);

    /// <summary>A new sequencer asks those commit servers again that have not answered for this long.</summary>
    public TimeSpan PrepareRetry { get; init; } = TimeSpan.FromMilliseconds(100);

    /// <summary>A new sequencer waits this long for a value or a message that it must have, then does without the answers that named it
    /// while a majority remains. Too low: slow disks end recoveries; too high: a dead holder costs that long.</summary>
    public TimeSpan RecoveryPatience { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>Messages of one session that may be under way at once; more of its messages are refused until some are committed.</summary>
    public int SessionWindow { get; init; } = 1024;

    /// <summary>Messages of all sessions of this server that may be under way at once.</summary>
    public int SenderWindow { get; init; } = 8192;

    /// <summary>Bytes of payloads of this server's senders that may be under way at once.</summary>
    public long SenderBytes { get; init; } = 64L << 20;

    /// <summary>A refused sender is told to come back after this.</summary>
    public TimeSpan RetryAfter { get; init; } = TimeSpan.FromMilliseconds(100);

    /// <summary>Numbers that may be assigned and not committed. Further messages wait, unassigned, up to as many again.</summary>
    public int AssignWindow { get; init; } = 16_384;

    /// <summary>The most numbers above the committed ones that a server keeps; what is beyond is fetched later.</summary>
    public int MaxAhead { get; init; } = 65_536;

    /// <summary>Assignments in one wire message at most: 64 bytes each.</summary>
    public int MaxRun { get; init; } = 512;

    /// <summary>Payload bytes in one wire message at most, unless one message alone is longer.</summary>
    public int MaxBatchBytes { get; init; } = 48 << 10;

    /// <summary>Messages that are asked for at once, and answered at once, at most.</summary>
    public int MaxQuery { get; init; } = 2048;

    /// <summary>How long the sequencer of a group that keeps senders' order lets a message wait for an earlier one of its sender. Too low:
    /// what is repeated, or sent again by another server, comes too late and is never delivered; too high: a sender that gave a message up
    /// without saying so waits for as long.</summary>
    public TimeSpan FifoPatience { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>A checkpoint is made every so many numbers, at the same numbers on all servers.</summary>
    public ulong CheckpointEvery { get; init; } = 50_000;

    /// <summary>A checkpoint server repeats its report while it is not advertised.</summary>
    public TimeSpan ReportInterval { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Messages that a checkpoint covers are kept for this many numbers more, for those that lag a little.</summary>
    public ulong RetainNumbers { get; init; } = 10_000;

    /// <summary>One query asks a commit server for numbers and for their messages as well. On: one exchange for a loss; messages
    /// that are here already come twice.</summary>
    public bool CombinedQuery { get; init; }

    /// <summary>All that is wrong with these values; none if they can be used.</summary>
    public IEnumerable<string> Validate()
    {
        if (GossipInterval <= TimeSpan.Zero || QueryTimeout <= TimeSpan.Zero || RequestInterval <= TimeSpan.Zero
            || AssignRetry <= TimeSpan.Zero || PrepareRetry <= TimeSpan.Zero || ReportInterval <= TimeSpan.Zero)
        {
            yield return "gossip.interval, query.timeout, request.interval, assign.retry, prepare.retry and report.interval must be above zero";
        }

        if (SendRetryFirst <= TimeSpan.Zero || SendRetryLast < SendRetryFirst)
        {
            yield return "send.retryFirst must be above zero and not above send.retryLast";
        }

        if (SessionWindow < 1 || SenderWindow < SessionWindow || AssignWindow < 1 || MaxAhead < AssignWindow)
        {
            yield return "session.window must be at least 1 and not above sender.window, assign.window at least 1 and not above numbers.maxAhead";
        }

        if (MaxRun is < 1 or > 4096 || MaxBatchBytes < 1024 || MaxQuery is < 1 or > GroupCodec.MaxItems)
        {
            yield return "batch.maxRun must be 1-4096, batch.maxBytes at least 1024, query.max 1-16384";
        }

        if (FifoPatience <= TimeSpan.Zero)
        {
            yield return "fifo.patience must be above zero";
        }

        if (CheckpointEvery < 1 || SenderBytes < GroupSettings.MaxPayloadBytes)
        {
            yield return "checkpoint.every must be at least 1, sender.bytes at least one payload";
        }
    }
}
