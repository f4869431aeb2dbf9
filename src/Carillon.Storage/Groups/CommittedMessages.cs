using System.Diagnostics.CodeAnalysis;
using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;

namespace Carillon.Storage.Groups;

/// <summary>What is answered to who asks for a committed number on the loop.</summary>
public enum CommittedAnswer
{
    /// <summary>It is not committed here.</summary>
    Absent,

    /// <summary>Here it is.</summary>
    Found,

    /// <summary>It is being read: ask again when a <see cref="LoadWork"/> is complete.</summary>
    Reading,

    /// <summary>It is no longer kept.</summary>
    Trimmed,

    /// <summary>It was here and can't be read: another server has it.</summary>
    Damaged,
}

/// <summary>Bounds of <see cref="CommittedMessages"/>.</summary>
public sealed record CommittedMessagesOptions
{
    /// <summary>Messages in memory at most. Low: subscribers that are close behind read the disk; high: memory.</summary>
    public int MaxRecentMessages { get; init; } = 1 << 17;

    /// <summary>Bytes of messages in memory at most; those that are not archived yet have to find room here.</summary>
    public long MaxRecentBytes { get; init; } = 64L << 20;

    /// <summary>Batches that were read for the loop and are kept, of about 1 MiB each. Low: who asks again finds them gone.</summary>
    public int MaxLoadedBatches { get; init; } = 4;

    /// <summary>Numbers that wait to be read for the loop; the askers of more ask again.</summary>
    public int MaxWaitingReads { get; init; } = 64;

