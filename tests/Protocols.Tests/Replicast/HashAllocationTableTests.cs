using System.Collections.Immutable;
using Carillon.Protocols.Cluster;
using Carillon.Protocols.Replicast;
using Xunit;

namespace Carillon.Protocols.Tests.Replicast;

public sealed class HashAllocationTableTests
{
    [Theory]
    [InlineData(100, 2, 4)]
    [InlineData(100, 3, 6)]
    [InlineData(100, 4, 8)]
    [InlineData(100, 5, 10)]
    [InlineData(1000, 2, 6)]
    [InlineData(1000, 3, 9)]
    [InlineData(1000, 5, 15)]
    [InlineData(10_000, 1, 4)]
    [InlineData(10_000, 3, 12)]
    [InlineData(10_000, 5, 20)]
    public void Group_size_follows_table_2_of_the_seed(int servers, int replicas, int expected) =>
        Assert.Equal(expected, HashAllocationTable.GroupSize(servers, replicas));

    [Theory]
    [InlineData(100, 1, 3)]
    [InlineData(64, 3, 6)]
    [InlineData(5, 3, 5)]
    [InlineData(6, 2, 4)]
    [InlineData(3, 3, 3)]
    [InlineData(2, 3, 2)]
    public void Group_is_never_under_replicas_and_spares_nor_over_the_servers(int servers, int replicas, int expected) =>
        Assert.Equal(expected, HashAllocationTable.GroupSize(servers, replicas));

    [Fact]
    public void Rows_are_the_same_everywhere_for_ever()
    {
        var table = new HashAllocationTable(Cluster("a1", "a2", "b1", "b2", "c1"));
        Assert.Equal("c1 a2 b2 b1 a1", string.Join(' ', table.Row(0)));
        Assert.Equal("a2 c1 b1 a1 b2", string.Join(' ', table.Row(1)));
        Assert.Equal("c1 a2 b1 a1 b2", string.Join(' ', table.Row(255)));
        Assert.Equal(3, table.Domains);
        Assert.Equal(table.DomainOf(NodeId.Parse("a1")), table.DomainOf(NodeId.Parse("a2")));
    }

    [Fact]
    public void Row_takes_no_second_server_of_a_domain_before_every_domain_has_one()
    {
        var table = new HashAllocationTable(Cluster("a1", "a2", "a3", "b1", "b2", "c1", "d"));
        for (int row = 0; row < IChunkInventory.Rows; row++)
        {
            int[] domains = [.. table.Row(row).Select(table.DomainOf)];
            Assert.Equal(4, domains.Take(4).Distinct().Count());
            Assert.Equal(2, domains.Skip(4).Take(2).Distinct().Count());
        }
    }

    [Fact]
    public void First_places_fall_to_servers_in_proportion_to_their_weights()
    {
        // 40 clusters of five servers with weights 1 to 5: 10,240 rows, of which a server of weight w gets w / 15.
        int[] first = new int[6];
        for (int cluster = 0; cluster < 40; cluster++)
        {
            var table = new HashAllocationTable(new ClusterConfiguration(
                "c", 1, [.. Enumerable.Range(1, 5).Select(weight => Server($"n{cluster}-{weight}", "", weight))]));
            for (int row = 0; row < IChunkInventory.Rows; row++)
            {
                first[table.Row(row)[0].Name[^1] - '0']++;
            }
        }

        for (int weight = 1; weight <= 5; weight++)
        {
            double expected = 10_240 * weight / 15.0;
            Assert.InRange(first[weight], expected * 0.88, expected * 1.12);
        }
    }

    [Fact]
    public void Server_that_leaves_moves_only_its_own_places()
    {
        for (int servers = 3; servers <= 12; servers++)
        {
            ImmutableArray<ServerRecord> all = [.. Enumerable.Range(1, servers).Select(i => Server($"s{i}", "", 100))];
            var before = new HashAllocationTable(new ClusterConfiguration("c", 1, all));
            var after = new HashAllocationTable(new ClusterConfiguration("c", 2, all.RemoveAt(servers / 2)));
            for (int row = 0; row < IChunkInventory.Rows; row++)
            {
                Assert.Equal(before.Row(row).Where(name => name != all[servers / 2].Name), after.Row(row));
            }
        }
    }

    [Fact]
    public void Server_that_comes_takes_about_its_share_of_designated_places()
    {
        ImmutableArray<ServerRecord> all = [.. Enumerable.Range(1, 10).Select(i => Server($"s{i}", "", 100))];
        var before = new HashAllocationTable(new ClusterConfiguration("c", 1, all[..9]));
        var after = new HashAllocationTable(new ClusterConfiguration("c", 2, all));
        int moved = 0;
        for (int row = 0; row < IChunkInventory.Rows; row++)
        {
            moved += after.Row(row).Take(3).Except(before.Row(row).Take(3)).Count();
        }

        // 768 designated places, a tenth of them for the tenth server.
        Assert.InRange(moved, 55, 100);
    }

    [Fact]
    public void Servers_without_storage_are_in_no_row()
    {
        var table = new HashAllocationTable(
            new ClusterConfiguration("c", 1, [Server("s1", "", 1), Server("s2", "", 1) with { Storage = false }]));
        Assert.Equal([NodeId.Parse("s1")], table.Row(7));
        Assert.Equal(-1, table.RankOf(7, NodeId.Parse("s2")));
        Assert.Equal(-1, table.DomainOf(NodeId.Parse("s2")));
    }

    /// <summary>Servers whose domain is the first letter of their names, where a digit follows.</summary>
    private static ClusterConfiguration Cluster(params string[] names) =>
        new("c", 1, [.. names.Select(name => Server(name, name.Length > 1 ? name[..1] : "", 100))]);

    private static ServerRecord Server(string name, string domain, int weight) => new()
    {
        Name = NodeId.Parse(name), Disk = new DiskId(Digest.Of(System.Text.Encoding.ASCII.GetBytes(name)).A),
        Host = name, HttpPort = 1, TunnelPort = 2, DatagramPort = 3, FailureDomain = domain, Weight = weight,
    };
}
