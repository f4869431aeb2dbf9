using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Membership;
using Carillon.Protocols.Primacy;
using Carillon.Protocols.VectorExchange;
using Carillon.Protocols.Wire;
using Carillon.Storage;
using Carillon.Storage.Log;

namespace Carillon.Node;

/// <content>The segment log: replay, group commit, snapshot and cut.</content>
public sealed partial class ServerNode
{
    /// <summary>The node's own record: <c>u8 32 │ node │ disk 16 │ u64 incarnation</c>. docs/formats/log-records.md lists all owners'
    /// types.</summary>
    private const byte IncarnationRecordType = 32;

    /// <summary>Fewer submissions on their way than this are not kept waiting to share a flush.</summary>
    private const int WorthGathering = 8;

    private readonly Dictionary<NodeId, IncarnationRecord> _incarnations = [];
    private readonly Queue<(ulong Position, IncarnationRecord Record)> _incarnationsOnTheirWay = new();
    private Instant _snapshotDeadline = Instant.Never;
    private readonly LogPump _logPump;
    private bool _snapshotWanted;
    private bool _recordsUnread;
    private bool _hasRecords;
    private (LogPosition Start, ulong End)? _snapshot;

    private SegmentLog OpenLog(IStorageDevice device, SegmentLogOptions options) =>
        SegmentLog.Open(device, "log", Self.Disk, options, (position, record) =>
        {
            _hasRecords = true;
            if (!(VectorExchange.Owns(record) ? Exchange.Restore(record, (ulong)position.Value, _now)
                : SelectionMechanism.Owns(record) ? Selection.Restore(record)
                : GroupMember.Owns(record) ? _feed.Member.Restore(record)
                : RestoreOwn(record)))
            {
                _recordsUnread = true;
            }
        });

    private bool RestoreOwn(ReadOnlySpan<byte> record)
    {
        var reader = new WireReader(record);
        byte type = reader.U8();
        if (type != IncarnationRecordType)
        {
            return false;
        }

        var restored = new IncarnationRecord(reader.Node(), reader.Disk(), new Incarnation(reader.U64()));
        if (reader.Failed)
        {
            return false;
        }

        _incarnations[restored.Name] = restored;
        _recorded.Add(restored);
        return true;
    }

    private ulong AppendIncarnation(IncarnationRecord record)
    {
        byte[] bytes = new byte[1 + WireSize.Node(record.Name) + DiskId.Size + 8];
        var writer = new WireWriter(bytes);
        writer.U8(IncarnationRecordType);
        writer.Node(record.Name);
        writer.Disk(record.Disk);
        writer.U64(record.Incarnation.Value);
        return AppendToLog(bytes);
    }

    /// <summary>Appends a record; see <see cref="LogPump.Append"/>.</summary>
    internal ulong AppendToLog(ReadOnlySpan<byte> record, bool mayWait = false) => _logPump.Append(record, mayWait);

    private void PumpLog()
    {
        if (_snapshotWanted || Log.BytesSinceSnapshot >= _options.SnapshotBytes || Buggify.Here("snapshot-early", 0.01))
        {
            _snapshotWanted = true;
        }

        _logPump.Pump();
    }

    private void LogFlushed(StorageException? failure)
    {
        if (failure is not null || !Log.Health.IsWritable)
        {
            _notVotingBecause = $"the log failed: {failure?.Message ?? Log.Health.Reason}";
            Tell(NodeEventKind.StorageTrouble, Self.Name, _notVotingBecause);
            Members.SetVotes(votes: false, _now);
            return;
        }

        ulong durable = (ulong)Log.Durable.Value;
        _postbox.Release(durable);
        while (_incarnationsOnTheirWay.TryPeek(out (ulong Position, IncarnationRecord Record) next) && next.Position <= durable)
        {
            _incarnationsOnTheirWay.Dequeue();
            Members.Persisted(next.Record, _now);
        }

        Exchange.Persisted(durable, _now);
        Selection.Persisted(durable, _now);
        _feed.Member.Persisted(durable, _now.Now);
        _feed.IsDirty = true;
        VoteIfRebuilt();
        if (_snapshot is { } snapshot && snapshot.End <= durable)
        {
            _snapshot = null;
            _logPump.CutBefore(snapshot.Start);
        }

        DrainMembership();
    }

    /// <summary>The catalog has just been made durable: what is still open is copied forward, and the log before it is cut once that is
    /// durable.</summary>
    private void WriteSnapshot()
    {
        if (!Log.Health.IsWritable || _snapshot is not null)
        {
            return;
        }

        Sometimes.Reached("snapshot-written");
        LogPosition start = Log.BeginSnapshot();
        Exchange.WriteSnapshot(record => AppendToLog(record.Span), _now);
        foreach (IncarnationRecord record in _incarnations.Values.OrderBy(r => r.Name))
        {
            AppendIncarnation(record);
        }

        Selection.WriteSnapshot(record => AppendToLog(record.Span));
        _feed.Member.WriteSnapshot(record => AppendToLog(record.Span));
        WriteUndecidedOutcomes();
        _snapshot = (start, (ulong)Log.Appended.Value);
    }
}
