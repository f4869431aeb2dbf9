using System.Buffers;
using System.Collections.Immutable;
using System.Security.Cryptography;
using System.Text;
using Carillon.Protocols.Primacy;
using Carillon.Protocols.Wire;

namespace Carillon.Protocols.Submissions;

/// <summary>What an operation does to its name.</summary>
public enum OperationKind : byte
{
    /// <summary>Gives the name a new version with content.</summary>
    Put = 0,

    /// <summary>Gives the name a tombstone.</summary>
    Delete = 1,
}

/// <summary>One name's part in a submission. The manifest is there for a put, and null for a delete.</summary>
public sealed record Operation(OperationKind Kind, ObjectName Target, ObjectManifest? Manifest)
{
    /// <summary>What the name's current version must be, where the submission stands in the feed, or none.</summary>
    public Precondition Precondition { get; init; }

    /// <summary>Bytes of what precedes the manifest: kind, bucket, name.</summary>
    public int HeadSize => 1 + WireSize.Text(Target.Bucket) + WireSize.Text(Target.Name);

    internal int EncodedSize => HeadSize + (Manifest?.EncodedSize ?? 0);

    internal void Write(ref WireWriter writer)
    {
        writer.U8((byte)Kind);
        writer.Text(Target.Bucket);
        writer.Text(Target.Name);
        Manifest?.Write(ref writer);
    }

    internal static Operation Read(ref WireReader reader, ReadOnlyMemory<byte> source)
    {
        var kind = (OperationKind)reader.U8();
        var target = new ObjectName(reader.Text(ObjectName.MaxBucketLength), reader.Text(ObjectName.MaxNameBytes));
        if (kind > OperationKind.Delete || target.Fault() is not null)
        {
            reader.Fail();
        }

        return new Operation(kind, target, kind == OperationKind.Put ? ObjectManifest.Read(ref reader, source) : null);
    }
}

/// <summary>
/// The record that is agreed on (the seed's file with its temporary tag): what is pushed, stored as pending, exchanged about
/// and applied. One operation for a put or a delete, several for a changeset; applied whole or not at all.
/// </summary>
/// <remarks>
/// <code>
/// u8 version = 5 │ tag │ tag replaced (none: server length 0) │ disk 16 │ u64 settled │ key │ fingerprint 32 │ u32 count │ operations
/// u8 version = 6 │ the same │ service │ u64 epoch: with a fence
/// u8 version = 7 │ as 5 │ each operation's precondition │ service (none: length 0) │ u64 epoch: with preconditions
/// u8 version = 8 │ as 7, perhaps without a precondition: the tag replaced was agreed, and found stale by the feed
/// u8 version = 9 │ as 5 │ service (none: length 0) │ u64 epoch: plain, and answered only with its number
/// </code>
/// docs/formats/submission.md has the fields. <see cref="Encoded"/> keeps the bytes, since they travel and are stored more
/// often than their fields are looked at.
/// </remarks>
public sealed class Submission
{
    /// <summary>The largest encoded submission: 16 MiB of inline bytes (a changeset's limit) and room for names and metadata.</summary>
    public const int MaxBytes = 20 << 20;

    /// <summary>The most operations in one changeset.</summary>
    public const int MaxOperations = 1000;

    /// <summary>The longest idempotency key, in bytes of UTF-8.</summary>
    public const int MaxKeyBytes = 256;

    private const byte FormatVersion = 5;
    private const byte FencedVersion = 6;
    private const byte ConditionalVersion = 7;
    private const byte AfterStaleVersion = 8;
    private const byte NumberedVersion = 9;

    // What is left for operations when everything else has its greatest size.
    private const int MaxOperationsBytes = MaxBytes - (1 << 10);

    // A put of one name with a little metadata, which is nearly every submission, is hashed on the stack.
    private const int SmallFingerprint = 1 << 10;

    private Submission(
        Tag tag, Tag replaces, DiskId disk, string key, Digest fingerprint, ImmutableArray<Operation> operations, Fence fence,
        bool replacesStale, ulong settled, bool needsNumber, ReadOnlyMemory<byte> encoded)
    {
        NeedsNumber = needsNumber;
        Settled = settled;
        Fence = fence;
        ReplacesStale = replacesStale;
        Tag = tag;
        Replaces = replaces;
        AcceptingDisk = disk;
        Key = key;
        Fingerprint = fingerprint;
        Operations = operations;
        IsConditional = IsAnyConditional(operations);
        Encoded = encoded;
        Hash = Digest.Of(encoded.Span);
    }

