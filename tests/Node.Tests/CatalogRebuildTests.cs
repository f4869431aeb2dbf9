using Carillon.Protocols;
using Carillon.Protocols.Cluster;
using Xunit;

namespace Carillon.Node.Tests;

public sealed class CatalogRebuildTests
{
    private static readonly NodeId S1 = NodeId.Parse("s1");
    private static readonly NodeId S2 = NodeId.Parse("s2");
    private static readonly NodeId S3 = NodeId.Parse("s3");
    private static readonly NodeId S4 = NodeId.Parse("s4");
    private static readonly NodeId S5 = NodeId.Parse("s5");
    private static readonly Tag Open = new(new Uid(new Timestamp(5), S2), 1);
    private static readonly Tag Later = new(new Uid(new Timestamp(9), S3), 2);

    [Fact]
    public void Rebuild_ends_after_a_quorum_of_others_gave_all_and_decided_what_was_open()
    {
        CatalogRebuild rebuild = Begin();
        Assert.False(rebuild.Merged(S2, new Instant(11)));
        Assert.Equal(RebuildStage.Merging, rebuild.Stage);
        Assert.False(rebuild.Merged(S3, new Instant(11)));
        Assert.Equal([S2, S3], rebuild.ToAsk);
        Assert.False(rebuild.Hear(S2, [Open], new Instant(14)));
        Assert.False(rebuild.Hear(S3, [], new Instant(15)));
        Assert.True(rebuild.Hear(S2, [Later], new Instant(16)));
        Assert.False(rebuild.Merged(S2, new Instant(17)));
        Assert.True(rebuild.Merged(S3, new Instant(17)));
        Assert.Equal(RebuildStage.None, rebuild.Stage);
    }

    [Fact]
    public void Rebuild_counts_no_merge_that_began_before_it_nor_one_with_oneself()
    {
        CatalogRebuild rebuild = Begin();
        rebuild.Merged(S2, new Instant(9));
        rebuild.Merged(S1, new Instant(11));
        rebuild.Merged(S3, new Instant(11));
        Assert.Equal(RebuildStage.Merging, rebuild.Stage);
        Assert.Empty(rebuild.ToAsk);
    }

    [Fact]
    public void Rebuild_waits_for_what_was_open_at_first_and_not_for_what_came_later()
    {
        CatalogRebuild rebuild = Begin();
        rebuild.Merged(S2, new Instant(11));
        rebuild.Merged(S3, new Instant(11));
        rebuild.Hear(S2, [Open], new Instant(13));
        rebuild.Hear(S3, [Open], new Instant(13));
        Assert.False(rebuild.Hear(S2, [Open, Later], new Instant(14)));
        Assert.False(rebuild.Hear(S2, [Later], new Instant(15)));
        Assert.True(rebuild.Hear(S3, [Later], new Instant(16)));
    }

    [Fact]
    public void Rebuild_ends_with_the_servers_that_had_it_wait_and_not_with_others()
    {
        CatalogRebuild rebuild = Begin(5);
        Assert.All((NodeId[])[S2, S3, S4], peer => Assert.False(rebuild.Merged(peer, new Instant(11))));
        Assert.All((NodeId[])[S2, S3, S4], peer => rebuild.Hear(peer, [], new Instant(20)));
        Assert.Equal(RebuildStage.MergingAgain, rebuild.Stage);
        Assert.False(rebuild.Merged(S2, new Instant(21)));
        Assert.False(rebuild.Merged(S5, new Instant(21)));
        Assert.False(rebuild.Merged(S3, new Instant(21)));
        Assert.True(rebuild.Merged(S4, new Instant(21)));
    }

    [Fact]
    public void Rebuild_takes_a_further_server_where_one_does_not_say_what_is_open()
    {
        CatalogRebuild rebuild = Begin(5);
        Assert.All((NodeId[])[S2, S3, S4, S5], peer => Assert.False(rebuild.Merged(peer, new Instant(11))));
        Assert.Equal([S2, S3, S4, S5], rebuild.ToAsk);
        rebuild.Hear(S2, [], new Instant(20));
        rebuild.Hear(S4, [], new Instant(20));
        Assert.True(rebuild.Hear(S5, [], new Instant(20)));
    }

    [Fact]
    public void Rebuild_in_a_cluster_of_two_needs_the_other_one()
    {
        CatalogRebuild rebuild = Begin(2);
        Assert.False(rebuild.Merged(S2, new Instant(11)));
        Assert.True(rebuild.Hear(S2, [], new Instant(20)));
        Assert.True(rebuild.Merged(S2, new Instant(21)));
    }

    private static CatalogRebuild Begin(int servers = 3)
    {
        var rebuild = new CatalogRebuild(
            new ClusterConfiguration("c", 1, [.. new[] { S1, S2, S3, S4, S5 }.Take(servers).Select((n, i) => new ServerRecord
            {
                Name = n, Disk = new DiskId((UInt128)(i + 1)), Host = "h", HttpPort = 1, TunnelPort = 2, DatagramPort = 3,
            })]),
            S1);
        rebuild.Begin(new Instant(10));
        return rebuild;
    }
}
