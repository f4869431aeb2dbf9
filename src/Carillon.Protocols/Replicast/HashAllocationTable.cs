using System.Collections.Frozen;
using System.Collections.Immutable;
using System.Numerics;
using Carillon.Protocols.Cluster;

namespace Carillon.Protocols.Replicast;

/// <summary>
/// Which servers hold which chunks (seed 004, "hash allocation table"): 256 rows over the first byte of a chunk's id, each an order of
/// all storage servers. The first <c>replicas</c> of a row are its designated servers, the first <see cref="GroupSize"/> its negotiating
/// group; live ones later in the row stand in for those that are away. Every server computes the same table from the same
/// configuration; nothing is looked up anywhere.
/// </summary>
/// <remarks>
/// The order of a row is by weighted rendezvous hashing (Thaler and Ravishankar, 1998; weights after Schindelhauer and Schomaker, 2005):
/// each server draws a number from the row and its own name, scaled by its weight, so that a server that comes or goes moves only its own
/// share. Failure domains are taken in turn: no second server of a domain before every domain has one. All arithmetic is on integers,
/// since two servers whose logarithms differ in the last bit would disagree.
/// </remarks>
public sealed class HashAllocationTable
{
    /// <summary>
    /// Servers of a negotiating group beyond the replicas, to stand in (REP-144: the seed's formula alone gives two for 100 servers).
    /// </summary>
    public const int Spares = 2;

    private readonly ImmutableArray<ImmutableArray<NodeId>> _rows;
    private readonly FrozenDictionary<NodeId, int> _domains;

    /// <summary>The table of a configuration.</summary>
    public HashAllocationTable(ClusterConfiguration configuration)
    {
        Generation = configuration.Version;
        ServerRecord[] servers = [.. configuration.Servers.Where(s => s.Storage)];
        string[] domains = [.. servers.Select(DomainName).Distinct(StringComparer.Ordinal)];
        Domains = domains.Length;
        _domains = servers.ToFrozenDictionary(s => s.Name, s => Array.IndexOf(domains, DomainName(s)));
        _rows = [.. Enumerable.Range(0, IChunkInventory.Rows).Select(row => Order(row, servers))];
    }

    /// <summary>The configuration version that it was made of.</summary>
    public ulong Generation { get; }

    /// <summary>Failure domains with storage servers.</summary>
    public int Domains { get; }

    /// <summary>The row of a chunk.</summary>
    public static int RowOf(ChunkId id) => (int)(id.Digest.A >> 56);

    /// <summary>
    /// Servers of a negotiating group: ⌈K × log10(N)⌉ (seed 004, table 2) with the replica count for K, and never under replicas and
    /// spares. So work per chunk hardly grows with the cluster.
    /// </summary>
    public static int GroupSize(int servers, int replicas)
    {
        int size = 0;
        for (BigInteger reach = BigInteger.One; reach < BigInteger.Pow(servers, replicas); reach *= 10)
        {
            size++;
        }

        return Math.Min(servers, Math.Max(size, replicas + Spares));
    }

    /// <summary>All storage servers in the order of a row.</summary>
    public ImmutableArray<NodeId> Row(int row) => _rows[row];

    /// <summary>The negotiating group of a row for chunks of that many replicas: the designated servers, then the spares.</summary>
    public ImmutableArray<NodeId> Group(int row, int replicas) => _rows[row][..GroupSize(_rows[row].Length, replicas)];

    /// <summary>A server's place in a row, from 0; -1 if it stores nothing.</summary>
    public int RankOf(int row, NodeId server) => _rows[row].IndexOf(server);

    /// <summary>A number for a server's failure domain, equal for servers that fail together; -1 for one that stores nothing.</summary>
    public int DomainOf(NodeId server) => _domains.TryGetValue(server, out int domain) ? domain : -1;

    // A server without a domain is its own. No configured name begins with a zero.
    private static string DomainName(ServerRecord server) => server.FailureDomain.Length > 0 ? server.FailureDomain : $"\0{server.Name}";

    private static ImmutableArray<NodeId> Order(int row, ServerRecord[] servers)
    {
        List<Draw> draws = [.. servers.Select(server => new Draw(server, Distance(row, server)))];
        draws.Sort(Draw.Compare);
        var taken = new Dictionary<string, int>(StringComparer.Ordinal);
        var turns = new List<(int Turn, int Place, NodeId Name)>();
        for (int place = 0; place < draws.Count; place++)
        {
            string domain = DomainName(draws[place].Server);
            int turn = taken.GetValueOrDefault(domain);
            taken[domain] = turn + 1;
            turns.Add((turn, place, draws[place].Server.Name));
        }

        turns.Sort();
        return [.. turns.Select(t => t.Name)];
    }

    /// <summary>-log2 of a number drawn evenly from (0, 1) for the row and the server, in units of 2^-32.</summary>
    private static ulong Distance(int row, ServerRecord server)
    {
        ulong hash = Mix((ulong)row + 0x9E3779B97F4A7C15);
        foreach (char c in server.Name.Name)
        {
            hash = Mix(hash ^ c);
        }

        return Math.Max(1, (64UL << 32) - Log2(hash | 1));
    }

    // One bit of the fraction per squaring: the number is kept between 1 and 2, with 63 bits behind the point.
    private static ulong Log2(ulong value)
    {
        int zeros = BitOperations.LeadingZeroCount(value);
        ulong result = (ulong)(63 - zeros);
        ulong number = value << zeros;
        for (int bit = 0; bit < 32; bit++)
        {
            ulong high = Math.BigMul(number, number, out ulong low);
            bool carries = high >> 63 != 0;
            result = (result << 1) | (carries ? 1UL : 0);
            number = carries ? high : (high << 1) | (low >> 63);
        }

        return result;
    }

    // The finisher of SplitMix64 (Steele, Lea and Flood, 2014).
    private static ulong Mix(ulong z)
    {
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }

    /// <summary>
    /// A server's draw for a row. The greatest weight / distance comes first: it falls to each server in proportion to its weight.
    /// </summary>
    private sealed record Draw(ServerRecord Server, ulong Distance)
    {
        public static int Compare(Draw a, Draw b)
        {
            UInt128 left = (UInt128)(uint)Math.Max(1, a.Server.Weight) * b.Distance;
            UInt128 right = (UInt128)(uint)Math.Max(1, b.Server.Weight) * a.Distance;
            return left != right ? right.CompareTo(left) : a.Server.Name.CompareTo(b.Server.Name);
        }
    }
}
