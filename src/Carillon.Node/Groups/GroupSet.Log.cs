using Carillon.Node.Works;
using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Wire;
using Carillon.Storage;
using Carillon.Storage.Groups;
using Carillon.Storage.Log;

namespace Carillon.Node.Groups;

/// <content>The groups' log and the archives: replay, group commit; archives are flushed, then what is open is copied forward, then the log
/// is cut.</content>
internal sealed partial class GroupSet
{
    private const int IdBytes = 8;

    /// <summary>Many messages on their way are kept waiting a little to share a slow flush.</summary>
    private const int WorthGathering = 32;

    /// <summary>A quiet time after which the log is cut although it is short, so that a server at rest starts fast.</summary>
    private static readonly TimeSpan QuietTime = TimeSpan.FromSeconds(10);

    private static readonly TimeSpan RetryTime = TimeSpan.FromSeconds(1);

    private readonly Queue<GroupName> _removals = new();
    private readonly Queue<(ulong Position, GroupHost Host)> _removed = new();
    private readonly HashSet<GroupHost> _busy = [];
    private SegmentLog? _log;
    private LogPump? _pump;
    private byte[] _scratch = new byte[4096];
    private Instant _quietAt = Instant.Never;
    private ulong _openedAt;
    private bool _isDamaged;
    private Instant _retryAt = Instant.Never;
    private bool _logIsOpening;
    private bool _isRemoving;
    private bool _snapshotWanted;
    private (LogPosition Start, ulong End)? _snapshot;

    /// <summary>True if the log takes records.</summary>
    public bool IsWritable => _log is { Health.IsWritable: true } && Trouble.Length == 0;

    /// <summary>Position up to which everything is durable.</summary>
    public ulong Durable => _log is null ? 0 : (ulong)_log.Durable.Value;

    /// <summary>True if the log takes so many bytes more.</summary>
    public bool CanAppend(int bytes) => _log is not null && _log.CanAppend(bytes + IdBytes + 1, urgent: false);

    /// <summary>Appends a record of a group.</summary>
    public ulong Append(GroupHost host, ReadOnlySpan<byte> record, bool mayWait = false)
    {
        Span<byte> whole = Scratch(IdBytes + record.Length);
        var writer = new WireWriter(whole);
        writer.U64(host.Record.Id);
        writer.Bytes(record);
        return AppendWhole(whole, mayWait);
    }

    /// <summary>Appends messages that have no number yet.</summary>
    /// <param name="host">Whose.</param>
    /// <param name="run">The messages.</param>
    /// <param name="mayWait">True where nothing rests on them alone: they are flushed together with the assignment that does.</param>
    public ulong AppendMessages(GroupHost host, GroupData[] run, bool mayWait = false)
    {
        var message = new DataMessage(run);
        Span<byte> whole = Scratch(IdBytes + 1 + message.Size);
        var writer = new WireWriter(whole);
        writer.U64(host.Record.Id);
        writer.U8((byte)GroupLogType.Messages);
        message.Write(ref writer);
        return AppendWhole(whole, mayWait);
    }

    /// <summary>Appends the newest state of a group's sessions; nothing waits for it.</summary>
    public void AppendSessions(GroupHost host)
    {
        (SequenceNumber number, ReadOnlyMemory<byte> sessions) = host.Kept[^1];
        AppendSessions(host, number, sessions);
    }

    /// <summary>What was appended is handed to the disk, archives go on, groups are opened and removed.</summary>
    public void Pump()
    {
        _retryAt = _clock().Now >= _retryAt ? Instant.Never : _retryAt;
        OpenWanted();
        RemoveFiles();
        if (_pump is null)
        {
            return;
        }

        PumpArchives();
        PumpSnapshot();
        _pump.Pump();
    }

    private void AppendSessions(GroupHost host, SequenceNumber number, ReadOnlyMemory<byte> sessions)
    {
        byte[] record = new byte[1 + 8 + WireSize.Blob(sessions.Length)];
        var writer = new WireWriter(record);
        writer.U8((byte)GroupLogType.Sessions);
        writer.U64(number.Value);
        writer.Blob(sessions.Span);
        if (CanAppend(record.Length))
        {
            Append(host, record, mayWait: true);
        }
    }

    /// <summary>A group that had lost its promises votes again: in the log before anything that rests on it.</summary>
    internal void NoteRejoined(GroupHost host) => AppendOpened(host);

    private void AppendOpened(GroupHost host)
    {
        ulong archived = host.Disk?.Durable.Value ?? 0;
        byte[] opened = new OpenedGroup(host.Name, host.Record, host.IsForgottenAtStart, archived).Write();
        _openedAt = Append(host, [(byte)GroupLogType.Opened, .. opened]);
    }

    private ulong AppendWhole(ReadOnlySpan<byte> whole, bool mayWait)
    {
        if (_quietAt == Instant.Never)
        {
            _quietAt = _clock().Now + QuietTime;
        }

        return _pump!.Append(whole, mayWait);
    }