    /// <summary>All that is wrong with these values; none if they can be used.</summary>
    public IReadOnlyList<string> Validate()
    {
        var faults = new List<string>();
        Check(MaxRecentMessages is >= 64 and <= 1 << 24, "recent.maxRecentMessages must be from 64 to 16777216.");
        Check(MaxRecentBytes is >= 1 << 16 and <= 1L << 36, "recent.maxRecentBytes must be from 64 KiB to 64 GiB.");
        Check(MaxLoadedBatches is >= 1 and <= 1024, "recent.maxLoadedBatches must be from 1 to 1024.");
        Check(MaxWaitingReads is >= 1 and <= 65_536, "recent.maxWaitingReads must be from 1 to 65536.");
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

/// <summary>A read of one number's batch for the loop: the owner has <see cref="Run"/> called on a thread that may block, and gives it
/// back to <see cref="CommittedMessages.Complete(LoadWork)"/>.</summary>
public sealed class LoadWork
{
    private readonly MessageArchiveReader _reader;

    internal LoadWork(MessageArchiveReader reader, SequenceNumber number) => (_reader, Number) = (reader, number);

    /// <summary>The number that was asked for.</summary>
    public SequenceNumber Number { get; }

    internal ArchiveReadStatus Status { get; private set; } = ArchiveReadStatus.Failed;

    internal CommittedRun Messages { get; private set; }

    /// <summary>Reads; never throws for anything that the disk does.</summary>
    public void Run()
    {
        Status = _reader.Read(Number, out CommittedRun run);
        Messages = run;
        _reader.LeaveBuffer();
    }
}

/// <summary>
/// All committed messages of one group on one server: the newest in memory, the others in its archive, which is fed from the memory as it
/// takes them. The part of a disk store of the cores that knows nothing of their log.
/// </summary>
/// <remarks>It belongs to the loop, but for <see cref="NewReader"/>. It is opened with the archive's content; the owner then commits again
/// what its log has behind <see cref="Durable"/>.</remarks>
public sealed class CommittedMessages : IDisposable
{
    private readonly MessageArchive _archive;
    private readonly RecentMessages _recent;
    private readonly CommittedMessagesOptions _options;
    private readonly MessageArchiveReader _reader;
    private readonly LinkedList<CommittedRun> _loaded = new();
    private readonly Queue<SequenceNumber> _reads = new();
    private readonly MendedRun _mended;
    private LoadWork? _loading;

    // A trim that has to wait until what it gives up is in the archive; and what a replacement that is not durable yet gave up.
    private (SequenceNumber First, ReadOnlyMemory<byte> Sessions)? _trim;
    private SequenceNumber _floor;

    /// <summary>Takes an archive over.</summary>
    /// <exception cref="ArgumentException">The options can't be used.</exception>
    public CommittedMessages(MessageArchive archive, CommittedMessagesOptions options)
    {
        IReadOnlyList<string> faults = options.Validate();
        if (faults.Count > 0)
        {
            throw new ArgumentException(string.Join(' ', faults), nameof(options));
        }

        (_archive, _options, _reader) = (archive, options, archive.NewReader());
        _mended = new MendedRun(archive);
        _recent = new RecentMessages(archive.Durable.Next, options.MaxRecentMessages, options.MaxRecentBytes);
    }

    /// <summary>The archive, for its health, its damage and its repair; the owner does not append to it.</summary>
    public MessageArchive Archive => _archive;

    /// <summary>The greatest committed number.</summary>
    public SequenceNumber Committed => _recent.Last;

    /// <summary>Up to here the log is not needed.</summary>
    public SequenceNumber Durable => SequenceNumber.Min(_archive.Durable, Committed);

    /// <summary>The first number kept.</summary>
    public SequenceNumber First => SequenceNumber.Max(_archive.First, _floor);

    /// <summary>Bytes kept on the disk, or on the way there.</summary>
    public long Bytes => _archive.StoredBytes + _archive.WaitingBytes;

    /// <summary>True if something is to be written, or only gathers.</summary>
    public bool HasWork => _archive.HasWork || _archive.Appended < Committed || _trim is not null;

    /// <summary>
    /// Takes the message with the number after <see cref="Committed"/>; its payload stays as it is. False: what is not archived yet fills
    /// the memory; ask again when a work is complete.
    /// </summary>
    public bool TryCommit(in CommittedMessage message)
    {
        if (!_recent.TryAdd(message, Durable))
        {
            return false;
        }

        if (_archive.Appended.Next != Committed || !_archive.TryAppend(message))
        {
            Feed();
        }

        return true;
    }

    /// <summary>What stands at a number.</summary>
    public CommittedAnswer Find(SequenceNumber number, out CommittedMessage message)
    {
        message = default;
        if (number < First)
        {
            return CommittedAnswer.Trimmed;
        }

        if (_recent.TryGet(number, out message))
        {
            return CommittedAnswer.Found;
        }

        if (number > Committed)
        {
            return CommittedAnswer.Absent;
        }

        for (LinkedListNode<CommittedRun>? node = _loaded.First; node is not null; node = node.Next)
        {
            if (number >= node.Value.First && number <= node.Value.Last)
            {
                message = node.Value[(int)(number.Value - node.Value.First.Value)];
                _loaded.Remove(node);
                _loaded.AddFirst(node);
                return CommittedAnswer.Found;
            }
        }

        if (_archive.IsDamagedAt(number))
        {
            return CommittedAnswer.Damaged;
        }

        if (_reads.Count < _options.MaxWaitingReads && !_reads.Contains(number) && _loading?.Number != number)
        {
            _reads.Enqueue(number);
        }

        return CommittedAnswer.Reading;
    }

    /// <summary>
    /// Takes what another server had at a damaged number; numbers come in their order. It is found once it is durable in the archive, which
    /// takes whole runs: a start before that finds the damage again. False: too much waits; ask again when a work is complete.
    /// </summary>
    public bool TryMend(SequenceNumber number, in CommittedMessage message) => _mended.TryAdd(number, message);

    /// <summary>Hands out the next read for the loop, if one waits and none is running.</summary>
    public bool TryBeginLoad([NotNullWhen(true)] out LoadWork? work)
    {
        work = null;
        while (_loading is null && _reads.TryDequeue(out SequenceNumber number))
        {
            // Another's batch may have brought it.
            if (!_loaded.Any(run => number >= run.First && number <= run.Last))
            {
                work = _loading = new LoadWork(_reader, number);
                return true;
            }
        }

        return false;
    }

    /// <summary>Takes a read back. What it found is kept for a while, for those who ask again now.</summary>
    public void Complete(LoadWork work)
    {
        Invariant.That(work == _loading);
        _loading = null;
        if (work.Status == ArchiveReadStatus.Ok && work.Messages.Last >= First)
        {
            _loaded.AddFirst(work.Messages);
            if (_loaded.Count > _options.MaxLoadedBatches)
            {
                _loaded.RemoveLast();
            }
        }
    }

    /// <summary>Hands out what is to be written next; see <see cref="MessageArchive.TryBeginWork"/>.</summary>
    public bool TryBeginWork(long nowMilliseconds, [NotNullWhen(true)] out ArchiveWork? work, bool all = false)
    {
        Feed();
        return _archive.TryBeginWork(nowMilliseconds, out work, all || _trim is not null);
    }

    /// <summary>Takes a work back; see <see cref="MessageArchive.Complete"/>.</summary>
    public void Complete(ArchiveWork work, StorageException? failure)
    {
        _archive.Complete(work, failure);
        if (_trim is { } trim && _archive.Durable.Next >= trim.First)
        {
            _trim = null;
            _archive.Trim(trim.First, trim.Sessions);
        }

        _recent.TrimBefore(First);
        _mended.Flush();
        Feed();
    }

    /// <summary>
    /// Gives up the numbers before <paramref name="first"/>, at most one behind <see cref="Committed"/>: once all before it is archived,
    /// and that is durable, <see cref="First"/> says so.
    /// </summary>
    public void Trim(SequenceNumber first, ReadOnlyMemory<byte> sessions)
    {
        Invariant.That(first <= Committed.Next);
        if (first <= _archive.Durable.Next)
        {
            _archive.Trim(first, sessions);
        }
        else if (_trim is null || first > _trim.Value.First)
        {
            _trim = (first, sessions);
        }
    }

    /// <summary>A checkpoint was put in place: all is dropped, and the next message is <paramref name="first"/>.</summary>
    public void StartAt(SequenceNumber first, ReadOnlyMemory<byte> sessions)
    {
        _archive.StartAt(first, sessions);
        _recent.StartAt(first);
        _loaded.Clear();
        _reads.Clear();
        _mended.Clear();
        (_trim, _floor) = (null, first);
    }

    /// <summary>A reader for a subscriber, on any thread.</summary>
    public CommittedReader NewReader() => new(_recent, _archive.NewReader());

    /// <summary>Closes the archive.</summary>
    public void Dispose() => _archive.Dispose();

    private void Feed()
    {
        while (_archive.Appended < Committed && _recent.TryGet(_archive.Appended.Next, out CommittedMessage message)
            && _archive.TryAppend(message))
        {
            // Until it has all, or takes no more.
        }
    }
}

/// <summary>Reads committed messages forward, from memory where they are there, else from the archive. Blocks; for any thread, one at a
/// time.</summary>
public sealed class CommittedReader
{
    private readonly RecentMessages _recent;
    private readonly MessageArchiveReader _archive;

    internal CommittedReader(RecentMessages recent, MessageArchiveReader archive) => (_recent, _archive) = (recent, archive);

    /// <summary>
    /// Copies messages from a number on, as many as are at hand and find room. Payloads that come from the archive are good until the next
    /// read.
    /// </summary>
    public ArchiveReadStatus Read(SequenceNumber from, Span<CommittedMessage> into, out int count)
    {
        count = _recent.CopyRange(from, into);
        if (count > 0)
        {
            return ArchiveReadStatus.Ok;
        }

        ArchiveReadStatus status = _archive.Read(from, out CommittedRun run);
        for (; count < run.Count && count < into.Length; count++)
        {
            into[count] = run[count];
        }

        return status;
    }

    /// <summary>Payloads that were read last stay good.</summary>
    public void LeaveBuffer() => _archive.LeaveBuffer();
}
