using System.Collections.Immutable;
using Carillon.Protocols.Cluster;

namespace Carillon.Protocols.Replicast;

/// <summary>
/// Which servers hold which chunks (seed 004, "hash allocation table"): 256 rows over the first byte of a chunk's id, each an order of all
/// storage
/// servers. The first <c>replicas</c> of a row are its designated servers; live ones later in the row stand in for those that are away.
/// Every server
/// computes the same table from the same configuration; nothing is looked up anywhere.
/// </summary>
/// <remarks>
/// The order of a row is by weighted rendezvous hashing (Thaler and Ravishankar, 1998; weights after Schindelhauer and Schomaker, 2005):
/// each server draws
/// a number from the row and its own name, scaled by its weight, so that a server that comes or goes moves only its own share. Failure
/// domains are
/// taken in turn: no second server of a domain before every domain has one.
/// </remarks>
public sealed class HashAllocationTable
{
    private readonly ImmutableArray<ImmutableArray<NodeId>> _rows;

    /// <summary>The table of a configuration.</summary>
    public HashAllocationTable(ClusterConfiguration configuration)
    {
        Generation = configuration.Version;
        ServerRecord[] servers = [.. configuration.Servers.Where(s => s.Storage)];
        Domains = servers.Select(DomainOf).Distinct(StringComparer.Ordinal).Count();
        _rows = [.. Enumerable.Range(0, IChunkInventory.Rows).Select(row => Order(row, servers))];
    }

    /// <summary>The configuration version that it was made of.</summary>
    public ulong Generation { get; }

    /// <summary>Failure domains with storage servers.</summary>
    public int Domains { get; }

    /// <summary>The row of a chunk.</summary>
    public static int RowOf(ChunkId id) => (int)(id.Digest.A >> 56);

    /// <summary>All storage servers in the order of a row.</summary>
    public ImmutableArray<NodeId> Row(int row) => _rows[row];

    /// <summary>A server's place in a row, from 0; -1 if it stores nothing.</summary>
    public int RankOf(int row, NodeId server) => _rows[row].IndexOf(server);

    /// <summary>A failure domain; a server without one is its own.</summary>
    internal static string DomainOf(ServerRecord server) => server.FailureDomain.Length > 0 ? server.FailureDomain : $"\0{server.Name}";

    private static ImmutableArray<NodeId> Order(int row, ServerRecord[] servers)
    {
        ServerRecord[] byScore = [.. servers.OrderByDescending(s => Score(row, s)).ThenBy(s => s.Name)];
        var taken = new Dictionary<string, int>(StringComparer.Ordinal);
        return
        [
            .. byScore
                .Select((server, place) =>
                {
                    string domain = DomainOf(server);
                    int turn = taken.GetValueOrDefault(domain);
                    taken[domain] = turn + 1;
                    return (server.Name, Turn: turn, Place: place);
                })
                .OrderBy(s => s.Turn).ThenBy(s => s.Place)
                .Select(s => s.Name),
        ];
    }

    private static double Score(int row, ServerRecord server)
    {
        ulong hash = Mix((ulong)row + 0x9E3779B97F4A7C15);
        foreach (char c in server.Name.Name)
        {
            hash = Mix(hash ^ c);
        }

        // -weight / ln(u), u uniform in (0, 1): the greatest of these draws falls to each server in proportion to its weight.
        double u = ((hash >> 11) + 0.5) * (1.0 / (1UL << 53));
        return -server.Weight / Math.Log(u);
    }

    private static ulong Mix(ulong z)
    {
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }
}
