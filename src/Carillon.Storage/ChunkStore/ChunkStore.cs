using System.Runtime.CompilerServices;
using Carillon.Protocols;
using Carillon.Protocols.Replicast;
using Carillon.Protocols.Wire;

namespace Carillon.Storage.Chunks;

/// <summary>
/// The chunks of one disk: appended to segment files, found by an index in memory, verified on every read (architecture.md,
/// "Stores"; docs/formats/chunk-segment.md). There is no file per chunk, and one flush makes many chunks durable.
/// </summary>
/// <remarks>
/// The store belongs to the event loop, which allocates and looks up; bytes are moved by threads that may block: they run
/// <see cref="ChunkBatch"/> and <see cref="ChunkCompaction"/>, and call <see cref="Read"/>, the one member for any thread.
/// The segments are one log: a record counts from when its batch is flushed, and the later of two decides. A record may come
/// back that was forgotten (an end of intents, a drop whose segment was compacted); each is then asked about or collected
/// again, and costs nothing but that. An intent is never forgotten before its end.
/// </remarks>
public sealed partial class ChunkStore : IChunkInventory, IDisposable
{
    /// <summary>The largest stored chunk.</summary>
    public const uint MaxChunkLength = Protocols.Submissions.ObjectManifest.MaxChunkLength;

    private const int DefaultReplicas = 3;

    private readonly IStorageDevice _device;
    private readonly string _folder;
    private readonly DiskId _disk;
    private readonly ChunkStoreOptions _options;
    private readonly SegmentFiles _files;
    private readonly ChunkIndex _index = new();
    private readonly IntentTable _intents = new();

    // Digests of the chunks by row and by the replicas that they should have.
    private readonly SetDigest[,] _digests = new SetDigest[IChunkInventory.Rows, IChunkInventory.MaxReplicas + 1];

    // All segments whose records count, by number; the active one is among them.
    private readonly SortedDictionary<uint, ChunkSegment> _segments = [];

    // New chunks on their way to the disk: neither in the index nor to be stored twice.
    private readonly Dictionary<ChunkId, PendingRecord> _pending = [];
    private readonly Queue<ChunkDamage> _lost = [];
    private readonly List<ChunkDamage> _damage = [];

    private ChunkStore(IStorageDevice device, string folder, DiskId disk, ChunkStoreOptions options)
    {
        _device = device;
        _folder = folder;
        _disk = disk;
        _options = options;
        _files = new SegmentFiles(device, folder, options.MaxOpenFiles);
    }

    /// <summary>How the store is.</summary>
    public ChunkStoreHealth Health { get; private set; }

    /// <summary>True if a chunk would be taken now. Asks the device again where it was full: space may have been made.</summary>
    public bool TakesChunks => HasQueueRoom(0, default) && HasDeviceRoom(0);

    /// <summary>Why it is not <see cref="ChunkStoreHealth.Good"/>, in the device's words; empty otherwise.</summary>
    public string Trouble { get; private set; } = "";

    /// <inheritdoc/>
    public int Count => _index.Count;

    /// <summary>Bytes of the chunks that are here.</summary>
    public long StoredBytes { get; private set; }

    /// <summary>
    /// Bytes of all segment files; what is above <see cref="StoredBytes"/> is headers, and space that compaction can free.
    /// </summary>
    public long FileBytes => _segments.Values.Sum(s => s.End);

    /// <summary>Segment files.</summary>
    public int SegmentCount => _segments.Count;

    /// <summary>Damage found, the first <see cref="ChunkStoreOptions.MaxDamageReports"/> of it.</summary>
    public IReadOnlyList<ChunkDamage> Damage => _damage;

    /// <summary>How much damage was found in all.</summary>
    public long DamageCount { get; private set; }

    /// <summary>The tags with open put-intents, in their order.</summary>
    public IEnumerable<Tag> OpenIntents => _intents.Tags;

    /// <inheritdoc/>
    public bool Contains(ChunkId id) => !Unsafe.IsNullRef(ref _index.Find(id));

    /// <summary>True if the chunk's bytes were taken, and are not durable yet.</summary>
    public bool IsPending(ChunkId id) => _pending.ContainsKey(id);

    /// <inheritdoc/>
    public bool HasIntent(ChunkId id) => _intents.Names(id);

    /// <summary>True if the open intents of the tag name the chunk.</summary>
    public bool HasIntent(ChunkId id, Tag tag) => _intents.Contains(tag, id);

    /// <inheritdoc/>
    public bool TryDescribe(ChunkId id, out uint storedLength, out int replicas)
    {
        ref IndexEntry entry = ref _index.Find(id);
        bool found = !Unsafe.IsNullRef(ref entry);
        storedLength = found ? entry.Length : 0;
        replicas = found ? entry.Replicas : 0;
        return found;
    }

    /// <inheritdoc/>
    public SetDigest DigestOf(int row, int rank)
    {
        SetDigest sum = default;
        for (int replicas = rank + 1; replicas <= IChunkInventory.MaxReplicas; replicas++)
        {
            sum += _digests[row, replicas];
        }

        return sum;
    }

