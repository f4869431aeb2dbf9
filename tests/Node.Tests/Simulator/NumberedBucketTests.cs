using System.Text;
using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Primacy;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.VectorExchange;
using Carillon.Node.Requests;
using Carillon.Simulator.World;
using Carillon.Storage.Catalogs;
using Xunit;

namespace Carillon.Node.Tests.Simulator;

/// <summary>A bucket whose writes are answered only with their numbers is read by asking the feed's sequencer (SAM-86).</summary>
public sealed class NumberedBucketTests : IDisposable
{
    private const string Bucket = "files";

    private static readonly TimeSpan Bound = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan Step = TimeSpan.FromMilliseconds(5);
    private static readonly ServiceName Sequencer = ServiceName.OfSequencer(GroupName.Catalog.Name);

    private readonly SimulatedWorld _world;
    private int _keys;

    public NumberedBucketTests()
    {
        var nodes = new NodeFactory(new NodeOptions(), SimulatedCluster.Of(3));
        _world = new SimulatedWorld(new WorldOptions { Servers = 3 }, nodes, new RandomSource(7), trace: null);
        foreach (SimulatedServer server in _world.Servers)
        {
            Assert.True(server.Start());
        }
    }

    public void Dispose() => _world.Dispose();

    [Fact]
    public void Read_of_a_bucket_that_answers_only_with_numbers_asks_the_sequencer_once_a_quorum_calls_it_settled_SAM_86()
    {
        SetBucket(allowsAgreed: false);
        for (int i = 0; i < 5; i++)
        {
            Uid put = Put($"{i}", AckWanted.Agreed).Tag.Uid;
            foreach (SimulatedServer server in _world.Servers)
            {
                Assert.Equal(put, Assert.IsType<ReadOutcome.Found>(Read(server)).Uid);
            }
        }

        // The first reads ask a quorum, which settles the bucket as soon as its record is durable.
        Assert.All(_world.Servers, s => Assert.InRange(s.Node!.Reads.ByNumber, 2, 4));
        Assert.All(_world.Servers, s => Assert.Equal(0, s.Node!.Reads.LeftToQuorum));
    }

    [Fact]
    public void Write_into_a_bucket_that_answers_only_with_numbers_has_one_however_it_is_asked_for_SAM_86()
    {
        SetBucket(allowsAgreed: false);
        Assert.False(Put("1", AckWanted.Agreed).Sequenced.Number.IsNone);
        SetBucket(allowsAgreed: true);
        Assert.True(Put("2", AckWanted.Agreed).Sequenced.Number.IsNone);
    }

    [Fact]
    public void Write_into_a_bucket_that_a_power_cut_took_out_of_the_catalog_waits_for_its_number_SAM_86()
    {
        // Seed 472: the bucket was known to be there, and its settings were not applied yet.
        SetBucket(allowsAgreed: false);
        foreach (SimulatedServer server in _world.Servers)
        {
            server.Stop(CrashStyle.LoseAll);
        }

        foreach (SimulatedServer server in _world.Servers)
        {
            Assert.True(server.Start());
        }

        Assert.False(Put("1", AckWanted.Agreed).Sequenced.Number.IsNone);
    }

    [Fact]
    public void Bucket_that_is_turned_is_settled_anew_before_it_is_read_by_number_SAM_86()
    {
        SetBucket(allowsAgreed: false);
        ReadUntilByNumber();
        long before = _world.Servers[0].Node!.Reads.ByNumber;
        SetBucket(allowsAgreed: true);
        Uid put = Put("unnumbered", AckWanted.Agreed).Tag.Uid;
        Assert.Equal(put, Assert.IsType<ReadOutcome.Found>(Read(_world.Servers[0])).Uid);
        Assert.Equal(before, _world.Servers[0].Node!.Reads.ByNumber);
        SetBucket(allowsAgreed: false);
        Assert.Equal(put, Assert.IsType<ReadOutcome.Found>(Read(_world.Servers[0])).Uid);
        Assert.Equal(before, _world.Servers[0].Node!.Reads.ByNumber);
        ReadUntilByNumber();
    }

    [Fact]
    public void Read_goes_to_a_quorum_where_the_sequencer_does_not_answer_and_to_its_successor_later_SAM_86()
    {
        SetBucket(allowsAgreed: false);
        Uid put = Put("1", AckWanted.Sequenced).Tag.Uid;
        ReadUntilByNumber();
        NodeId sequencer = _world.Servers[0].Node!.PrimaryOf(Sequencer).Primary;
        SimulatedServer dead = _world.Servers.Single(s => s.Name == sequencer);
        SimulatedServer[] left = [.. _world.Servers.Where(s => s != dead)];
        dead.Stop(CrashStyle.LoseAll);
        Assert.All(left, s => Assert.Equal(put, Assert.IsType<ReadOutcome.Found>(Read(s)).Uid));
        Assert.All(left, s => Assert.Equal(1, s.Node!.Reads.LeftToQuorum));
        Assert.True(_world.RunUntil(
            () => left.All(s => s.Node!.PrimaryOf(Sequencer).Primary is { IsNone: false } next && next != sequencer), Bound, Step));
        long before = left[0].Node!.Reads.ByNumber;
        Assert.True(_world.RunUntil(() => Read(left[0]) is ReadOutcome.Found && left[0].Node!.Reads.ByNumber > before, Bound, Step));
    }

    private void ReadUntilByNumber()
    {
        foreach (SimulatedServer server in _world.Servers)
        {
            long before = server.Node!.Reads.ByNumber;
            Assert.True(_world.RunUntil(() => Read(server) is not null && server.Node!.Reads.ByNumber > before, Bound, Step));
        }
    }

    private void SetBucket(bool allowsAgreed)
    {
        string key = $"bucket {++_keys}";
        SubmitOutcome? outcome = null;
        _world.RunUntil(() =>
        {
            if (outcome is null or SubmitOutcome.Rejected)
            {
                outcome = null;
                _world.Servers[0].Input((node, now) => node.CreateBucket(
                    Bucket, new BucketSettings { AckAgreed = allowsAgreed }, key, now, given => outcome = given, replace: true));
                _world.RunUntil(() => outcome is not null, Bound, Step);
            }

            return outcome is SubmitOutcome.Accepted;
        }, Bound, Step);
        Assert.IsType<SubmitOutcome.Accepted>(outcome);
    }

    private SubmitOutcome.Accepted Put(string content, AckWanted ack)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(content);
        var manifest = new ObjectManifest { Size = bytes.Length, Sha256 = Digest.Of(bytes), Inline = bytes };
        SubmitOutcome? outcome = null;
        _world.Servers[0].Input((node, now) => node.Submit(
            [new Operation(OperationKind.Put, new ObjectName(Bucket, "name"), manifest)], $"put {++_keys}", default, now,
            given => outcome = given, ack));
        Assert.True(_world.RunUntil(() => outcome is not null, Bound, Step));
        return Assert.IsType<SubmitOutcome.Accepted>(outcome);
    }

    private ReadOutcome? Read(SimulatedServer server)
    {
        ReadOutcome? outcome = null;
        server.Input((node, now) => node.Read(new ObjectName(Bucket, "name"), now, given => outcome = given));
        Assert.True(_world.RunUntil(() => outcome is not null, Bound, Step));
        return outcome;
    }
}