    /// <summary>Identity of this attempt; its UID becomes the versions' UID.</summary>
    public Tag Tag { get; }

    /// <summary>The tag that this one replaces, stamped afresh because it was stale; none for a first attempt.</summary>
    public Tag Replaces { get; }

    /// <summary>
    /// True if <see cref="Replaces"/> was agreed, and the feed found it stale: it is no abort then, and whoever has not come to that number
    /// yet must not take it for one.
    /// </summary>
    public bool ReplacesStale { get; }

    /// <summary>The accepting server's disk: a server with another disk under its name can't answer for this tag.</summary>
    public DiskId AcceptingDisk { get; }

    /// <summary>The accepting server's word that all of this disk's tags with a stamp up to this stand in the feed, or never will: what the
    /// feed's session need not remember one by one.</summary>
    public ulong Settled { get; }

    /// <summary>The client's idempotency key; never empty.</summary>
    public string Key { get; }

    /// <summary>What the key stands for: see <see cref="FingerprintOf"/>.</summary>
    public Digest Fingerprint { get; }

    /// <summary>1 to <see cref="MaxOperations"/> operations on different names, in ordinal order of the names.</summary>
    public ImmutableArray<Operation> Operations { get; }

    /// <summary>The epoch of the primary whose effect this is: servers that promised a greater one refuse the push.</summary>
    public Fence Fence { get; }

    /// <summary>True if any operation has a precondition; the others are *plain*.</summary>
    public bool IsConditional { get; }

    /// <summary>
    /// True if it is applied whole and only where none of its names has a greater UID: a changeset, or a conditional submission. A plain
    /// put or delete of one name is applied anywhere, as an older version if need be.
    /// </summary>
    public bool IsDecidedByFeed => IsConditional || Operations.Length > 1;

    /// <summary>True for a plain one of a bucket that does not allow answers at agreement: nobody calls it accepted, and no read shows it,
    /// before it has its number. A read by number rests on that.</summary>
    public bool NeedsNumber { get; }

    /// <summary>True if its agreement alone is told to nobody: its number is waited for.</summary>
    public bool AwaitsNumber => IsDecidedByFeed || NeedsNumber;

    /// <summary>The whole record in its wire and disk form.</summary>
    public ReadOnlyMemory<byte> Encoded { get; }

    /// <summary>Where the operations end in <see cref="Encoded"/>: preconditions and a fence come behind them.</summary>
    public int OperationsEnd => Encoded.Length - TailSize(Operations, IsConditional || ReplacesStale, NeedsNumber, Fence);

    /// <summary>SHA-256 of <see cref="Encoded"/>: a knowledge vector names the content that its bits are about.</summary>
    public Digest Hash { get; }

    /// <summary>Makes a submission; operations are sorted by name.</summary>
    public static Submission Create(
        Tag tag, Tag replaces, DiskId disk, string key, ImmutableArray<Operation> operations, Fence fence = default,
        bool replacesStale = false, ulong settled = 0, bool needsNumber = false)
    {
        Invariant.That(!replacesStale || !replaces.IsNone);
        Invariant.That(operations.Length is > 0 and <= MaxOperations);
        operations = operations.Sort((a, b) => a.Target.CompareTo(b.Target));
        Digest fingerprint = FingerprintOf(operations);
        int size = 1 + WireSize.Tag(tag) + WireSize.Tag(replaces) + DiskId.Size + 8 + WireSize.Text(key) + Digest.Size + 4;
        foreach (Operation operation in operations)
        {
            size += operation.EncodedSize;
        }

        bool hasConditions = replacesStale || IsAnyConditional(operations);

        // The feed decides about the others in any case.
        needsNumber &= !hasConditions && operations.Length == 1;
        size += TailSize(operations, hasConditions, needsNumber, fence);
        byte[] encoded = new byte[size];
        var writer = new WireWriter(encoded);
        writer.U8(replacesStale ? AfterStaleVersion : hasConditions ? ConditionalVersion : needsNumber ? NumberedVersion
            : fence.IsNone ? FormatVersion : FencedVersion);
        writer.Tag(tag);
        writer.Tag(replaces);
        writer.Disk(disk);
        writer.U64(settled);
        writer.Text(key);
        writer.Digest(fingerprint);
        writer.U32((uint)operations.Length);
        foreach (Operation operation in operations)
        {
            operation.Write(ref writer);
        }

        WriteTail(ref writer, operations, hasConditions, needsNumber, fence);
        Invariant.That(writer.Position == size);
        return new Submission(tag, replaces, disk, key, fingerprint, operations, fence, replacesStale, settled, needsNumber, encoded);
    }