    private Span<byte> Scratch(int length)
    {
        if (_scratch.Length < length)
        {
            _scratch = new byte[Math.Max(length, Math.Min(2 * _scratch.Length, 1 << 20))];
        }

        return _scratch.AsSpan(0, length);
    }

    private void ReadLog()
    {
        bool isUnread = false;
        SegmentLog log = SegmentLog.Open(_device, LogFolder, _node.Self.Disk, Options.Log, (_, record) => isUnread |= !Restore(record));
        Attach(log);
        if (isUnread || !log.Health.IsWritable)
        {
            Sometimes.Reached("damaged-group-log-does-not-vote");
            _isDamaged = true;
            Trouble = $"the groups' log is damaged ({(isUnread ? "a record can't be read" : log.Health.Reason)})";
            _node.Tell(NodeEventKind.NotVoting, _node.Self.Name, Trouble);
        }

        foreach (GroupHost host in _byName.Values)
        {
            host.Start(_clock().Now);
        }
    }

    private void LogOpened(SegmentLog? log, StorageException? failure)
    {
        _logIsOpening = false;
        if (log is not null)
        {
            Attach(log);
            return;
        }

        _retryAt = _clock().Now + RetryTime;
        Trouble = failure!.Fault == StorageFault.Full ? "" : $"the groups' log can't be opened: {failure.Message}";
        _node.Tell(NodeEventKind.StorageTrouble, _node.Self.Name, $"the groups' log can't be opened: {failure.Message}");
    }

    private void Attach(SegmentLog log)
    {
        _log = log;
        _pump = new LogPump(log, StorageLane.Groups, _run, () => _clock().Now, IsBusy, LogFlushed);
    }

    private bool IsBusy()
    {
        int waiting = 0;
        foreach (GroupHost host in _byName.Values)
        {
            waiting += host.Waiting;
        }

        return waiting >= WorthGathering;
    }

    private bool Restore(ReadOnlySpan<byte> whole)
    {
        var reader = new WireReader(whole);
        ulong id = reader.U64();
        var type = (GroupLogType)reader.U8();
        if (reader.Failed)
        {
            return false;
        }

        if (type == GroupLogType.Opened)
        {
            return RestoreOpened(id, ref reader);
        }

        if (!_byId.TryGetValue(id, out GroupHost? host))
        {
            // It was removed, and its removal's record too is before the cut or right behind.
            return true;
        }

        switch (type)
        {
            case GroupLogType.Removed:
                _byId.Remove(id);
                _byName.Remove(host.Name);
                host.End("the group was removed");
                return true;
            case GroupLogType.Sessions:
                ulong number = reader.U64();
                byte[] sessions = reader.Blob(int.MaxValue).ToArray();
                host.Keep(new SequenceNumber(number), sessions);
                return !reader.Failed;
            case GroupLogType.Messages:
                return host.Store.Restore(whole[(IdBytes + 1)..].ToArray());
            default:
                return host.Member.Restore(whole[IdBytes..]);
        }
    }

    private bool RestoreOpened(ulong id, ref WireReader reader)
    {
        if (OpenedGroup.Read(ref reader) is not { } group || group.Record.Id != id)
        {
            return false;
        }

        if (_byId.TryGetValue(id, out GroupHost? known))
        {
            // Copied forward, where the log begins earlier; or it votes again.
            known.IsForgotten &= group.IsForgotten;
            Judge(known, group);
            return true;
        }

        if (_byName.ContainsKey(group.Name))
        {
            return false;
        }

        MessageArchive? archive = group.Record.Settings.Durability == GroupDurability.Memory ? null : MessageArchive.Open(
            _device, ArchiveFolder, GroupRecord.NameOf(id), _node.Self.Disk, MessageArchiveOptions.For(group.Record.Settings));
        Judge(Add(group, archive), group);
        return true;
    }

    /// <summary>An archive that lost what it had is not whole: what this disk acknowledged may be gone with it.</summary>
    private void Judge(GroupHost host, OpenedGroup group)
    {
        if (host.Disk?.Messages.Archive is { } archive && host.Trouble.Length == 0
            && (archive.Health != ArchiveHealth.Good || archive.Durable.Value < group.Archived))
        {
            Sometimes.Reached("damaged-group-archive-does-not-vote");
            host.Trouble = archive.Health == ArchiveHealth.Good
                ? $"its messages end at {archive.Durable}, where {group.Archived} were kept durably" : archive.Trouble;
            _node.Tell(NodeEventKind.NotVoting, _node.Self.Name, $"group '{group.Name}': {host.Trouble}");
        }
    }

