using Carillon.Protocols.Cluster;
using Carillon.Protocols.Primacy;
using Xunit;

namespace Carillon.Protocols.Tests.Primacy;

/// <summary>One voter's promises and leases.</summary>
public sealed class EpochVoterTests
{
    private static readonly ServiceName Job = ServiceName.Parse("job");
    private static readonly TimeSpan Duration = TimeSpan.FromSeconds(2);

    private ClusterConfiguration _configuration = new("lab", 1, [.. Enumerable.Range(1, 3).Select(i => new ServerRecord
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

    [Fact]
    public void Epoch_that_was_promised_under_one_version_is_not_given_under_the_next_by_a_disk_that_never_heard_of_it()
    {
        // s1 and the disk that this one replaces gave s1 epoch 5; with s3, which was away, it would be a quorum for s3.
        Reconfigure(new KeyValuePair<ServiceName, Epoch>(Job, new Epoch(5)));
        Assert.Equal(BidVerdict.Promised, Bid("s3", life: 1, epoch: 5, at: 5000));
        Assert.Equal(BidVerdict.Granted, Bid("s3", life: 1, epoch: 6, at: 5000));
    }

    [Fact]
    public void Epochs_of_the_feeds_sequencer_go_on_far_above_what_was_told_when_the_version_was_closed()
    {
        // It is elected also under a closed version, so that the next one's entry gets its number.
        Reconfigure(new KeyValuePair<ServiceName, Epoch>(ServiceName.CatalogSequencer, new Epoch(5)));
        Assert.Equal(BidVerdict.Promised, Bid("s3", life: 1, epoch: 9, at: 5000, ServiceName.CatalogSequencer));
        Assert.True(_voter.FenceOf(ServiceName.CatalogSequencer) > new Epoch(1000));
    }

    [Fact]
    public void Lease_is_renewed_for_nobody_who_has_another_version_in_force()
    {
        // s2 runs on a disk that was replaced: with its own bit, this renewal is a quorum for it and the new disk's grant one for another.
        Assert.Equal(BidVerdict.Granted, Bid("s2", life: 1, epoch: 4, at: 0));
        Assert.True(Renew("s2", life: 1, epoch: 4, at: 1000));
        Reconfigure();
        _host.Behind.Add(NodeId.Parse("s2"));
        Assert.False(Renew("s2", life: 1, epoch: 4, at: 1500));
        Assert.Equal(BidVerdict.Granted, Bid("s3", life: 1, epoch: 5, at: 3001));
    }

    [Fact]
    public void Epoch_that_a_disk_was_given_is_not_given_again_to_the_first_life_of_the_disk_that_replaces_it_E1()
    {
        // Seed 548 with changes: both say s2#1, so that the new one's bid looked like the old one's, come again.
        Assert.Equal(BidVerdict.Granted, Bid("s2", life: 1, epoch: 4, at: 0));
        Reconfigure(new KeyValuePair<ServiceName, Epoch>(Job, new Epoch(4)));
        Assert.Equal(BidVerdict.Promised, Bid("s2", life: 1, epoch: 4, at: 5000));
        Assert.Equal(BidVerdict.Granted, Bid("s2", life: 1, epoch: 5, at: 5000));
    }

    [Fact]
    public void Lease_of_a_disk_that_was_replaced_is_none_of_the_new_disk_of_that_name_E2()
    {
        Assert.Equal(BidVerdict.Granted, Bid("s2", life: 1, epoch: 4, at: 0));
        Replace("s2", new KeyValuePair<ServiceName, Epoch>(Job, new Epoch(4)));
        Assert.Equal(BidVerdict.Leased, Bid("s2", life: 1, epoch: 5, at: 1000));
        Assert.Equal(BidVerdict.Leased, Bid("s3", life: 1, epoch: 5, at: 1000));

        // It could not say so in an orderly stop: the next start is quiet instead.
        Assert.Equal(0UL, _voter.Stop(At(1000)));
        Assert.Equal(BidVerdict.Granted, Bid("s2", life: 1, epoch: 5, at: 3001));
        Assert.NotEqual(0UL, _voter.Stop(At(3001)));
    }

    [Fact]
    public void Epochs_in_the_table_that_a_server_starts_with_are_not_given_again_E1()
    {
        // A cluster that was restored has the old one's table, and voters that promised nothing.
        var selection = new SelectionMechanism(
            _configuration, Identity("s1", 1), new PrimacyOptions(), new RandomSource(1), _host);
        var definition = new ServiceDefinition { Name = Job, Providers = _configuration.Voters };
        var entry = new ServiceEntry { Definition = definition, Eligible = [], Epoch = new Epoch(5) };
        selection.Know(new ServiceTable(new Epoch(9), 3, [entry]));
        Assert.Equal(new Epoch(9), selection.Voter.FenceOf(ServiceName.ReplicaManager));
        Assert.Equal(new Epoch(5), selection.Voter.FenceOf(Job));
    }

    private void Replace(string node, params KeyValuePair<ServiceName, Epoch>[] epochs)
    {
        ServerRecord record = _configuration.Find(NodeId.Parse(node))!;
        var change = new ClusterChange(ClusterChangeKind.Replace, record with { Disk = new DiskId(97) });
        _configuration = change.Apply(_configuration, out _)!;
        _voter.Reconfigure(_configuration, epochs, isNew: false, At(0));
    }

    private void Reconfigure(params KeyValuePair<ServiceName, Epoch>[] epochs)
    {
        _configuration = new ClusterChange(ClusterChangeKind.Renew, null).Apply(_configuration, out _)!;
        _voter.Reconfigure(_configuration, epochs, isNew: false, At(0));
    }

    private bool Renew(string node, ulong life, ulong epoch, int at) =>
        _voter.Renew(Identity(node, life), Job, new Epoch(epoch), At(at));

    private static Moment At(int milliseconds) =>
        new(new Instant(TimeSpan.TicksPerHour) + TimeSpan.FromMilliseconds(milliseconds), new WallTime(milliseconds));

    private ServerIdentity Identity(string node, ulong life) =>
        new(NodeId.Parse(node), _configuration.Find(NodeId.Parse(node))!.Disk, new Incarnation(life));

    private BidVerdict Bid(string node, ulong life, ulong epoch, int at, ServiceName? service = null)
    {
        var bid = new BidMessage(service ?? Job, new Epoch(epoch), _configuration.Version, Duration, 1);
        return _voter.Consider(Identity(node, life), bid, At(at), out _).Verdict;
    }

    private void Withdraw(string node, ulong life, ulong epoch, int at) =>
        _voter.Withdraw(Identity(node, life), Job, new Epoch(epoch), At(at));

    private sealed class VoterHost : IPrimacyHost
    {
        public bool MayVote => true;

        public bool HasQuorum => true;

        /// <summary>Who has an earlier version in force.</summary>
        public HashSet<NodeId> Behind { get; } = [];

        public bool SharesConfiguration(NodeId node) => !Behind.Contains(node);

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
