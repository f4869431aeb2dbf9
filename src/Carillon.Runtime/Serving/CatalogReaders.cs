using System.Collections.Concurrent;
using Carillon.Storage.Catalogs;

namespace Carillon.Runtime.Serving;

/// <summary>A few catalog readers for the gateway's threads; each is used by one thread at a time, and made when all others are
/// busy.</summary>
internal sealed class CatalogReaders(Func<CatalogReader> open) : IDisposable
{
    // More than this many are not kept: each has a page cache.
    private const int Kept = 4;

    private readonly ConcurrentBag<CatalogReader> _idle = [];

    /// <summary>Reads by an idle reader.</summary>
    public T Read<T>(Func<CatalogReader, T> read)
    {
        CatalogReader reader = _idle.TryTake(out CatalogReader? idle) ? idle : open();
        try
        {
            return read(reader);
        }
        finally
        {
            if (_idle.Count < Kept)
            {
                _idle.Add(reader);
            }
            else
            {
                reader.Dispose();
            }
        }
    }

    public void Dispose()
    {
        while (_idle.TryTake(out CatalogReader? reader))
        {
            reader.Dispose();
        }
    }
}
