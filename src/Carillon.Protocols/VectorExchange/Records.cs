using Carillon.Protocols.Wire;

namespace Carillon.Protocols.VectorExchange;

/// <summary>Types of the log records that vector exchange writes; the first byte of each. docs/formats/log-records.md lists all owners'
/// types.</summary>
public enum RecordType : byte
{
    /// <summary>A submission is held (the seed's first readiness bit): <c>blob submission</c>.</summary>
    Pending = 1,

    /// <summary>Own bit, with the merged vector: <c>tag │ digest │ u64 configuration │ u32 round │ bool value │ u64 bits</c>.</summary>
    Bit = 2,

    /// <summary>A quorum agreed (the seed's second readiness bit): <c>tag</c>.</summary>
    Agreed = 3,

    /// <summary>Decided *no*, by abort or by round: <c>tag │ tag successor │ u64 bits of those still to be told</c>.</summary>
    Rejected = 4,

    /// <summary>No bit in a lower round from now on: <c>tag │ u32 round</c>.</summary>
    Promised = 5,

    /// <summary>Pushes of a key are refused: <c>text key │ i64 until, ms</c>.</summary>
    KeyFenced = 6,

    /// <summary>Stamps up to this one may be used: <c>u64 stamp</c>.</summary>
    StampsReserved = 7,

    /// <summary>This server takes no further part in a tag's decision: it gave the tag up as too old, or learnt a *no* that it may forget:
    /// <c>tag │ text key</c>, the key empty where the record was not here or the tag is decided.</summary>
    GivenUp = 8,
}

/// <summary>Encoding of log records.</summary>
internal static class Records
{
    public static byte[] Pending(ReadOnlySpan<byte> submission)
    {
        byte[] record = new byte[1 + submission.Length];
        Pending(submission, record);
        return record;
    }

    /// <summary>The same in a place that the caller has for it.</summary>
    public static ReadOnlySpan<byte> Pending(ReadOnlySpan<byte> submission, Span<byte> record)
    {
        record[0] = (byte)RecordType.Pending;
        submission.CopyTo(record[1..]);
        return record[..(1 + submission.Length)];
    }

    public static byte[] Bit(Tag tag, Digest hash, ulong configuration, uint round, bool value, ulong bits)
    {
        byte[] record = new byte[1 + WireSize.Tag(tag) + Digest.Size + 8 + 4 + 1 + 8];
        WireWriter writer = Start(record, RecordType.Bit);
        writer.Tag(tag);
        writer.Digest(hash);
        writer.U64(configuration);
        writer.U32(round);
        writer.Bool(value);
        writer.U64(bits);
        return record;
    }

    public static byte[] OfTag(RecordType type, Tag tag)
    {
        byte[] record = new byte[1 + WireSize.Tag(tag)];
        WireWriter writer = Start(record, type);
        writer.Tag(tag);
        return record;
    }

    public static byte[] Rejected(Tag tag, Tag successor, ulong untold)
    {
        byte[] record = new byte[1 + WireSize.Tag(tag) + WireSize.Tag(successor) + 8];
        WireWriter writer = Start(record, RecordType.Rejected);
        writer.Tag(tag);
        writer.Tag(successor);
        writer.U64(untold);
        return record;
    }

    public static byte[] Promised(Tag tag, uint round)
    {
        byte[] record = new byte[1 + WireSize.Tag(tag) + 4];
        WireWriter writer = Start(record, RecordType.Promised);
        writer.Tag(tag);
        writer.U32(round);
        return record;
    }

    public static byte[] KeyFenced(string key, long until)
    {
        byte[] record = new byte[1 + WireSize.Text(key) + 8];
        WireWriter writer = Start(record, RecordType.KeyFenced);
        writer.Text(key);
        writer.I64(until);
        return record;
    }

    public static byte[] GivenUp(Tag tag, string key)
    {
        byte[] record = new byte[1 + WireSize.Tag(tag) + WireSize.Text(key)];
        WireWriter writer = Start(record, RecordType.GivenUp);
        writer.Tag(tag);
        writer.Text(key);
        return record;
    }

    public static byte[] StampsReserved(Timestamp upTo)
    {
        byte[] record = new byte[9];
        WireWriter writer = Start(record, RecordType.StampsReserved);
        writer.U64(upTo.Value);
        return record;
    }

    private static WireWriter Start(byte[] record, RecordType type)
    {
        var writer = new WireWriter(record);
        writer.U8((byte)type);
        return writer;
    }
}