    /// <summary>The same submission under a fresh tag (VE-68).</summary>
    public Submission Restamp(Tag fresh, bool afterStale = false, ulong settled = 0) =>
        Create(fresh, Tag, AcceptingDisk, Key, Operations, Fence, afterStale, settled, NeedsNumber);

    /// <summary>Reads a submission; keeps a copy of the bytes.</summary>
    public static bool TryRead(ReadOnlySpan<byte> bytes, out Submission submission)
    {
        submission = null!;
        if (bytes.Length > MaxBytes)
        {
            return false;
        }

        // Inline content is a part of the copy, and no second one.
        byte[] encoded = bytes.ToArray();
        var reader = new WireReader(encoded);
        byte version = reader.U8();
        Tag tag = reader.Tag();
        Tag replaces = reader.Tag();
        DiskId disk = reader.Disk();
        ulong settled = reader.U64();
        string key = reader.Text(MaxKeyBytes);
        Digest fingerprint = reader.Digest();
        int count = reader.Count(MaxOperations, 5);
        if (version is < FormatVersion or > NumberedVersion || reader.Failed || count == 0 || tag.IsNone || key.Length == 0)
        {
            return false;
        }

        var operations = ImmutableArray.CreateBuilder<Operation>(count);
        for (int i = 0; i < count && !reader.Failed; i++)
        {
            operations.Add(Operation.Read(ref reader, encoded));
            if (i > 0 && operations[i - 1].Target.CompareTo(operations[i].Target) >= 0)
            {
                reader.Fail();
            }
        }

        if (version is ConditionalVersion or AfterStaleVersion)
        {
            ReadPreconditions(ref reader, operations, mayBeNone: version == AfterStaleVersion);
        }

        Fence fence = version == FormatVersion ? default : ReadFence(ref reader, mayBeNone: version >= ConditionalVersion);
        if (reader.Failed || reader.Remaining != 0 || (version == AfterStaleVersion && replaces.IsNone)
            || (version == NumberedVersion && count > 1))
        {
            return false;
        }

        submission = new Submission(tag, replaces, disk, key, fingerprint, operations.DrainToImmutable(), fence,
            version == AfterStaleVersion, settled, version == NumberedVersion, encoded);
        return true;
    }

    /// <summary>Why these operations under this key are no submission, or null if they are one. Who takes them from outside asks.</summary>
    public static string? FaultOf(ImmutableArray<Operation> operations, string key)
    {
        if (operations.Length is 0 or > MaxOperations)
        {
            return $"a submission has 1 to {MaxOperations} operations, this one has {operations.Length}";
        }

        if (Encoding.UTF8.GetByteCount(key) is 0 or > MaxKeyBytes)
        {
            return $"an idempotency key has 1 to {MaxKeyBytes} bytes";
        }

        var names = new HashSet<ObjectName>(operations.Length);
        long size = 0;
        foreach (Operation operation in operations)
        {
            if ((operation.Target.Fault() ?? operation.Manifest?.Fault()) is { } fault)
            {
                return $"{operation.Target}: {fault}";
            }

            if (!names.Add(operation.Target))
            {
                return $"{operation.Target} is named twice";
            }

            size += operation.EncodedSize + operation.Precondition.EncodedSize;
        }

        return size <= MaxOperationsBytes ? null : $"a submission has at most {MaxOperationsBytes} bytes, this one has {size}";
    }

