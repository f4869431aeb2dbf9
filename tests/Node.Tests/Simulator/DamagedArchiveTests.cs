using Carillon.Node.Groups;
using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.VectorExchange;
using Carillon.Simulator.World;
using Carillon.Storage.Groups;
using Xunit;

namespace Carillon.Node.Tests.Simulator;

/// <summary>A server starts again, and a batch of a group's archive that it has to deliver again has rotted meanwhile.</summary>
public sealed class DamagedArchiveTests : IDisposable
{
    private static readonly TimeSpan Bound = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan Step = TimeSpan.FromMilliseconds(20);
    private static readonly GroupName Name = GroupName.Parse("routes");
    private static readonly SessionId Session = new(7, 1);

    private readonly SimulatedWorld _world;
    private readonly List<string> _troubles = [];
    private ulong _published;
    private int _refused;

    public DamagedArchiveTests()
    {
        // Little is in memory, so that others read the disk too; little is taken that has no number, so that who stands still is full soon.
        var groups = new GroupsOptions
        {
            SnapshotBytes = 1 << 20, OpenBytes = 1 << 20, Recent = new CommittedMessagesOptions { MaxRecentMessages = 64 },
        };
        var nodes = new NodeFactory(new NodeOptions { Groups = groups }, SimulatedCluster.Of(3));
        _world = new SimulatedWorld(new WorldOptions(), nodes, new RandomSource(7), trace: null)
        {
            Reported = (server, told) =>
            {
                if (told.Kind == NodeEventKind.NotVoting)
                {
                    _troubles.Add(told.Detail);
                }
            },
        };
    }

    public void Dispose() => _world.Dispose();

    [Fact]
    public void Server_whose_archive_rotted_delivers_all_after_its_start_and_has_its_copy_mended()
    {
        SimulatedServer late = StartWithDamage(_world.Servers[2]);
        Publish(100);
        Until(() => Committed(late) == _published && Readable(late) == _published);
        Assert.Contains(_troubles, trouble => trouble.Contains("can't be read on this disk", StringComparison.Ordinal));
        Until(() => late.Node!.GroupsTrouble.Length == 0);
        Until(() => late.Disk.Files(GroupSet.ArchiveFolder).Any(file => file.Key.EndsWith(".patch", StringComparison.Ordinal)));
        AssertReadsAll(late);

        // It is mended for good: its next start finds nothing that others have to give it.
        _troubles.Clear();
        late.Stop(powerCut: null);
        Assert.True(late.Start());
        Publish(10);
        Until(() => Committed(late) == _published && Readable(late) == _published);
        Assert.Empty(_troubles);
        AssertReadsAll(late);
    }

    [Fact]
    public void Server_that_nobody_gives_what_rotted_holds_up_no_other_and_says_so()
    {
        SimulatedServer late = StartWithDamage(_world.Servers[2], _world.Servers[0], _world.Servers[1]);
        Until(() => late.Node!.GroupsTrouble.Contains("can't be read on this disk", StringComparison.Ordinal));
        GroupFeed feed = late.Node!.Groups[Name];
        Assert.True(feed.IsStuck);
        Assert.Contains("can't be read on this disk", feed.Trouble.Why, StringComparison.Ordinal);

        // More than it takes without a number: at the others each is committed as before, and nobody is told to wait.
        _refused = 0;
        Publish(200);
        Assert.Equal(0, _refused);
        Until(() => Committed(_world.Servers[0]) == _published);
        Assert.True(feed.IsStuck);
    }

    [Fact]
    public void Servers_that_all_start_again_with_rot_at_different_places_give_it_to_each_other()
    {
        FillArchives();
        _world.Servers.ForEach(server => server.Stop(powerCut: null));
        for (int place = 0; place < 3; place++)
        {
            Rot(_world.Servers[place], 3 + (40 * place));
        }

        _world.Servers.ForEach(server => Assert.True(server.Start()));
        Until(() => _world.Servers.TrueForAll(server => server.Node!.Groups.ContainsKey(Name)));
        Publish(100);
        Until(() => _world.Servers.TrueForAll(server => Committed(server) == _published && Readable(server) == _published));
        Until(() => _world.Servers.TrueForAll(server => server.Node!.GroupsTrouble.Length == 0));
        Assert.Equal(3, _troubles.Count(trouble => trouble.Contains("can't be read on this disk", StringComparison.Ordinal)));

        // The last of it may be on its way to the disk.
        _world.RunFor(TimeSpan.FromSeconds(5));
        _world.Servers.ForEach(AssertReadsAll);
    }

