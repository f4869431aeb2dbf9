using Carillon.Node;
using Carillon.Node.Requests;
using Carillon.Protocols;

namespace Carillon.Runtime.Serving;

/// <summary>Gets chunks for whoever reads objects here: from this disk, else from a server that has them.</summary>
internal sealed class ChunkFetcher(EntryServer server, RealWorld world)
{
    /// <summary>The stored bytes of a chunk, verified; the caller releases them.</summary>
    /// <exception cref="ContentUnavailableException">No server that can be reached has a good copy.</exception>
    public async Task<ChunkBuffer> FetchAsync(ChunkId id, CancellationToken cancellation)
    {
        // A local copy that turns out damaged is dropped by the node, and the second try goes to another server.
        for (int tries = 0; tries < 3; tries++)
        {
            cancellation.ThrowIfCancellationRequested();
            ChunkFound found = await server.Ask<ChunkFound>((node, now, answer) => node.FindChunk(id, now, answer));
            if (found.Fetched is { } fetched)
            {
                return fetched;
            }

            if (found.Location is { } location && await world.LoadAsync(location, cancellation) is { } loaded)
            {
                return loaded;
            }
        }

        throw new ContentUnavailableException($"No server that can be reached has a good copy of chunk {id}.");
    }
}
