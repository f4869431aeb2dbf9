using System.Text;
using Carillon.Node.Groups;
using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.VectorExchange;
using Carillon.Simulator.Checkers;
using Carillon.Simulator.World;
using Carillon.Storage.Groups;

namespace Carillon.Simulator.Workloads;

/// <summary>
/// A group of a run: senders with sessions, each of which tries one server after the other under the message's id until it knows the
/// number, and subscribers that go from server to server and on from where they are.
/// </summary>
internal sealed class GroupWorkload(SimulatedWorld world, RandomSource random, Connection connection, GroupSettings settings, int messages)
{
    /// <summary>The group.</summary>
    public static readonly GroupName Name = GroupName.Parse("feed");

    private const int Senders = 3;
    private const int Subscribers = 2;
    private const int AtOnce = 4;

    private static readonly TimeSpan ThinkMost = TimeSpan.FromMilliseconds(400);
    private static readonly TimeSpan ReadMost = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan RequestTimeout = TimeSpan.FromSeconds(4);

    private readonly SortedSet<ulong> _skippedBegins = [];
    private readonly Dictionary<ulong, ulong> _skips = [];
    private int _left = messages;
    private int _open;
    private bool _isAsking;
    private bool _isThere;
    private bool _stopped;

    /// <summary>What was seen.</summary>
    public GroupChecker Checker { get; } = new() { IsFifo = settings.Fifo };

    /// <summary>True once all servers have the group.</summary>
    public bool IsReady => _isThere && world.Servers.TrueForAll(server => server.Node?.Groups.ContainsKey(Name) ?? false);

    /// <summary>True if no message's end is waited for.</summary>
    public bool IsQuiet => _open == 0;

    /// <summary>Asks for the group; called again and again until <see cref="IsReady"/>.</summary>
    public void SetUp()
    {
        if (_isAsking || _isThere)
        {
            return;
        }

        _isAsking = true;
        byte[] content = new GroupRecord(GroupRecord.IdOf(Name, "group-key"), settings).Write();
        var manifest = new ObjectManifest { Size = content.Length, Sha256 = Digest.Of(content), Inline = content };
        world.Servers[0].Input((node, now) => node.Submit(
            [new Operation(OperationKind.Put, GroupRecord.TargetOf(Name), manifest)], "group-key", default, now, outcome =>
            {
                _isAsking = false;
                _isThere = outcome is SubmitOutcome.Accepted;
            }));
    }

    /// <summary>Senders and subscribers begin.</summary>
    public void Start()
    {
        for (int i = 0; i < Senders; i++)
        {
            Think(new Sender(new SessionId(1, (ulong)i + 1)));
        }

        for (int i = 0; i < Subscribers; i++)
        {
            Read(new Place());
        }
    }

    /// <summary>Nothing new is sent.</summary>
    public void Stop() => _stopped = true;

    /// <summary>Everything that a server has is read; null, or what is wrong with it.</summary>
    public string? FaultOf(SimulatedServer server)
    {
        if (server.Node is not { } node || !node.Groups.TryGetValue(Name, out GroupFeed? feed))
        {
            return $"{server.Name} does not have the group";
        }

        var place = new Place();
        while (ReadOnce(server, place))
        {
            // Until nothing more is there.
        }

        Checker.Check(place.Next - 1, WasSkipped);
        ulong wanted = Math.Max(Checker.Last, Checker.LastSeen);
        return place.Next > wanted
            ? null
            : $"{server.Name} has messages up to {place.Next - 1}, and {wanted} is committed; there {node.DescribeGroup(Name)}";
    }

    private void Think(Sender sender) => world.Queue.After(random.Below(ThinkMost), () =>
    {
        if (_stopped || _left == 0)
        {
            return;
        }

        if (sender.Open.Count < AtOnce)
        {
            _left--;
            _open++;
            var id = new MessageId(sender.Session, ++sender.Counter);
            string content = $"{id}/{random.Below(1000)}";
            sender.Open.Add(id.Counter);
            Checker.Sent(id, content);
            Send(sender, id, content, Checker.Last, random.Below(world.Servers.Count));
        }

        Think(sender);
    });

    private void Send(Sender sender, MessageId id, string content, ulong lastBefore, int place)
    {
        SimulatedServer server = world.Servers[place % world.Servers.Count];
        ulong settled = sender.Open.Min - 1;
        connection.Ask<Told>(
            server,
            RequestTimeout,
            (node, now, answer) => node.Publish(
                Name, id, settled, Encoding.ASCII.GetBytes(content), now, (end, number, _) => answer(new Told(end, number))),
            (_, told) =>
            {
                if (told is { End: PublishEnd.Committed })
                {
                    Checker.Told(server.Name, id, told.Number.Value, lastBefore);
                    sender.Open.Remove(id.Counter);
                    _open--;
                    return;
                }

                if (told is { End: PublishEnd.Overtaken })
                {
                    Checker.Overtaken(server.Name, id);
                    sender.Open.Remove(id.Counter);
                    _open--;
                    return;
                }

                if (told is { End: PublishEnd.Expired })
                {
                    throw Violation.Of("F4", $"{id} is called expired, and no session is idle for so long");
                }

                world.Queue.After(random.Below(ThinkMost), () => Send(sender, id, content, lastBefore, place + 1));
            });
    }

    private void Read(Place place) => world.Queue.After(random.Below(ReadMost), () =>
    {
        SimulatedServer server = world.Servers[random.Below(world.Servers.Count)];
        for (int i = 0; i < 4 && server.State == ServerState.Running && ReadOnce(server, place); i++)
        {
            // A few runs at once.
        }

        if (!_stopped)
        {
            Read(place);
        }
    });

    // One run of a server's messages, from where the subscriber is; false if there is none.
    private bool ReadOnce(SimulatedServer server, Place place)
    {
        if (server.Node is not { } node || !node.Groups.TryGetValue(Name, out GroupFeed? feed))
        {
            return false;
        }

        CommittedMessage[] run = new CommittedMessage[64];
        switch (feed.NewReader().Read(new SequenceNumber(place.Next), run, out int count))
        {
            case GroupRead.Ok:
                for (int i = 0; i < count; i++)
                {
                    bool isThere = run[i].Kind == CommittedKind.Message;
                    Checker.Seen(
                        server.Name, place.Next + (ulong)i, isThere ? run[i].Id : default,
                        isThere ? Encoding.ASCII.GetString(run[i].Payload.Span) : "");
                }

                place.Next += (ulong)count;
                return count > 0;
            case GroupRead.Trimmed when feed.State.First.Value > place.Next:
                _skips[place.Next] = Math.Max(_skips.GetValueOrDefault(place.Next), feed.State.First.Value);
                _skippedBegins.Add(place.Next);
                place.Next = feed.State.First.Value;
                return true;
            default:
                return false;
        }
    }

    private bool WasSkipped(ulong number)
    {
        foreach (ulong begin in _skippedBegins)
        {
            if (number >= begin && number < _skips[begin])
            {
                return true;
            }
        }

        return false;
    }

    private sealed class Place
    {
        public ulong Next { get; set; } = 1;
    }

    private sealed class Sender(SessionId session)
    {
        public SessionId Session => session;

        public ulong Counter { get; set; }

        public SortedSet<ulong> Open { get; } = [];
    }

    private sealed record Told(PublishEnd End, SequenceNumber Number);
}
