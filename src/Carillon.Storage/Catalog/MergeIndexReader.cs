using System.Collections.Immutable;
using Carillon.Protocols;
using Carillon.Protocols.IndexMerge;

namespace Carillon.Storage.Catalogs;

/// <summary>The reader's statements for index merge: digests of ranges, and the items in them.</summary>
internal sealed class MergeIndexReader(SqliteDatabase database) : IDisposable
{
    private readonly SqliteStatement _digest = database.Prepare("SELECT count, low, high FROM digests WHERE id = ?1");
    private readonly SqliteStatement _parts =
        database.Prepare("SELECT id, count, low, high FROM digests WHERE id BETWEEN ?1 AND ?2 ORDER BY id");
    private readonly SqliteStatement _accepted = database.Prepare("SELECT tag FROM tags WHERE tag > ?1 AND tag < ?2 ORDER BY tag LIMIT ?3");
    private readonly SqliteStatement _rejected =
        database.Prepare("SELECT tag, key, successor FROM rejected WHERE tag > ?1 AND tag < ?2 ORDER BY tag LIMIT ?3");
    private readonly List<MergeItem> _rejectedItems = [];

    public MergeDigest DigestOf(MergeRange range)
    {
        if (range.Level == 0)
        {
            MergeDigest sum = default;
            foreach ((_, MergeDigest part) in PartsOf(range))
            {
                sum += part;
            }

            return sum;
        }

        MergeDigest digest = _digest.Bind(1, DigestTable.IdOf(range)).Step() ? DigestTable.Read(_digest, 0) : default;
        _digest.Reset();
        return digest;
    }

    public ImmutableArray<(MergeRange Range, MergeDigest Digest)> PartsOf(MergeRange range)
    {
        if (range.IsLeaf)
        {
            return [];
        }

        var parts = ImmutableArray.CreateBuilder<(MergeRange Range, MergeDigest Digest)>();
        long first = DigestTable.IdOf(MergeRange.Of(range.Level + 1, range.First));
        long last = DigestTable.IdOf(MergeRange.Of(range.Level + 1, range.Last));
        _parts.Bind(1, first).Bind(2, last);
        while (_parts.Step())
        {
            parts.Add((DigestTable.RangeOf(_parts.Number(0)), DigestTable.Read(_parts, 1)));
        }

        return parts.DrainToImmutable();
    }

    public ImmutableArray<MergeItem> ItemsIn(MergeRange range, Tag after, int limit)
    {
        Span<byte> low = stackalloc byte[TagKey.MaxSize];
        Span<byte> high = stackalloc byte[TagKey.MaxSize];
        ReadOnlySpan<byte> above = after.Uid.Stamp >= range.First
            && !after.IsNone ? TagKey.Of(after, low) : TagKey.LowerBound(range.First, low);
        ReadOnlySpan<byte> below = TagKey.UpperBound(range.Last, high);
        var items = ImmutableArray.CreateBuilder<MergeItem>();
        ReadRejected(above, below, limit);
        int rejected = 0;
        _accepted.Bind(1, above).Bind(2, below).Bind(3, limit);
        while (_accepted.Step())
        {
            Tag tag = TagKey.Read(_accepted.Bytes(0));
            while (rejected < _rejectedItems.Count && _rejectedItems[rejected].Tag < tag)
            {
                items.Add(_rejectedItems[rejected++]);
            }

            items.Add(new MergeItem(tag, TagOutcome.Accepted, "", default));
        }

        while (rejected < _rejectedItems.Count)
        {
            items.Add(_rejectedItems[rejected++]);
        }

        if (items.Count > limit)
        {
            items.Count = limit;
        }

        return items.DrainToImmutable();
    }

    public void Dispose()
    {
        _digest.Dispose();
        _parts.Dispose();
        _accepted.Dispose();
        _rejected.Dispose();
    }

    private void ReadRejected(ReadOnlySpan<byte> above, ReadOnlySpan<byte> below, int limit)
    {
        _rejectedItems.Clear();
        _rejected.Bind(1, above).Bind(2, below).Bind(3, limit);
        while (_rejected.Step())
        {
            Tag successor = _rejected.Bytes(2).Length > 0 ? TagKey.Read(_rejected.Bytes(2)) : default;
            _rejectedItems.Add(new MergeItem(TagKey.Read(_rejected.Bytes(0)), TagOutcome.Rejected, _rejected.Text(1), successor));
        }
    }
}