    /// <summary>
    /// What an idempotency key stands for: SHA-256 over kind, bucket, name, precondition, content hash, content type and metadata of each
    /// operation, in order of the names. How the content was cut into chunks plays no part.
    /// </summary>
    public static Digest FingerprintOf(ImmutableArray<Operation> operations)
    {
        int largest = 0;
        foreach (Operation operation in operations)
        {
            largest = Math.Max(largest, FingerprintSize(operation));
        }

        if (operations.Length == 1 && largest <= SmallFingerprint)
        {
            Span<byte> small = stackalloc byte[SmallFingerprint];
            return Digest.Of(small[..WriteFingerprint(operations[0], small)]);
        }

        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        byte[] buffer = ArrayPool<byte>.Shared.Rent(largest);
        foreach (Operation operation in operations)
        {
            hash.AppendData(buffer.AsSpan(0, WriteFingerprint(operation, buffer)));
        }

        ArrayPool<byte>.Shared.Return(buffer);
        Span<byte> digest = stackalloc byte[Digest.Size];
        hash.GetHashAndReset(digest);
        return Digest.Read(digest);
    }

    private static bool IsAnyConditional(ImmutableArray<Operation> operations)
    {
        foreach (Operation operation in operations)
        {
            if (!operation.Precondition.IsNone)
            {
                return true;
            }
        }

        return false;
    }

    private static int TailSize(ImmutableArray<Operation> operations, bool hasConditions, bool needsNumber, Fence fence)
    {
        int size = fence.IsNone && !hasConditions && !needsNumber ? 0 : WireSize.Text(fence.Service.Name) + 8;
        if (hasConditions)
        {
            foreach (Operation operation in operations)
            {
                size += operation.Precondition.EncodedSize;
            }
        }

        return size;
    }

    private static void WriteTail(
        ref WireWriter writer, ImmutableArray<Operation> operations, bool hasConditions, bool needsNumber, Fence fence)
    {
        if (hasConditions)
        {
            foreach (Operation operation in operations)
            {
                operation.Precondition.Write(ref writer);
            }
        }

        if (hasConditions || needsNumber || !fence.IsNone)
        {
            writer.Text(fence.Service.Name);
            writer.U64(fence.Epoch.Value);
        }
    }

    // At least one is a condition, or equal submissions could have different bytes.
    private static void ReadPreconditions(ref WireReader reader, ImmutableArray<Operation>.Builder operations, bool mayBeNone)
    {
        bool isConditional = mayBeNone;
        for (int i = 0; i < operations.Count && !reader.Failed; i++)
        {
            var precondition = Precondition.Read(ref reader);
            if (!precondition.IsNone)
            {
                operations[i] = operations[i] with { Precondition = precondition };
                isConditional = true;
            }
        }

        if (!isConditional)
        {
            reader.Fail();
        }
    }

    private static Fence ReadFence(ref WireReader reader, bool mayBeNone)
    {
        string name = reader.Text(ServiceName.MaxLength);
        var epoch = new Epoch(reader.U64());
        if (mayBeNone && name.Length == 0 && epoch.IsNone)
        {
            return default;
        }

        if (!ServiceName.TryParse(name, out ServiceName service) || epoch.IsNone)
        {
            reader.Fail();
        }

        return new Fence(service, epoch);
    }

    private static int FingerprintSize(Operation operation)
    {
        int size = operation.HeadSize + operation.Precondition.EncodedSize - 1;
        if (operation.Manifest is { } manifest)
        {
            size += Digest.Size + WireSize.Text(manifest.ContentType) + 4;
            foreach ((string key, string value) in manifest.Metadata)
            {
                size += WireSize.Text(key) + WireSize.Text(value);
            }
        }

        return size;
    }

    // Every field has its length and the metadata their count, so that no two lists of operations have the same bytes; the first byte tells
    // which fields there are.
    private static int WriteFingerprint(Operation operation, Span<byte> buffer)
    {
        var writer = new WireWriter(buffer);
        writer.U8((byte)((byte)operation.Kind | ((byte)operation.Precondition.Kind << 4)));
        writer.Text(operation.Target.Bucket);
        writer.Text(operation.Target.Name);
        if (operation.Precondition.Kind == PreconditionKind.Match)
        {
            writer.Uid(operation.Precondition.Uid);
        }

        if (operation.Manifest is { } manifest)
        {
            writer.Digest(manifest.Sha256);
            writer.Text(manifest.ContentType);
            writer.U32((uint)manifest.Metadata.Length);
            foreach ((string key, string value) in manifest.Metadata)
            {
                writer.Text(key);
                writer.Text(value);
            }
        }

        return writer.Position;
    }
}
