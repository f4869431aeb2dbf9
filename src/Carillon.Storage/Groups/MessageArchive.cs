using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;

namespace Carillon.Storage.Groups;

/// <summary>How a <see cref="MessageArchive"/> is.</summary>
public enum ArchiveHealth
{
    /// <summary>It takes messages.</summary>
    Good,

    /// <summary>The device has no space, or is read-only: what is there is good, what waits is tried again.</summary>
    Full,

    /// <summary>The device failed: nothing more is written in this life. What was durable is still read.</summary>
    Failed,

    /// <summary>The record is gone or rotten, so that nothing here can be counted on: only <see cref="MessageArchive.StartAt"/> helps.
    /// </summary>
    RecordLost,
}

/// <summary>
/// The committed messages of one group on one disk, in the order of their numbers and without gaps: what lets the groups' log be cut
/// (4-atomic-multicast.md, "Checkpoints and garbage"; docs/formats/message-archive.md). Messages are written lazily in large batches: until
/// <see cref="Durable"/> has reached them, the log keeps them.
/// </summary>
/// <remarks>
/// <para>
/// It belongs to its owner's loop, and does no input or output after <see cref="Open"/>: it hands out works, one at a time, which the owner
/// has executed elsewhere and gives back. <see cref="NewReader"/>, and what it returns, is for any thread.
/// </para>
/// <para>
/// <see cref="First"/> never goes back, and <see cref="Durable"/> is never below it less one ◆: the first number kept is durable,
/// together with the state of the sessions before it, before any file is removed. The owner compares <see cref="Durable"/> after a start
/// with what its log begins with: where a disk lost what it had flushed last, that is the one place where it can be seen.
/// </para>
/// </remarks>
public sealed partial class MessageArchive : IDisposable
{
    /// <summary>The longest payload.</summary>
    public const int MaxPayloadBytes = 24 << 20;

    /// <summary>The longest state of sessions that a record takes.</summary>
    public const int MaxSessionBytes = ArchiveRecord.MaxSessionBytes;

    private const int KeptBufferBytes = 4 << 20;

    private readonly ArchivePlace _place;
    private readonly ArchiveNames _names;
    private readonly MessageArchiveOptions _options;
    private readonly ArchiveIndex _index;

    private MessageArchive(IStorageDevice device, string folder, GroupName group, DiskId disk, MessageArchiveOptions options)
    {
        _options = options;
        _names = new ArchiveNames(group);
        _index = new ArchiveIndex(device, folder, options.MaxOpenFiles);
        _place = new ArchivePlace(device, folder, disk, _index, options.ReserveBytes);
    }

    /// <summary>How it is.</summary>
    public ArchiveHealth Health { get; private set; }

    /// <summary>Why it is not <see cref="ArchiveHealth.Good"/>; empty otherwise.</summary>
    public string Trouble { get; private set; } = "";

    /// <summary>The first number that is kept.</summary>
    public SequenceNumber First => new(_index.First);

    /// <summary>The last number that a power cut can't take any more, or that was given up: all before it are durable, or below
    /// <see cref="First"/>.</summary>
    public SequenceNumber Durable => new(_index.Durable);

    /// <summary>The last number taken.</summary>
    public SequenceNumber Appended => new(_appended);

    /// <summary>The state of the sessions before <see cref="First"/>, as the owner gave it.</summary>
    public ReadOnlyMemory<byte> Sessions { get; private set; }

    /// <summary>Bytes of the batches that are kept.</summary>
    public long StoredBytes => _index.Bytes;

    /// <summary>Batches that are kept: what the index's size, and a start's time, depend on.</summary>
    public int BatchCount => _index.Count;

    /// <summary>Bytes that wait for their batch.</summary>
    public long WaitingBytes => _waitingBytes;

    /// <summary>True if numbers that are kept can't be read: see <see cref="Damage"/>.</summary>
    public bool IsDamaged => _index.HasDamage;

