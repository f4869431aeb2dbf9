using System.Collections.Immutable;
using System.Text;
using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Submissions;

namespace Carillon.Storage.Catalogs;

/// <summary>
/// Lists a bucket in order of the names' bytes. It walks the rows of <c>versions</c>, which lie in that order with the newest version of
/// a name first, and seeks anew behind a name with many versions and behind a folded prefix.
/// </summary>
internal sealed class CatalogLister(SqliteDatabase database) : IDisposable
{
    /// <summary>Rows that a page looks at: tombstones may lie between names by the million, and a page must end all the same.</summary>
    private const int MaxRows = 20_000;

    private const int MaxLimit = 10_000;

    /// <summary>Rows of one name that are read past before a seek is cheaper.</summary>
    private const int MaxSkipped = 16;

    private readonly SqliteStatement _begin = database.Prepare("BEGIN");
    private readonly SqliteStatement _end = database.Prepare("COMMIT");
    private readonly SqliteStatement _rows = database.Prepare(
        "SELECT name, tag, kind, size, sha256, head, number FROM versions WHERE bucket = ?1 AND name >= ?2 ORDER BY name, tag DESC");

    private readonly SqliteStatement _applied = database.Prepare("SELECT applied FROM facts");

    public ListPage List(ListQuery query)
    {
        _begin.Run();
        try
        {
            return new Walk(query, _rows).Run() with { Number = Applied() };
        }
        finally
        {
            _rows.Reset();
            _end.Run();
        }
    }

    public void Dispose()
    {
        _begin.Dispose();
        _end.Dispose();
        _rows.Dispose();
        _applied.Dispose();
    }

    private SequenceNumber Applied()
    {
        SequenceNumber applied = _applied.Step() ? new SequenceNumber((ulong)_applied.Number(0)) : default;
        _applied.Reset();
        return applied;
    }

    /// <summary>One page in the making.</summary>
    private sealed class Walk
    {
        private readonly ListQuery _query;
        private readonly SqliteStatement _rows;
        private readonly byte[] _prefix;
        private readonly byte[] _delimiter;
        private readonly ImmutableArray<ListedVersion>.Builder _objects = ImmutableArray.CreateBuilder<ListedVersion>();
        private readonly ImmutableArray<string>.Builder _prefixes = ImmutableArray.CreateBuilder<string>();
        private byte[] _name = [];
        private int _skipped;
        private int _examined;

        // Where the next page goes on: the last name or folded prefix that this one has dealt with.
        private string _covered = "";

        public Walk(ListQuery query, SqliteStatement rows)
        {
            _query = query with { Limit = Math.Clamp(query.Limit, 1, MaxLimit) };
            _rows = rows;
            _prefix = Encoding.UTF8.GetBytes(query.Prefix);
            _delimiter = Encoding.UTF8.GetBytes(query.Delimiter);
        }

        public ListPage Run()
        {
            Seek(Start());
            while (_rows.Step())
            {
                ReadOnlySpan<byte> name = _rows.Bytes(0);
                if (!name.StartsWith(_prefix))
                {
                    break;
                }

                bool isFirst = !name.SequenceEqual(_name);
                bool isFull = _objects.Count + _prefixes.Count >= _query.Limit;
                if (isFirst && (isFull || _examined >= MaxRows) && IsWanted(isFirst))
                {
                    return Page(_covered);
                }

                _examined++;
                if (isFirst)
                {
                    _name = name.ToArray();
                    _skipped = 0;
                }

                Take(isFirst);
            }

            return Page("");
        }

        private ListPage Page(string next) => new(_objects.DrainToImmutable(), _prefixes.DrainToImmutable(), next);

        private bool IsWanted(bool isFirst) =>
            _query.Versions || _examined >= MaxRows || (isFirst && (OperationKind)_rows.Number(2) == OperationKind.Put);

        private void Take(bool isFirst)
        {
            bool isTombstone = (OperationKind)_rows.Number(2) == OperationKind.Delete;
            bool isWanted = _query.Versions || (isFirst && !isTombstone);
            int folded = FoldedLength(_name);
            if (isWanted && folded > 0)
            {
                _covered = Encoding.UTF8.GetString(_name.AsSpan(0, folded));
                _prefixes.Add(_covered);
                Seek(Behind(_name.AsSpan(0, folded)));
                return;
            }

            if (isWanted)
            {
                _objects.Add(Row(isFirst));
            }
            else if (++_skipped > MaxSkipped)
            {
                Seek(After(_name));
                _skipped = 0;
            }

            if (isFirst)
            {
                _covered = Encoding.UTF8.GetString(_name);
            }
        }

        private ListedVersion Row(bool isCurrent)
        {
            Tag tag = TagKey.Read(_rows.Bytes(1));
            var target = new ObjectName(_query.Bucket, Encoding.UTF8.GetString(_name));
            (string contentType, ImmutableArray<KeyValuePair<string, string>> metadata) = ManifestHead.Read(_rows.Bytes(5));
            return new ListedVersion(
                target, tag.Uid, tag, (OperationKind)_rows.Number(2), _rows.Number(3), Digest.Read(_rows.Bytes(4)), isCurrent, contentType,
                    metadata) { Number = new SequenceNumber((ulong)_rows.Number(6)) };
        }

        private byte[] Start()
        {
            byte[] after = Encoding.UTF8.GetBytes(_query.After);
            if (after.AsSpan().SequenceCompareTo(_prefix) < 0)
            {
                return _prefix;
            }

            return FoldedLength(after) == after.Length && after.Length > 0 ? Behind(after) : After(after);
        }

        private void Seek(byte[] from)
        {
            _rows.Reset();
            _rows.BindText(1, _query.Bucket);
            if (from.Length == 0)
            {
                // No name is empty, so the least one-byte name is as good a start as none.
                from = [0];
            }

            _rows.Bind(2, from);
        }

        /// <summary>Bytes of a name up to and with the first delimiter behind the prefix; 0 where it is not folded.</summary>
        private int FoldedLength(ReadOnlySpan<byte> name)
        {
            if (_delimiter.Length == 0 || !name.StartsWith(_prefix))
            {
                return 0;
            }

            int at = name[_prefix.Length..].IndexOf(_delimiter);
            return at < 0 ? 0 : _prefix.Length + at + _delimiter.Length;
        }

        // The least bytes above a name.
        private static byte[] After(ReadOnlySpan<byte> name) => [.. name, 0];

        // Above all names with a prefix: UTF-8 has no byte 0xFF.
        private static byte[] Behind(ReadOnlySpan<byte> prefix) => [.. prefix, 0xFF];
    }
}
