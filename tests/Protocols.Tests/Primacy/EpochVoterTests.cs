using Carillon.Protocols.Cluster;
using Carillon.Protocols.Primacy;
using Xunit;

namespace Carillon.Protocols.Tests.Primacy;

/// <summary>One voter's promises and leases.</summary>
public sealed class EpochVoterTests
{
    private static readonly ServiceName Job = ServiceName.Parse("job");
    private static readonly TimeSpan Duration = TimeSpan.FromSeconds(2);

    private readonly ClusterConfiguration _configuration = new("lab", 1, [.. Enumerable.Range(1, 3).Select(i => new ServerRecord
    {
        Name = NodeId.Parse($"s{i}"), Disk = new DiskId((UInt128)i), Host = "127.0.0.1", HttpPort = 1, TunnelPort = 2, DatagramPort = 3,
    })]);

    private readonly VoterHost _host = new();
    private readonly EpochVoter _voter;

    public EpochVoterTests()
    {
        _voter = new EpochVoter(_configuration, _host);
        _voter.Start(At(0));
    }

    [Fact]
    public void Withdrawal_by_a_restarted_node_leaves_the_lease_of_its_former_life_seed_334()
    {
        Assert.Equal(BidVerdict.Granted, Bid("s1", life: 4, epoch: 4, at: 0));
        Assert.Equal(BidVerdict.Granted, Bid("s1", life: 5, epoch: 5, at: 1000));

        Withdraw("s1", life: 5, epoch: 5, at: 1001);

        // What the fourth life started runs until its lease is over, whatever the fifth knows of it.
        Assert.Equal(BidVerdict.Leased, Bid("s2", life: 1, epoch: 6, at: 1999));
        Assert.Equal(BidVerdict.Granted, Bid("s2", life: 1, epoch: 6, at: 2001));
    }

    [Fact]
    public void Withdrawal_by_a_restarted_node_whose_bid_never_came_leaves_the_lease_of_its_former_life()
    {
        Bid("s1", life: 4, epoch: 4, at: 0);
        Withdraw("s1", life: 5, epoch: 5, at: 1000);
        Assert.Equal(BidVerdict.Leased, Bid("s2", life: 1, epoch: 6, at: 1999));
    }

    [Fact]
    public void Withdrawal_by_the_life_that_bid_frees_the_voter_at_once()
    {
        Bid("s1", life: 4, epoch: 4, at: 0);
        Withdraw("s1", life: 4, epoch: 4, at: 10);
        Assert.Equal(BidVerdict.Granted, Bid("s2", life: 1, epoch: 5, at: 11));
    }

    [Fact]
    public void Epoch_that_one_life_was_given_is_refused_to_the_next()
    {
        Bid("s1", life: 4, epoch: 4, at: 0);
        Assert.Equal(BidVerdict.Granted, Bid("s1", life: 4, epoch: 4, at: 10));
        Assert.Equal(BidVerdict.Promised, Bid("s1", life: 5, epoch: 4, at: 20));
        Assert.Equal(BidVerdict.Granted, Bid("s1", life: 5, epoch: 5, at: 30));
    }

    private static Moment At(int milliseconds) =>
        new(new Instant(TimeSpan.TicksPerHour) + TimeSpan.FromMilliseconds(milliseconds), new WallTime(milliseconds));

    private ServerIdentity Identity(string node, ulong life) =>
        new(NodeId.Parse(node), _configuration.Find(NodeId.Parse(node))!.Disk, new Incarnation(life));

    private BidVerdict Bid(string node, ulong life, ulong epoch, int at) =>
        _voter.Consider(Identity(node, life), new BidMessage(Job, new Epoch(epoch), 1, Duration, 1), At(at), out _).Verdict;

    private void Withdraw(string node, ulong life, ulong epoch, int at) =>
        _voter.Withdraw(Identity(node, life), Job, new Epoch(epoch), At(at));

    private sealed class VoterHost : IPrimacyHost
    {
        public bool MayVote => true;

        public bool HasQuorum => true;

        public ulong Durable { get; private set; }

        public bool IsConnected(NodeId node) => true;

        public TimeSpan? RoundTrip(NodeId node) => null;

        public bool CanAppend(int bytes) => true;

        public ulong Append(ReadOnlySpan<byte> record) => ++Durable;

        public void Send(NodeId peer, ReadOnlyMemory<byte> message, ulong after)
        {
        }

        public void SendDatagram(NodeId peer, ReadOnlyMemory<byte> message)
        {
        }

        public void Order(ServiceOrder order)
        {
        }

        public void PrimaryKnown(ServiceName service, NodeId primary, Epoch epoch, TimeSpan? silence)
        {
        }
    }
}