    /// <summary>
    /// Opens an archive, or makes it: blocking, and the only call that is.
    /// </summary>
    /// <param name="device">The disk.</param>
    /// <param name="folder">The folder of all groups' archives.</param>
    /// <param name="group">Whose messages.</param>
    /// <param name="disk">The disk's identity.</param>
    /// <param name="options">Bounds.</param>
    /// <exception cref="StorageException">The device failed or is full, or the files are of another disk or of a newer release. Bad bytes
    /// never throw.</exception> <exception cref="ArgumentException">The options can't be used.</exception>
    public static MessageArchive Open(IStorageDevice device, string folder, GroupName group, DiskId disk, MessageArchiveOptions options)
    {
        IReadOnlyList<string> faults = options.Validate();
        if (faults.Count > 0)
        {
            throw new ArgumentException(string.Join(' ', faults), nameof(options));
        }

        var archive = new MessageArchive(device, folder, group, disk, options);
        archive.Recover();
        return archive;
    }

    /// <summary>The groups that have files in a folder, also what a removal left unfinished.</summary>
    /// <exception cref="StorageException">The device failed.</exception>
    public static IReadOnlyList<GroupName> GroupsIn(IStorageDevice device, string folder) => ArchiveNames.GroupsIn(device.List(folder));

    /// <summary>The removal of all that a folder has of a group, whose archive is not open: to be run as the archive's works are, and again
    /// after a crash.</summary>
    public static ArchiveWork RemovalOf(IStorageDevice device, string folder, GroupName group)
    {
        var names = new ArchiveNames(group);

        // The record goes last: a crash before leaves what says that it is not all there.
        return new RemovalWork(
            device, folder, () => [.. device.List(folder).Where(names.Owns).OrderBy(name => name == names.Record)]);
    }

    /// <summary>A reader, for one thread at a time and any; it may outlive files that it reads, not the archive.</summary>
    public MessageArchiveReader NewReader() => new(_index, _place.Disk);

    /// <summary>
    /// What can't be read although it should be, in order, at most so many ranges: to be fetched from another server, and given to
    /// <see cref="TryReplace"/>.
    /// </summary>
    public IReadOnlyList<DamagedRange> Damage(int limit = 1000) => _index.Damage(limit);

    /// <summary>True if a number that is kept can't be read.</summary>
    public bool IsDamagedAt(SequenceNumber number) => _index.IsDamaged(number.Value, number.Value);

    /// <summary>
    /// The first number to keep by age and size, <see cref="First"/> if nothing is to go: for <see cref="Trim"/>, where no checkpoint says
    /// more. Space comes back in whole segments.
    /// </summary>
    /// <param name="nowMilliseconds">Wall time, in ms since 1970.</param>
    /// <param name="retainTime">How long messages are kept.</param>
    /// <param name="retainBytes">How many bytes are kept at most.</param>
    public SequenceNumber RetentionPoint(long nowMilliseconds, TimeSpan retainTime, long retainBytes) =>
        new(_index.RetentionPoint(nowMilliseconds - (long)retainTime.TotalMilliseconds, retainBytes));

    /// <summary>
    /// Gives up the numbers before <paramref name="first"/>, which is at most <see cref="Durable"/> + 1. They are gone once
    /// <see cref="First"/> says so. False: nothing can be written here any more.
    /// </summary>
    public bool Trim(SequenceNumber first, ReadOnlyMemory<byte> sessions)
    {
        Invariant.That(first.Value <= _index.Durable + 1 && sessions.Length <= MaxSessionBytes);
        if (Health is ArchiveHealth.Failed or ArchiveHealth.RecordLost)
        {
            return false;
        }

        // What is there while it is being replaced goes anyway.
        if (!_replaces && first.Value > (_wanted?.First ?? _index.First))
        {
            _wanted = new ArchiveRecord(_generation, first.Value, sessions);
        }

        return true;
    }

