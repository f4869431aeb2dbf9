using Carillon.Protocols.Wire;

namespace Carillon.Protocols.IndexMerge;

/// <summary>
/// Summary of a set of (tag, outcome): how many there are, and the sum, modulo 2^128, of the first half of each one's SHA-256. A sum
/// can be added to and taken from without the rest of the set, so digests of ranges follow each change at a cost that does not depend
/// on the ranges' sizes. Sums of hashes can be forged by someone who may choose members; peers are authenticated, and gain nothing by it.
/// </summary>
public readonly record struct MergeDigest(ulong Count, UInt128 Sum)
{
    /// <summary>Bytes on the wire: 8 count, 16 sum.</summary>
    public const int Size = 24;

    /// <summary>True for the digest of no items.</summary>
    public bool IsEmpty => Count == 0;

    /// <summary>The digest of one item.</summary>
    public static MergeDigest Of(Tag tag, TagOutcome outcome)
    {
        Span<byte> item = stackalloc byte[8 + 1 + NodeId.MaxLength + 8 + 1];
        var writer = new WireWriter(item);
        writer.Tag(tag);
        writer.U8((byte)outcome);
        var hash = Digest.Of(item[..writer.Position]);
        return new(1, new UInt128(hash.A, hash.B));
    }

    public void Write(ref WireWriter writer)
    {
        writer.U64(Count);
        writer.U64((ulong)Sum);
        writer.U64((ulong)(Sum >> 64));
    }

    public static MergeDigest Read(ref WireReader reader)
    {
        ulong count = reader.U64();
        ulong low = reader.U64();
        return new(count, new UInt128(reader.U64(), low));
    }

    /// <inheritdoc/>
    public override string ToString() => FormattableString.Invariant($"{Count} {Sum:x32}");

    public static MergeDigest operator +(MergeDigest a, MergeDigest b) => new(a.Count + b.Count, a.Sum + b.Sum);

    public static MergeDigest operator -(MergeDigest a, MergeDigest b) => new(a.Count - b.Count, a.Sum - b.Sum);
}
