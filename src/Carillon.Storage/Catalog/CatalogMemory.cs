using Carillon.Protocols;

namespace Carillon.Storage.Catalogs;

/// <summary>
/// A catalog's disk in the simulator: the image that was last made durable, and the transactions committed since, of which a crash keeps
/// as many as it likes, but none without those before it. It outlives the <see cref="Catalog"/> that uses it.
/// </summary>
public sealed class CatalogMemory : IDisposable
{
    private readonly List<CatalogBatch> _commits = [];
    private SqliteDatabase? _image;

    /// <summary>Transactions committed since the catalog was last made durable.</summary>
    public int Commits => _commits.Count;

    /// <summary>The power fails: the first <paramref name="kept"/> of <see cref="Commits"/> are on the disk, the others are lost. Dispose
    /// of the catalog first.</summary>
    public void Crash(int kept)
    {
        Invariant.That(kept >= 0 && kept <= _commits.Count);
        _commits.RemoveRange(kept, _commits.Count - kept);
    }

    /// <summary>The disk itself is lost, or its catalog is: the next one to open it finds it empty.</summary>
    public void Erase()
    {
        _commits.Clear();
        _image?.Dispose();
        _image = null;
    }

    /// <summary>What a power cut at this instant would leave for certain, for checkers to look at.</summary>
    public CatalogMemory DurableCopy()
    {
        var copy = new CatalogMemory();
        if (_image is not null)
        {
            copy._image = CatalogSchema.OpenMemory();
            _image.CopyTo(copy._image);
        }

        return copy;
    }

    public void Dispose() => Erase();

    /// <summary>Gives a new connection what is on the disk, apart from <see cref="Commits"/>.</summary>
    internal SqliteDatabase Open()
    {
        SqliteDatabase database = CatalogSchema.OpenMemory();
        if (_image is null)
        {
            CatalogSchema.Create(database);
        }
        else
        {
            _image.CopyTo(database);
        }

        return database;
    }

    /// <summary>The commits to apply again, in order.</summary>
    internal IReadOnlyList<CatalogBatch> CommitsToReplay() => [.. _commits];

    internal void Committed(CatalogBatch batch) => _commits.Add(batch);

    internal void MadeDurable(SqliteDatabase database)
    {
        _image ??= CatalogSchema.OpenMemory();
        database.CopyTo(_image);
        _commits.Clear();
    }
}