    private void LogFlushed(StorageException? failure)
    {
        if (failure is not null || !_log!.Health.IsWritable)
        {
            Trouble = $"the groups' log failed: {failure?.Message ?? _log!.Health.Reason}";
            _node.Tell(NodeEventKind.StorageTrouble, _node.Self.Name, Trouble);
            return;
        }

        Instant now = _clock().Now;
        ulong durable = Durable;
        _node.GroupsDurable(durable);
        foreach (GroupHost host in _byName.Values)
        {
            host.Member.Persisted(durable, now);
            host.IsDirty = true;
        }

        if (_snapshot is { } snapshot && snapshot.End <= durable)
        {
            _snapshot = null;
            _pump!.CutBefore(snapshot.Start);
        }
    }

    private void PumpArchives()
    {
        Moment now = _clock();
        foreach (GroupHost host in _byName.Values)
        {
            if (host.Disk is not { } disk)
            {
                continue;
            }

            if (disk.Messages.TryBeginLoad(out LoadWork? load))
            {
                _run(new ArchiveLoadWork(load, done => Loaded(host, done)));
            }

            // Where the memory is full, no more may come that would make a batch worth writing; and who votes again only then waits for it.
            bool isHurried = _snapshotWanted || disk.WaitingBytes > 0 || host.Member.DurableWanted > disk.Durable.Value;
            if (disk.Messages.TryBeginWork(now.Wall.Milliseconds, out ArchiveWork? work, isHurried))
            {
                _busy.Add(host);
                _run(new ArchiveStorageWork(work, (done, failure) => Archived(host, done, failure)));
            }
        }
    }

    private void Loaded(GroupHost host, LoadWork work)
    {
        host.Disk!.Messages.Complete(work);
        if (_byId.ContainsKey(host.Record.Id))
        {
            host.DiskCame(_clock().Now);
        }
    }

    private void Archived(GroupHost host, ArchiveWork work, StorageException? failure)
    {
        _busy.Remove(host);
        host.Disk!.Messages.Complete(work, failure);
        if (!_byId.ContainsKey(host.Record.Id))
        {
            CloseUnlessBusy(host);
            return;
        }

        if (failure is not null)
        {
            _node.Tell(NodeEventKind.StorageTrouble, _node.Self.Name, $"the archive of group '{host.Name}': {failure.Message}");
            if (host.Disk.Messages.Archive.Health is not ArchiveHealth.Full)
            {
                host.Trouble = host.Disk.Messages.Archive.Trouble;
            }

            _retryAt = Instant.Min(_retryAt, _clock().Now + RetryTime);
        }

        host.DiskCame(_clock().Now);
    }

    // What is on its lane writes to its files, and a file that is closed under it would be a defect there.
    private void CloseUnlessBusy(GroupHost host)
    {
        if (!_busy.Contains(host))
        {
            host.Close();
        }
    }

    /// <summary>Files of groups that are no longer here.</summary>
    private void RemoveFiles()
    {
        while (_removed.TryPeek(out (ulong Position, GroupHost Host) next) && next.Position <= Durable && !_busy.Contains(next.Host))
        {
            _removed.Dequeue();
            _removals.Enqueue(next.Host.Wire);
        }

        if (!_isRemoving && _removals.TryDequeue(out GroupName wire))
        {
            _isRemoving = true;
            _run(new ArchiveStorageWork(MessageArchive.RemovalOf(_device, ArchiveFolder, wire), (_, failure) =>
            {
                _isRemoving = false;
                if (failure is not null)
                {
                    // The next start finds them.
                    _node.Tell(NodeEventKind.StorageTrouble, _node.Self.Name, $"files of a removed group stay: {failure.Message}");
                }
            }));
        }
    }

    private void PumpSnapshot()
    {
        bool isQuiet = _clock().Now >= _quietAt;
        _quietAt = isQuiet ? Instant.Never : _quietAt;
        _snapshotWanted |= isQuiet || _log!.BytesSinceSnapshot >= Options.SnapshotBytes || Buggify.Here("group-snapshot-early", 0.01);
        if (_snapshotWanted && _snapshot is null && IsWritable && _byName.Values.All(IsArchived))
        {
            _snapshotWanted = false;
            WriteSnapshot();
        }
    }

    // What few messages came behind the archive's last batch are copied forward; where the archive takes nothing, all are.
    private bool IsArchived(GroupHost host) =>
        host.Disk is not { } disk || disk.Messages.Archive.Health != ArchiveHealth.Good
        || disk.Messages.Archive.WaitingBytes < Options.SnapshotBytes / 16;

    private void WriteSnapshot()
    {
        Sometimes.Reached("group-snapshot-written");
        LogPosition start = _log!.BeginSnapshot();
        foreach (GroupHost host in _byName.Values)
        {
            AppendOpened(host);
            foreach ((SequenceNumber number, ReadOnlyMemory<byte> sessions) in host.Kept)
            {
                AppendSessions(host, number, sessions);
            }

            host.Member.WriteSnapshot(record => Append(host, record.Span));
            host.Store.WriteSnapshot(run => AppendMessages(host, run));
        }

        _quietAt = Instant.Never;
        _snapshot = (start, (ulong)_log.Appended.Value);
    }
}