    /// <inheritdoc/>
    public IReadOnlyList<ChunkId> From(ChunkId after, int count) => _index.From(after, count);

    /// <summary>Finds a chunk; the location may be read from on any thread, at any later time.</summary>
    public bool TryLocate(ChunkId id, out ChunkLocation location)
    {
        ref IndexEntry entry = ref _index.Find(id);
        bool found = !Unsafe.IsNullRef(ref entry);
        location = found ? new ChunkLocation(id, entry.Length, _segments[entry.Segment], entry.Offset) : default;
        return found;
    }

    /// <summary>
    /// Reads and verifies a chunk; blocks; for any thread. <paramref name="into"/> has room for its length at least, and its bytes are
    /// the chunk's only if the answer is <see cref="ChunkRead.Ok"/>.
    /// </summary>
    public ChunkRead Read(ChunkLocation location, Span<byte> into)
    {
        into = into[..(int)location.Length];
        IStorageFile file;
        try
        {
            while (!_files.TryAcquire(location.Segment, out file))
            {
                if (!location.Segment.TryForward(location.Offset, out location))
                {
                    return ChunkRead.Gone;
                }
            }
        }
        catch (StorageException)
        {
            return ChunkRead.Failed;
        }

        try
        {
            int count = file.Read(location.Offset + RecordHeader.Size, into);
            return count == into.Length && ChunkId.Of(into) == location.Id ? ChunkRead.Ok : ChunkRead.Corrupt;
        }
        catch (StorageException)
        {
            return ChunkRead.Failed;
        }
        finally
        {
            _files.Release(location.Segment);
        }
    }

    /// <summary>
    /// Takes a chunk to be stored. The caller verified the bytes against the id, and leaves them as they are until the ticket's
    /// batch is complete. A chunk that is here already only gets the intent. False: see <see cref="Health"/>; if that is good, too much
    /// is waiting.
    /// </summary>
    /// <param name="id">The chunk.</param>
    /// <param name="stored">Its bytes.</param>
    /// <param name="intent">The tag of the submission that it comes for, or none for a copy made by repair.</param>
    /// <param name="ticket">When the chunk and the intent are durable.</param>
    /// <param name="replicas">How many servers should hold it; the greatest asked for counts.</param>
    public bool TryAppend(ChunkId id, ReadOnlyMemory<byte> stored, Tag intent, out ChunkTicket ticket, int replicas = DefaultReplicas)
    {
        Invariant.That(stored.Length <= MaxChunkLength && replicas is >= 1 and <= IChunkInventory.MaxReplicas);
        if (Contains(id) || _pending.ContainsKey(id))
        {
            return TryAddIntent(id, intent, out ticket, replicas);
        }

        ticket = default;
        if (!HasQueueRoom(stored.Length, intent) || !HasDeviceRoom(RecordHeader.ExtentOf(stored.Length)))
        {
            return false;
        }

        PendingRecord record = Enqueue(new PendingRecord
        {
            Kind = RecordKind.Chunk, Sequence = ++_sequence, Id = id, Tag = intent, Payload = stored, Replicas = (byte)replicas,
        });
        _pending[id] = record;
        Remember(intent, id, record.Sequence);
        ticket = new ChunkTicket(record.Sequence);
        return true;
    }

    /// <summary>
    /// Takes a put-intent for a chunk that is here, or on its way to the disk. False if it is not, if too many intents are open, or if
    /// the store takes no writes. The caller says "already stored" only when the ticket's batch is complete.
    /// </summary>
    public bool TryAddIntent(ChunkId id, Tag intent, out ChunkTicket ticket, int replicas = 1)
    {
        ticket = default;
        if (Health is ChunkStoreHealth.Failed)
        {
            // Of an intent that is remembered it is not known whether it was kept, and no batch will tell.
            return false;
        }

        ref IndexEntry entry = ref _index.Find(id);
        bool isHere = !Unsafe.IsNullRef(ref entry);
        PendingRecord? pending = isHere ? null : _pending.GetValueOrDefault(id);
        if (!isHere && pending is null)
        {
            return false;
        }

        bool raises = replicas > (isHere ? entry.Replicas : pending!.Replicas);
        bool isNew = !intent.IsNone && !_intents.Contains(intent, id);
        ulong wait = pending?.Sequence ?? 0;
        if (!raises && !isNew)
        {
            ulong last = intent.IsNone ? 0 : _intents.Find(intent)!.LastSequence;
            ticket = new ChunkTicket(Math.Max(wait, last > _completed ? last : 0));
            return true;
        }

        if (!HasQueueRoom(ChunkId.Size, intent))
        {
            return false;
        }

        if (raises && isHere)
        {
            Tally(entry, removed: true);
            entry.Replicas = (byte)replicas;
            Tally(entry, removed: false);
        }
        else if (raises)
        {
            pending!.Replicas = (byte)replicas;
        }

        PendingRecord record = EnqueueIntents(intent, [id], raises ? replicas : 1);
        ticket = new ChunkTicket(record.Sequence);
        return true;
    }

