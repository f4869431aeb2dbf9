using System.Collections.Immutable;
using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.Wire;

namespace Carillon.Storage.Catalogs;

/// <summary>
/// The bytes that <c>feed</c> and <c>trimmed</c> hold of an entry and of an outcome's reasons.
/// <code>
/// operations: (u8 kind │ bucket │ name │ i64 size │ sha256 32)*
/// repeated:   tag
/// stale, refused: bucket │ name │ uid │ u8 live │ key, of a stale one
/// </code>
/// </summary>
internal static class FeedCodec
{
    /// <summary>What a feed's row says of the operations; nothing for a submission without effect.</summary>
    public static byte[] Operations(ImmutableArray<Operation> operations)
    {
        int size = 0;
        foreach (Operation operation in operations)
        {
            size += operation.HeadSize + 8 + Digest.Size;
        }

        byte[] bytes = new byte[size];
        var writer = new WireWriter(bytes);
        foreach (Operation operation in operations)
        {
            writer.U8((byte)operation.Kind);
            writer.Text(operation.Target.Bucket);
            writer.Text(operation.Target.Name);
            writer.I64(operation.Manifest?.Size ?? 0);
            writer.Digest(operation.Manifest?.Sha256 ?? default);
        }

        return bytes;
    }

    /// <summary>The bytes of an assignment: its id 24, sha256 32, u64 settled; none of a number that was filled.</summary>
    public static ReadOnlySpan<byte> Write(Assignment value, Span<byte> bytes)
    {
        if (value.IsNoOp)
        {
            return [];
        }

        var writer = new WireWriter(bytes[SessionId.Size..]);
        value.Id.Session.CopyTo(bytes);
        writer.U64(value.Id.Counter);
        writer.Digest(value.Hash);
        writer.U64(value.Settled);
        return bytes[..Assignment.Size];
    }

    /// <summary>Reads an assignment.</summary>
    public static Assignment ReadAssignment(ReadOnlySpan<byte> bytes)
    {
        if (bytes.IsEmpty)
        {
            return default;
        }

        var reader = new WireReader(bytes);
        SessionId session = bytes.Length == Assignment.Size ? SessionId.From(reader.Bytes(SessionId.Size))
            : throw CatalogDamagedException.AsFault("an assignment is not one");
        return new Assignment(new MessageId(session, reader.U64()), reader.Digest(), reader.U64());
    }

    /// <summary>Reads the operations of a row that a query lets through.</summary>
    public static ImmutableArray<FeedOperation> ReadOperations(ReadOnlySpan<byte> bytes, FeedQuery query) =>
        TryReadOperations(bytes, query, out ImmutableArray<FeedOperation> operations)
            ? operations
            : throw CatalogDamagedException.AsFault("an entry of the feed is not one");

    /// <summary>The same, of somebody else's bytes.</summary>
    public static bool TryReadOperations(ReadOnlySpan<byte> bytes, FeedQuery query, out ImmutableArray<FeedOperation> operations)
    {
        var read = ImmutableArray.CreateBuilder<FeedOperation>(1);
        var reader = new WireReader(bytes);
        while (reader.Remaining > 0)
        {
            var kind = (OperationKind)reader.U8();
            string bucket = reader.Text(ObjectName.MaxBucketLength);
            string name = reader.Text(ObjectName.MaxNameBytes);
            var operation = new FeedOperation(kind, new ObjectName(bucket, name), reader.I64(), reader.Digest());
            if (!reader.Failed && (query.Bucket.Length == 0 || query.Bucket == bucket)
                && name.StartsWith(query.Prefix, StringComparison.Ordinal))
            {
                read.Add(operation);
            }
        }

        operations = read.DrainToImmutable();
        return !reader.Failed;
    }

    /// <summary>An outcome's reasons.</summary>
    public static byte[] Detail(FeedOutcome outcome)
    {
        bool isRepeated = outcome.Verdict == FeedVerdict.Repeated;
        if (!isRepeated && outcome.Verdict is not (FeedVerdict.Stale or FeedVerdict.Refused))
        {
            return [];
        }

        int size = isRepeated ? WireSize.Tag(outcome.First)
            : WireSize.Text(outcome.Target.Bucket) + WireSize.Text(outcome.Target.Name) + WireSize.Uid(outcome.Winner) + 1
                + (outcome.Key is { } text ? WireSize.Text(text) : 0);
        byte[] bytes = new byte[size];
        var writer = new WireWriter(bytes);
        if (isRepeated)
        {
            writer.Tag(outcome.First);
            return bytes;
        }

        writer.Text(outcome.Target.Bucket);
        writer.Text(outcome.Target.Name);
        writer.Uid(outcome.Winner);
        writer.Bool(outcome.IsWinnerLive);
        if (outcome.Key is { } key)
        {
            writer.Text(key);
        }

        return bytes;
    }

    /// <summary>Puts an outcome together again.</summary>
    public static FeedOutcome Read(long number, long verdict, ReadOnlySpan<byte> detail) =>
        TryRead(number, verdict, detail, out FeedOutcome outcome)
            ? outcome
            : throw CatalogDamagedException.AsFault("an outcome is not one");

    /// <summary>The same, of somebody else's bytes.</summary>
    public static bool TryRead(long number, long verdict, ReadOnlySpan<byte> detail, out FeedOutcome outcome)
    {
        outcome = new FeedOutcome(new SequenceNumber((ulong)number), (FeedVerdict)verdict);
        var reader = new WireReader(detail);
        switch (outcome.Verdict)
        {
            case FeedVerdict.Repeated:
                outcome = outcome with { First = reader.Tag() };
                break;
            case FeedVerdict.Stale or FeedVerdict.Refused:
                var target = new ObjectName(reader.Text(ObjectName.MaxBucketLength), reader.Text(ObjectName.MaxNameBytes));
                outcome = outcome with { Target = target, Winner = reader.Uid(), IsWinnerLive = reader.Bool() };
                if (outcome.Verdict == FeedVerdict.Stale)
                {
                    outcome = outcome with { Key = reader.Text(Submission.MaxKeyBytes) };
                }

                break;
        }

        return !reader.Failed && reader.Remaining == 0 && verdict is >= 0 and <= (long)FeedVerdict.Repeated;
    }
}