    /// <summary>
    /// Drops all content, also what waits: a checkpoint was put in place, and the next message is <paramref name="first"/>, which is not
    /// below <see cref="First"/>. In force once <see cref="First"/> says so. False: nothing can be written here any more.
    /// </summary>
    public bool StartAt(SequenceNumber first, ReadOnlyMemory<byte> sessions)
    {
        Invariant.That(first >= First && !first.IsNone && sessions.Length <= MaxSessionBytes);
        if (Health is ArchiveHealth.Failed)
        {
            return false;
        }

        _generation++;
        _wanted = new ArchiveRecord(_generation, first.Value, sessions);
        _replaces = true;
        _waiting.Clear();
        _patches.Clear();
        _waitingBytes = 0;
        _appended = first.Value - 1;
        return true;
    }

    /// <summary>
    /// Takes the message with the number after <see cref="Appended"/>. Its payload stays as it is until <see cref="Durable"/> has reached
    /// it. False: too much waits, or nothing can be written here any more.
    /// </summary>
    public bool TryAppend(in CommittedMessage message)
    {
        Invariant.That(message.Payload.Length <= MaxPayloadBytes);
        long size = BatchBody.SizeOf(message);
        bool hasRoom = _waiting.Count < _options.MaxWaitingMessages
            && (_waiting.Count == 0 || _waitingBytes + size <= _options.MaxWaitingBytes);
        if (Health is ArchiveHealth.Failed || (Health is ArchiveHealth.RecordLost && !_replaces) || !hasRoom)
        {
            return false;
        }

        _waiting.Enqueue(message);
        _waitingBytes += size;
        _appended++;
        return true;
    }

    /// <summary>False while so many runs wait to be put in place of damaged ones that <see cref="TryReplace"/> takes no more.</summary>
    public bool HasRoomToReplace => _patches.Count < _options.MaxWaitingPatches;

    /// <summary>
    /// Puts messages that another server had in place of damaged ones. They are read once <see cref="Damage"/> does not name them any more.
    /// False: not all of these numbers are damaged, or too much waits, or nothing can be written here any more.
    /// </summary>
    public bool TryReplace(SequenceNumber first, ReadOnlySpan<CommittedMessage> messages)
    {
        long size = ArchiveHeader.Size;
        foreach (ref readonly CommittedMessage message in messages)
        {
            size += BatchBody.SizeOf(message);
        }

        if (messages.IsEmpty || size > ArchiveHeader.MaxBatchBytes || !HasRoomToReplace
            || Health is ArchiveHealth.Failed or ArchiveHealth.RecordLost
            || !_index.IsDamaged(first.Value, first.Value + (ulong)messages.Length - 1))
        {
            return false;
        }

        _patches.Enqueue((first.Value, messages.ToArray()));
        return true;
    }

    /// <summary>Closes the files. What was not flushed is lost.</summary>
    public void Dispose() => _index.Close();

    private void Recover()
    {
        RecoveredArchive recovered = new ArchiveRecovery(_place.Device, _place.Folder, _names, _place.Disk, _index).Run();
        _removable.AddRange(recovered.Removable);
        _nextSerial = recovered.NextSerial;
        ArchiveRecord? record = recovered.Record;
        if (record is null)
        {
            // A new archive gets its record first; so where others of its files are there, it is lost.
            if (_place.Device.List(_place.Folder).Any(name => _names.Owns(name) && name != _names.UnfinishedRecord))
            {
                (Health, Trouble) = (ArchiveHealth.RecordLost, "The archive's record is lost.");
                (_generation, _mayRemove) = (recovered.Generation, false);
                return;
            }

            record = new ArchiveRecord(1, 1, default);
            var work = new RecordWork(_place, _names, record);
            work.Write();
            work.Flush();
        }

        _generation = _durableGeneration = record.Generation;
        Sessions = record.Sessions;
        _appended = _index.Durable;
        (_tail, _tailPlaces) = (recovered.Tail, recovered.TailPlaces);
    }
}
