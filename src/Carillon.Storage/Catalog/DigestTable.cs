using Carillon.Protocols;
using Carillon.Protocols.IndexMerge;

namespace Carillon.Storage.Catalogs;

/// <summary>
/// The writer's statements on <c>digests</c>: the digest of every <see cref="MergeRange"/> that has items, kept up to date with each
/// transaction. Changes are summed per leaf first, and handed up a level at a time, so that a batch of neighbours costs a few rows.
/// </summary>
internal sealed class DigestTable(SqliteDatabase database)
{
    private readonly SqliteStatement _select = database.Prepare("SELECT count, low, high FROM digests WHERE id = ?1");
    private readonly SqliteStatement _replace = database.Prepare("INSERT OR REPLACE INTO digests VALUES(?1, ?2, ?3, ?4)");
    private readonly SqliteStatement _delete = database.Prepare("DELETE FROM digests WHERE id = ?1");
    private SortedDictionary<MergeRange, MergeDigest> _changes = [];
    private SortedDictionary<MergeRange, MergeDigest> _above = [];

    /// <summary>A range's row: its level in the top byte, its slot below (a leaf's has 42 bits). The root has no row: it is the sum of
    /// level 1.</summary>
    public static long IdOf(MergeRange range) => ((long)range.Level << 56) | (long)range.Slot;

    /// <summary>The range of a row.</summary>
    public static MergeRange RangeOf(long id) => MergeRange.TryCreate((int)(id >> 56), (ulong)id & ((1UL << 56) - 1), out MergeRange range)
        ? range
        : throw CatalogDamagedException.AsFault("a digest's range is not one");

    public static MergeDigest Read(SqliteStatement row, int column) =>
        new((ulong)row.Number(column), new UInt128((ulong)row.Number(column + 2), (ulong)row.Number(column + 1)));

    /// <summary>An item came.</summary>
    public void Add(Tag tag, TagOutcome outcome) => Change(tag, MergeDigest.Of(tag, outcome));

    /// <summary>An item went.</summary>
    public void Remove(Tag tag, TagOutcome outcome) => Change(tag, default(MergeDigest) - MergeDigest.Of(tag, outcome));

    /// <summary>Writes what changed in this transaction.</summary>
    public void Write()
    {
        for (int level = MergeRange.LeafLevel; level > 0; level--)
        {
            foreach ((MergeRange range, MergeDigest difference) in _changes)
            {
                Write(IdOf(range), difference);
                MergeRange above = MergeRange.Of(level - 1, range.First);
                _above.TryGetValue(above, out MergeDigest sum);
                _above[above] = sum + difference;
            }

            (_changes, _above) = (_above, _changes);
            _above.Clear();
        }

        _changes.Clear();
    }

    /// <summary>Forgets the changes of a transaction that failed.</summary>
    public void Abandon()
    {
        _changes.Clear();
        _above.Clear();
    }

    private void Change(Tag tag, MergeDigest difference)
    {
        MergeRange leaf = MergeRange.Of(MergeRange.LeafLevel, tag.Uid.Stamp);
        _changes.TryGetValue(leaf, out MergeDigest sum);
        _changes[leaf] = sum + difference;
    }

    private void Write(long id, MergeDigest difference)
    {
        MergeDigest digest = difference;
        if (_select.Bind(1, id).Step())
        {
            digest += Read(_select, 0);
            _select.Reset();
        }

        if (digest.IsEmpty)
        {
            _delete.Bind(1, id).Run();
            return;
        }

        _replace.Bind(1, id).Bind(2, (long)digest.Count).Bind(3, (long)(ulong)digest.Sum).Bind(4, (long)(ulong)(digest.Sum >> 64)).Run();
    }
}
