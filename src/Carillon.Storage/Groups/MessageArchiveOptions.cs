using Carillon.Protocols.AtomicMulticast;

namespace Carillon.Storage.Groups;

/// <summary>Bounds of a <see cref="MessageArchive"/>.</summary>
public sealed record MessageArchiveOptions
{
    private const int SegmentsKept = 16;

    /// <summary>
    /// Bytes after which a segment file is closed and the next begun; space comes back in whole segments. Low: many files. High: more is
    /// kept than asked for, and more to verify at a start.
    /// </summary>
    public long SegmentBytes { get; init; } = 64L << 20;

    /// <summary>
    /// Age at which a segment is closed although it is not full, so that a group with few messages forgets by time too. Low: many files;
    /// high: messages are kept so much longer than asked for.
    /// </summary>
    public TimeSpan SegmentAge { get; init; } = TimeSpan.FromDays(1);

    /// <summary>
    /// Bytes that gather before a batch is due, and that a batch has at most unless one message alone is longer. Low: more flushes, and a
    /// greater index; high: one message's read costs more, since all of its batch is verified.
    /// </summary>
    public int BatchBytes { get; init; } = 1 << 20;

    /// <summary>Messages in a batch at most.</summary>
    public int MaxBatchMessages { get; init; } = 8192;

    /// <summary>Bytes that wait for their batch, in the callers' buffers; more are refused.</summary>
    public long MaxWaitingBytes { get; init; } = 64L << 20;

    /// <summary>Messages that wait for their batch; more are refused.</summary>
    public int MaxWaitingMessages { get; init; } = 1 << 18;

    /// <summary>Runs that wait to be put in place of damaged ones; more are refused.</summary>
    public int MaxWaitingPatches { get; init; } = 16;

    /// <summary>Bytes of the device that are left free for the other stores, and for the records that let the archive be cut.</summary>
    public long ReserveBytes { get; init; } = 64L << 20;

    /// <summary>Files held open at once, more only while more are being read. Low: files are opened again and again by readers that are at
    /// different places.</summary>
    public int MaxOpenFiles { get; init; } = 8;

    /// <summary>How long after a device refused (full, read-only) it is asked again.</summary>
    public TimeSpan RetryAfter { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Options for a group: segments small enough that its retention is kept to within a sixteenth.</summary>
    public static MessageArchiveOptions For(GroupSettings settings) => new()
    {
        SegmentBytes = Math.Clamp(settings.RetainBytes / SegmentsKept, 1 << 20, 64L << 20),
        SegmentAge = TimeSpan.FromSeconds(Math.Clamp((settings.RetainTime / SegmentsKept).TotalSeconds, 1, 86_400)),
        BatchBytes = (int)Math.Clamp(settings.RetainBytes / (4 * SegmentsKept), 64 << 10, 1 << 20),
    };

    /// <summary>All that is wrong with these values; none if they can be used.</summary>
    public IReadOnlyList<string> Validate()
    {
        var faults = new List<string>();
        Check(SegmentBytes is >= ArchiveHeader.Block and <= 1L << 30, "archive.segmentBytes must be from 4096 to 1 GiB.");
        Check(SegmentAge >= TimeSpan.FromSeconds(1), "archive.segmentAge must be 1 s or more.");
        Check(BatchBytes is >= ArchiveHeader.Block and <= 16 << 20, "archive.batchBytes must be from 4096 to 16 MiB.");
        Check(MaxBatchMessages is >= 1 and <= 65_536, "archive.maxBatchMessages must be from 1 to 65536.");
        Check(MaxWaitingBytes >= BatchBytes && MaxWaitingBytes <= 1L << 32, "archive.maxWaitingBytes must be from batchBytes to 4 GiB.");
        Check(
            MaxWaitingMessages >= MaxBatchMessages && MaxWaitingMessages <= 1 << 24,
            "archive.maxWaitingMessages must be from maxBatchMessages to 16777216.");
        Check(MaxWaitingPatches is >= 1 and <= 1024, "archive.maxWaitingPatches must be from 1 to 1024.");
        Check(ReserveBytes >= 0, "archive.reserveBytes must not be negative.");
        Check(MaxOpenFiles is >= 2 and <= 1024, "archive.maxOpenFiles must be from 2 to 1024.");
        Check(RetryAfter >= TimeSpan.Zero && RetryAfter <= TimeSpan.FromHours(1), "archive.retryAfter must be from 0 to 1 h.");
        return faults;

        void Check(bool holds, string fault)
        {
            if (!holds)
            {
                faults.Add(fault);
            }
        }
    }
}
