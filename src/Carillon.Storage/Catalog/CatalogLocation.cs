namespace Carillon.Storage.Catalogs;

/// <summary>Where a catalog is: in a file, or in memory for the simulator.</summary>
public sealed class CatalogLocation
{
    private CatalogLocation(string path, CatalogMemory? memory)
    {
        Path = path;
        Memory = memory;
    }

    /// <summary>The database file; two more of that name with <c>-wal</c> and <c>-shm</c> behind it belong to it. <c>:memory:</c> in
    /// memory.</summary>
    public string Path { get; }

    /// <summary>The simulated disk, or null.</summary>
    public CatalogMemory? Memory { get; }

    /// <summary>A file, in a folder that exists. Without the file, an empty catalog is made.</summary>
    public static CatalogLocation File(string path) => new(path, null);

    /// <summary>A simulated disk.</summary>
    public static CatalogLocation InMemory(CatalogMemory memory) => new(":memory:", memory);
}