    /// <summary>The submission is decided, and applied or given up: its chunks live by references now, or not at all.</summary>
    public void EndIntents(Tag tag)
    {
        if (_intents.End(tag) is not { } ended)
        {
            return;
        }

        ReleaseNeeds(ended);
        if (Health is not ChunkStoreHealth.Failed)
        {
            Enqueue(new PendingRecord
            {
                Kind = RecordKind.EndIntents, Sequence = ++_sequence, Tag = tag, Detail = ended.FirstSegment, IsLazy = true,
            });
        }
    }

    /// <summary>A fresh tag replaces another: it takes all of its intents before the old one is aborted. Durable with the ticket.</summary>
    public ChunkTicket MoveIntents(Tag from, Tag to)
    {
        if (_intents.Find(from) is not { } moving)
        {
            return default;
        }

        ulong last = 0;
        foreach (ChunkId[] page in moving.Sorted().Chunk(SegmentReader.MaxIntentsPerRecord))
        {
            last = EnqueueIntents(to, page, 1).Sequence;
        }

        EndIntents(from);
        return new ChunkTicket(last);
    }

    /// <summary>The chunk is no longer wanted here: it is gone at once, and durably with some later batch.</summary>
    public void Drop(ChunkId id)
    {
        ref IndexEntry entry = ref _index.Find(id);
        uint segment = 0;
        if (!Unsafe.IsNullRef(ref entry))
        {
            segment = entry.Segment;
            Unindex(entry);
        }
        else if (_pending.Remove(id, out PendingRecord? pending))
        {
            pending.IsDropped = true;
        }
        else
        {
            return;
        }

        if (Health is not ChunkStoreHealth.Failed)
        {
            Enqueue(new PendingRecord { Kind = RecordKind.Drop, Sequence = ++_sequence, Id = id, Detail = segment, IsLazy = true });
        }
    }

    /// <summary>A read found this copy bad: it is dropped, unless another one has taken its place meanwhile, and reported.</summary>
    public void DropDamaged(ChunkLocation location)
    {
        if (TryLocate(location.Id, out ChunkLocation current) && current == location)
        {
            Drop(location.Id);
            ReportDamage(new ChunkDamage(location.Segment.Number, location.Offset, location.Id, "its bytes are not what its name says"));
        }
    }

    /// <summary>
    /// The next chunk whose only copy here was found bad, at start, by compaction or by a reader: it is to be healed from other
    /// servers.
    /// </summary>
    public bool TryTakeLost(out ChunkDamage damage) => _lost.TryDequeue(out damage);

    /// <summary>Closes all files. What no batch covered is not durable.</summary>
    public void Dispose() => _files.CloseAll();

    /// <summary>For tests that hold a file as a reader does.</summary>
    internal SegmentFiles Files => _files;

    private void Index(ChunkId id, uint length, byte replicas, ChunkSegment segment, uint offset)
    {
        var entry = new IndexEntry { Id = id, Length = length, Replicas = replicas, Segment = segment.Number, Offset = offset };
        _index.Add(entry);
        Tally(entry, removed: false);
        StoredBytes += length;
        segment.LiveBytes += RecordHeader.ExtentOf(length);
    }

    private void Unindex(IndexEntry entry)
    {
        _index.Remove(entry.Id);
        Tally(entry, removed: true);
        StoredBytes -= entry.Length;
        if (_segments.TryGetValue(entry.Segment, out ChunkSegment? segment))
        {
            segment.LiveBytes -= RecordHeader.ExtentOf(entry.Length);
            _mayCompact = true;
        }
    }

    private void Tally(IndexEntry entry, bool removed)
    {
        ref SetDigest digest = ref _digests[(int)(entry.Id.Digest.A >> 56), Math.Min(entry.Replicas, (byte)IChunkInventory.MaxReplicas)];
        digest = removed ? digest.Without(entry.Id) : digest.With(entry.Id);
    }

    private void Remember(Tag tag, ChunkId id, ulong sequence)
    {
        if (!tag.IsNone)
        {
            _intents.Add(tag, id);
            _intents.Find(tag)!.LastSequence = sequence;
        }
    }

    private PendingRecord EnqueueIntents(Tag tag, ReadOnlySpan<ChunkId> ids, int replicas)
    {
        byte[] payload = new byte[ids.Length * ChunkId.Size];
        var writer = new WireWriter(payload);
        foreach (ChunkId id in ids)
        {
            writer.Chunk(id);
            Remember(tag, id, _sequence + 1);
        }

        return Enqueue(new PendingRecord
        {
            Kind = RecordKind.Intents, Sequence = ++_sequence, Tag = tag, Payload = payload, Detail = Crc32C.Of(payload),
            Replicas = (byte)replicas,
        });
    }

    private void ReportDamage(ChunkDamage damage)
    {
        DamageCount++;
        if (_damage.Count < _options.MaxDamageReports)
        {
            _damage.Add(damage);
        }

        if (damage.Id is not null && _lost.Count < _options.MaxDamageReports)
        {
            _lost.Enqueue(damage);
        }
    }
}
