namespace Carillon.Storage.Catalogs;

/// <summary>
/// The catalog is not what was written, or not what this program can read. The server's disk is then a damaged one: it must not vote
/// until its catalog has been rebuilt from its peers (protocol page of vector exchange, "Disks").
/// </summary>
public sealed class CatalogDamagedException : Exception
{
    public CatalogDamagedException()
    {
    }

    public CatalogDamagedException(string message) : base(message)
    {
    }

    public CatalogDamagedException(string message, Exception inner) : base(message, inner)
    {
    }

    /// <summary>Damage met while the catalog is in use is a failed disk to its driver.</summary>
    public static StorageException AsFault(string detail)
    {
        string message = $"The catalog is damaged: {detail}.";
        return new StorageException(StorageFault.Failed, message, new CatalogDamagedException(message));
    }
}

/// <summary>The catalog was written by a newer program; it is sound, and is left as it is.</summary>
public sealed class CatalogTooNewException : Exception
{
    public CatalogTooNewException()
    {
    }

    public CatalogTooNewException(string message) : base(message)
    {
    }

    public CatalogTooNewException(string message, Exception inner) : base(message, inner)
    {
    }
}