    // Stops a server, and starts it when a batch that is not the last has rotted; the same one on other servers, which go on.
    private SimulatedServer StartWithDamage(SimulatedServer late, params SimulatedServer[] others)
    {
        FillArchives();
        late.Stop(powerCut: null);
        foreach (SimulatedServer server in (SimulatedServer[])[late, .. others])
        {
            Rot(server, 3);
        }

        Assert.True(late.Start());
        return late;
    }

    private static void Rot(SimulatedServer server, int page) =>
        server.Disk.Files(GroupSet.ArchiveFolder).First(file => file.Key.EndsWith(".messages", StringComparison.Ordinal))
            .Value.Rot(page, bit: 77);

    private void FillArchives()
    {
        _world.Servers.ForEach(server => Assert.True(server.Start()));
        byte[] record = new GroupRecord(7, new GroupSettings { RetainBytes = 4 << 20 }).Write();
        var manifest = new ObjectManifest { Size = record.Length, Sha256 = Digest.Of(record), Inline = record, VersionsKept = 1 };
        Operation operation = new(OperationKind.Put, GroupRecord.TargetOf(Name), manifest);
        Until(() =>
        {
            SubmitOutcome? outcome = null;
            _world.Servers[0].Input((node, now) => node.Submit([operation], "g", default, now, given => outcome = given));
            Until(() => outcome is not null);
            return outcome is SubmitOutcome.Accepted;
        });
        Until(() => _world.Servers.TrueForAll(server => server.Node!.Groups.ContainsKey(Name)));
        Publish(200);

        // What is quiet is archived, and the log is cut.
        _world.RunFor(TimeSpan.FromSeconds(15));
        Publish(10);
    }

    private void Publish(int count)
    {
        for (int i = 0; i < count; i++)
        {
            ulong counter = ++_published;
            bool isCommitted = false;
            bool isOut = true;
            Until(() =>
            {
                if (isOut && !isCommitted)
                {
                    isOut = false;
                    _world.Servers[0].Input((node, now) => node.Publish(
                        Name, new MessageId(Session, counter), counter - 1, PayloadOf(counter), now,
                        (end, _, _) =>
                        {
                            (isOut, isCommitted) = (true, isCommitted || end == PublishEnd.Committed);
                            _refused += end == PublishEnd.Refused ? 1 : 0;
                        }));
                }

                return isCommitted;
            });
        }
    }

    private static byte[] PayloadOf(ulong counter)
    {
        byte[] payload = new byte[8000];
        payload.AsSpan().Fill((byte)counter);
        return payload;
    }

    private static ulong Committed(SimulatedServer server) => server.Node!.Groups[Name].State.Committed.Value;

    // How far a subscriber comes that begins at the end of what a start finds.
    private static ulong Readable(SimulatedServer server)
    {
        GroupReader reader = server.Node!.Groups[Name].NewReader();
        var run = new CommittedMessage[64];
        ulong committed = Committed(server);
        return reader.Read(new SequenceNumber(committed), run, out _) == GroupRead.Ok ? committed : 0;
    }

    private void AssertReadsAll(SimulatedServer server)
    {
        GroupReader reader = server.Node!.Groups[Name].NewReader();
        var run = new CommittedMessage[64];
        ulong counter = 0;
        for (ulong next = 1; next <= Committed(server);)
        {
            Assert.Equal(GroupRead.Ok, reader.Read(new SequenceNumber(next), run, out int count));
            next += (ulong)count;
            foreach (CommittedMessage message in run.Take(count).Where(message => message.Kind == CommittedKind.Message))
            {
                Assert.Equal(++counter, message.Id.Counter);
                Assert.True(message.Payload.Span.SequenceEqual(PayloadOf(counter)));
            }
        }

        Assert.Equal(_published, counter);
    }

    private void Until(Func<bool> isTrue) => Assert.True(_world.RunUntil(isTrue, Bound, Step));
}
