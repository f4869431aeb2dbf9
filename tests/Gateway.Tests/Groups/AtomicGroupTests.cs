using System.Text;
using Carillon.Client;
using Carillon.Client.Groups;
using Carillon.Gateway.Tests.Serving;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Runtime.Groups;
using Xunit;
using ClientServer = global::Gateway.Tests.Client.FakeServer;
using DeliveredMessage = Carillon.Client.Groups.DeliveredMessage;


namespace Carillon.Gateway.Tests.Groups;

/// <summary>The client library's part in a group, against gateways that die under it and servers that answer badly.</summary>
public sealed class AtomicGroupTests
{
    private static readonly GroupName Group = GroupName.Parse("g");

    private readonly FakeGroups _groups = new("g");

    [Fact]
    public async Task Messages_get_numbers_and_are_delivered_in_their_order()
    {
        await using GatewayHouse house = await GatewayHouse.StartAsync(groups: new FakeGroupGate(_groups));
        using CarillonClient client = ClientOf(house);
        await using AtomicGroup group = client.Groups.Open(Group);
        SentMessage[] sent = await Task.WhenAll(Enumerable.Range(0, 500).Select(i => group.SendAsync(Bytes($"m{i}"))));
        Assert.Equal(Enumerable.Range(1, 500).Select(i => (ulong)i), sent.Select(s => s.Number.Value).Order());
        await foreach (DeliveredMessage message in group.DeliverAsync(FeedStart.Begin, Bound()))
        {
            int index = Array.FindIndex(sent, s => s.Number == message.Number);
            Assert.Equal(sent[index].Id, message.Id);
            Assert.Equal($"m{index}", Text(message));
            if (message.Number.Value == 500)
            {
                break;
            }
        }
    }

    [Fact]
    public async Task Largest_message_goes_both_ways_and_a_larger_one_nowhere()
    {
        await using GatewayHouse house = await GatewayHouse.StartAsync(groups: new FakeGroupGate(_groups));
        using CarillonClient client = ClientOf(house);
        await using AtomicGroup group = client.Groups.Open(Group);
        byte[] payload = new byte[GroupSettings.MaxPayloadBytes];
        new Random(3).NextBytes(payload);
        await group.SendAsync(payload);
        await foreach (DeliveredMessage message in group.DeliverAsync(FeedStart.Begin, Bound()))
        {
            Assert.True(message.Payload.Span.SequenceEqual(payload));
            break;
        }

        CarillonException fault = await Assert.ThrowsAsync<CarillonException>(() => group.SendAsync(new byte[payload.Length + 1]));
        Assert.Equal(Failure.Usage, fault.Failure);
    }

    [Fact]
    public async Task Servers_that_die_in_the_middle_leave_no_gap_and_no_double()
    {
        await using var trio = await HouseRow.StartAsync(_groups, 3);
        using CarillonClient client = trio.Client(20);
        await using AtomicGroup group = client.Groups.Open(Group, new AtomicGroupOptions { Window = 64 });
        using CancellationTokenSource listening = new(TimeSpan.FromSeconds(60));
        Task<List<DeliveredMessage>> delivered = DeliverAsync(group, 3000, listening.Token);

        var sent = new List<Task<SentMessage>>();
        for (int i = 0; i < 3000; i++)
        {
            sent.Add(group.SendAsync(Bytes($"m{i}")));
            if (i % 500 == 250)
            {
                await trio.KillAndReplaceAsync(i / 500 % 3);
            }
        }

        SentMessage[] numbers = await Task.WhenAll(sent);
        Assert.Equal(3000, numbers.Select(n => n.Number).Distinct().Count());
        List<DeliveredMessage> all = await delivered;
        Assert.Equal(Enumerable.Range(1, 3000).Select(i => (ulong)i), all.Select(m => m.Number.Value));
        Dictionary<SequenceNumber, string> texts = all.ToDictionary(m => m.Number, Text);
        Assert.All(numbers.Index(), n => Assert.Equal($"m{n.Index}", texts[n.Item.Number]));
        Assert.Equal(3000, _groups["g"].Messages().Length);
    }

    [Fact]
    public async Task Message_that_was_committed_though_its_answer_was_lost_is_not_there_twice()
    {
        var first = new FakeGroupGate(_groups);
        GatewayHouse dying = await GatewayHouse.StartAsync(groups: first);
        await using GatewayHouse other = await GatewayHouse.StartAsync(groups: new FakeGroupGate(_groups));
        var over = new TaskCompletionSource();
        first.OnPublish = async (id, commit) =>
        {
            commit();
            _ = dying.Gateway.StopAsync(new CancellationToken(true));
            await over.Task;
            return null;
        };
        using CarillonClient client = ClientOf(dying, other);
        await using AtomicGroup group = client.Groups.Open(Group);
        SentMessage sent = await group.SendAsync(Bytes("once"));
        Assert.Equal(1u, sent.Number.Value);
        Assert.Single(_groups["g"].Messages());
        over.SetResult();
        await dying.DisposeAsync();
    }

    [Fact]
    public async Task Refused_message_goes_again_and_settled_stays_below_what_is_open()
    {
        var gate = new FakeGroupGate(_groups);
        int refusals = 3;
        gate.OnPublish = (id, _) => Task.FromResult<PublishOutcome?>(
            id.Counter == 2 && Interlocked.Decrement(ref refusals) >= 0
                ? new PublishOutcome.Refused("full", TimeSpan.FromMilliseconds(5)) : null);
        await using GatewayHouse house = await GatewayHouse.StartAsync(groups: gate);
        using CarillonClient client = ClientOf(house);
        await using AtomicGroup group = client.Groups.Open(Group);
        SentMessage[] sent = await Task.WhenAll(Enumerable.Range(0, 5).Select(i => group.SendAsync(Bytes($"m{i}"))));
        Assert.Equal(5, sent.Select(s => s.Number).Distinct().Count());
        Assert.All(gate.Published, p => Assert.True(p.Settled < 2, $"{p}"));
        await group.SendAsync(Bytes("last"));
        Assert.Equal(5u, gate.Published.Last().Settled);
    }

    [Fact]
    public async Task Unknown_outcome_is_asked_of_the_next_server()
    {
        FakeGroupGate stuck = Stuck();
        await using GatewayHouse minority = await GatewayHouse.StartAsync(groups: stuck);
        await using GatewayHouse majority = await GatewayHouse.StartAsync(groups: new FakeGroupGate(_groups));
        using CarillonClient client = ClientOf(minority, majority);
        await using AtomicGroup group = client.Groups.Open(Group);
        Assert.Equal(1u, (await group.SendAsync(Bytes("x"))).Number.Value);
    }

    [Fact]
    public async Task Outcome_that_stays_unknown_is_told_with_the_id_under_which_it_can_be_sent_again()
    {
        FakeGroupGate stuck = Stuck();
        await using GatewayHouse house = await GatewayHouse.StartAsync(groups: stuck);
        using CarillonClient client = ClientOf(house);
        MessageId id;
        await using (AtomicGroup group = client.Groups.Open(Group, new AtomicGroupOptions { SendTimeout = TimeSpan.FromSeconds(2) }))
        {
            CarillonException fault = await Assert.ThrowsAsync<CarillonException>(() => group.SendAsync(Bytes("x")));
            Assert.Equal(Failure.OutcomeUnknown, fault.Failure);
            Assert.True(MessageId.TryParse(fault.Problem!.MessageId, out id));
        }

        stuck.OnPublish = null;
        var again = new AtomicGroupOptions { Session = id.Session, FirstCounter = id.Counter };
        await using AtomicGroup later = client.Groups.Open(Group, again);
        Assert.Equal(id, (await later.SendAsync(Bytes("x"))).Id);
    }

    [Fact]
    public async Task Message_that_was_only_refused_is_told_as_refused()
    {
        var full = new FakeGroupGate(_groups)
        {
            OnPublish = (_, _) => Task.FromResult<PublishOutcome?>(new PublishOutcome.Refused("full", TimeSpan.FromMinutes(5))),
        };
        await using GatewayHouse house = await GatewayHouse.StartAsync(groups: full);
        using CarillonClient client = ClientOf(house);
        await using AtomicGroup group = client.Groups.Open(Group);
        CarillonException fault = await Assert.ThrowsAsync<CarillonException>(() => group.SendAsync(Bytes("x")));
        Assert.Equal(Failure.NoQuorum, fault.Failure);
        Assert.Single(full.Published);
    }

    [Fact]
    public async Task Message_that_was_refused_to_the_end_is_told_as_refused_although_the_next_server_does_not_answer()
    {
        var full = new FakeGroupGate(_groups)
        {
            OnPublish = (_, _) => Task.FromResult<PublishOutcome?>(new PublishOutcome.Refused("full", TimeSpan.FromMilliseconds(50))),
        };
        await using GatewayHouse house = await GatewayHouse.StartAsync(groups: full);
        using var client = new CarillonClient(new CarillonClientOptions
        {
            Servers = [house.Gateway.Address, new Uri("http://127.0.0.1:1")], LearnServers = false, Timeout = TimeSpan.FromSeconds(3),
        });
        await using AtomicGroup group = client.Groups.Open(Group);
        CarillonException fault = await Assert.ThrowsAsync<CarillonException>(() => group.SendAsync(Bytes("x")));
        Assert.Equal((Failure.NoQuorum, "group-busy"), (fault.Failure, fault.Problem!.Code));
        Assert.True(full.Published.Count > 1);
    }

    [Fact]
    public async Task Message_id_of_another_message_is_told_as_a_conflict()
    {
        var gate = new FakeGroupGate(_groups)
        {
            OnPublish = (_, _) => Task.FromResult<PublishOutcome?>(
                new PublishOutcome.Conflict(new SequenceNumber(3), "another one is at 3")),
        };
        await using GatewayHouse house = await GatewayHouse.StartAsync(groups: gate);
        using CarillonClient client = ClientOf(house);
        await using AtomicGroup group = client.Groups.Open(Group);
        CarillonException fault = await Assert.ThrowsAsync<CarillonException>(() => group.SendAsync(Bytes("x")));
        Assert.Equal((Failure.Conflict, "message-mismatch"), (fault.Failure, fault.Problem!.Code));
    }

    [Fact]
    public async Task Message_that_is_sent_again_elsewhere_keeps_the_timestamp_of_its_first_sending()
    {
        for (int i = 0; i < 5; i++)
        {
            _groups["g"].Add("x");
        }

        var stuck = new FakeGroupGate(_groups) { OnPublish = (_, _) => Task.FromResult<PublishOutcome?>(new PublishOutcome.Unknown("no")) };
        var good = new FakeGroupGate(_groups);
        await using GatewayHouse first = await GatewayHouse.StartAsync(groups: stuck);
        await using GatewayHouse second = await GatewayHouse.StartAsync(groups: good);
        stuck.OnPublish = (_, _) =>
        {
            for (int i = 0; i < 1000; i++)
            {
                _groups["g"].Add("other");
            }

            return Task.FromResult<PublishOutcome?>(new PublishOutcome.Unknown("no"));
        };
        using CarillonClient client = ClientOf(first, second);
        await using AtomicGroup group = client.Groups.Open(Group);
        await group.SendAsync(Bytes("x"));
        Assert.Equal((ulong?[])[5], stuck.Timestamps);
        Assert.Equal((ulong?[])[5], good.Timestamps);
        await group.SendAsync(Bytes("y"));
        Assert.Equal((ulong?[])[5, 1006], good.Timestamps);
    }

    [Fact]
    public async Task Subscription_ends_where_its_group_was_removed_and_made_anew()
    {
        await using GatewayHouse first = await GatewayHouse.StartAsync(groups: new FakeGroupGate(_groups));
        await using GatewayHouse second = await GatewayHouse.StartAsync(groups: new FakeGroupGate(_groups));
        using CarillonClient client = ClientOf(first, second);
        await using AtomicGroup group = client.Groups.Open(Group);
        _groups["g"].Add("one");
        using var bound = CancellationTokenSource.CreateLinkedTokenSource(Bound());
        await using IAsyncEnumerator<DeliveredMessage> delivery = group.DeliverAsync(FeedStart.Begin, bound.Token).GetAsyncEnumerator();
        Assert.True(await delivery.MoveNextAsync());
        _groups.Remove(Group);
        _groups.Create(Group, new GroupSettings());
        _groups["g"].Add("another one");
        _groups["g"].Add("and one more");
        await first.DisposeAsync();
        CarillonException fault = await Assert.ThrowsAsync<CarillonException>(async () => await delivery.MoveNextAsync());
        Assert.Equal("group-replaced", fault.Problem!.Code);
    }

    [Fact]
    public async Task Expired_session_is_unknown_and_the_next_message_begins_a_new_one()
    {
        var gate = new FakeGroupGate(_groups);
        gate.OnPublish = (_, _) => Task.FromResult<PublishOutcome?>(gate.Published.Count == 1 ? new PublishOutcome.Expired() : null);
        await using GatewayHouse house = await GatewayHouse.StartAsync(groups: gate);
        using CarillonClient client = ClientOf(house);
        await using AtomicGroup group = client.Groups.Open(Group);
        CarillonException fault = await Assert.ThrowsAsync<CarillonException>(() => group.SendAsync(Bytes("x")));
        Assert.Equal((Failure.OutcomeUnknown, "message-expired"), (fault.Failure, fault.Problem!.Code));
        Assert.NotEqual(fault.Problem.MessageId![..32], (await group.SendAsync(Bytes("y"))).Id.Session.ToString());
    }

    [Fact]
    public async Task Overtaken_message_of_an_ordered_group_is_a_definite_no_SAM_83()
    {
        var gate = new FakeGroupGate(_groups);
        gate.OnPublish = (_, _) => Task.FromResult<PublishOutcome?>(gate.Published.Count == 1 ? new PublishOutcome.Overtaken() : null);
        await using GatewayHouse house = await GatewayHouse.StartAsync(groups: gate);
        using CarillonClient client = ClientOf(house);
        await using AtomicGroup group = client.Groups.Open(Group);
        CarillonException fault = await Assert.ThrowsAsync<CarillonException>(() => group.SendAsync(Bytes("x")));
        Assert.Equal((Failure.Conflict, "message-overtaken"), (fault.Failure, fault.Problem!.Code));
        Assert.Equal(1u, (await group.SendAsync(Bytes("y"))).Number.Value);
    }

    [Fact]
    public async Task Group_that_is_not_there_is_told_to_senders_and_listeners()
    {
        await using GatewayHouse house = await GatewayHouse.StartAsync(groups: new FakeGroupGate(_groups));
        using CarillonClient client = ClientOf(house);
        await using AtomicGroup group = client.Groups.Open(GroupName.Parse("none"));
        Assert.Equal(Failure.NotFound, (await Assert.ThrowsAsync<CarillonException>(() => group.SendAsync(Bytes("x")))).Failure);
        CarillonException fault = await Assert.ThrowsAsync<CarillonException>(() => DeliverAsync(group, 1, Bound()));
        Assert.Equal("group-not-found", fault.Problem!.Code);
    }

    [Fact]
    public async Task Number_that_only_another_server_has_kept_is_read_there()
    {
        _groups["g"].Add("one");
        _groups["g"].Add("two");
        var trimmed = new FakeGroups("g");
        trimmed["g"].Add("one");
        trimmed["g"].Add("two");
        trimmed["g"].Trim(2);
        await using GatewayHouse less = await GatewayHouse.StartAsync(groups: new FakeGroupGate(trimmed));
        await using GatewayHouse more = await GatewayHouse.StartAsync(groups: new FakeGroupGate(_groups));
        using CarillonClient client = ClientOf(less, more);
        await using AtomicGroup group = client.Groups.Open(Group);
        Assert.Equal(["one", "two"], (await DeliverAsync(group, 2, Bound())).Select(Text));
        using CarillonClient only = ClientOf(less);
        await using AtomicGroup there = only.Groups.Open(Group);
        CarillonException fault = await Assert.ThrowsAsync<CarillonException>(
            async () => await there.DeliverAsync(FeedStart.At(new SequenceNumber(1)), Bound()).GetAsyncEnumerator().MoveNextAsync());
        Assert.Equal(("feed-too-old", 2UL), (fault.Problem!.Code, fault.Problem.First));
    }

    [Theory]
    [InlineData("text")]
    [InlineData("garbled")]
    [InlineData("empty")]
    public async Task Server_that_answers_nonsense_is_left_for_another_one(string nonsense)
    {
        await using ClientServer bad = await ClientServer.StartAsync(async context =>
        {
            context.Response.StatusCode = 200;
            byte[] body = nonsense switch
            {
                "text" => "<html>hello</html>"u8.ToArray(),
                "empty" => [],
                _ => [.. GroupStream.DeliveredPreamble, .. Enumerable.Repeat((byte)0xEE, 100)],
            };
            await context.Response.Body.WriteAsync(body);
        });
        await using GatewayHouse good = await GatewayHouse.StartAsync(groups: new FakeGroupGate(_groups));
        _groups["g"].Add("one");
        using CarillonClient client = ClientServer.ClientOf(bad.Address, good.Gateway.Address);
        await using AtomicGroup group = client.Groups.Open(Group);
        Assert.Equal(["one"], (await DeliverAsync(group, 1, Bound())).Select(Text));
        client.Transport.Preferred = 0;
        Assert.Equal(2u, (await group.SendAsync(Bytes("two"))).Number.Value);
    }

    [Fact]
    public async Task Server_that_falls_silent_is_left_for_another_one()
    {
        await using ClientServer silent = await ClientServer.StartAsync(async context =>
        {
            await context.Response.Body.FlushAsync();
            await ClientServer.StallAsync(context);
        });
        await using GatewayHouse good = await GatewayHouse.StartAsync(groups: new FakeGroupGate(_groups));
        _groups["g"].Add("one");
        using CarillonClient client = ClientServer.ClientOf(silent.Address, good.Gateway.Address);
        await using AtomicGroup group = client.Groups.Open(Group, new AtomicGroupOptions { Silence = TimeSpan.FromMilliseconds(200) });
        Assert.Equal(["one"], (await DeliverAsync(group, 1, Bound())).Select(Text));
    }

    [Fact]
    public async Task Closed_sender_leaves_nobody_waiting()
    {
        var gate = new FakeGroupGate(_groups);
        var never = new TaskCompletionSource<PublishOutcome?>();
        gate.OnPublish = (_, _) => never.Task;
        await using GatewayHouse house = await GatewayHouse.StartAsync(groups: gate);
        using CarillonClient client = ClientOf(house);
        AtomicGroup group = client.Groups.Open(Group);
        Task<SentMessage> sending = group.SendAsync(Bytes("x"));
        await Eventually.Async(() => !gate.Published.IsEmpty);
        await group.DisposeAsync();
        Assert.Equal(Failure.OutcomeUnknown, (await Assert.ThrowsAsync<CarillonException>(() => sending)).Failure);
        await Assert.ThrowsAsync<ObjectDisposedException>(() => group.SendAsync(Bytes("y")));
    }

    [Fact]
    public async Task Closed_sender_ends_those_too_who_wait_for_room_in_its_window()
    {
        var gate = new FakeGroupGate(_groups);
        var never = new TaskCompletionSource<PublishOutcome?>();
        gate.OnPublish = (_, _) => never.Task;
        await using GatewayHouse house = await GatewayHouse.StartAsync(groups: gate);
        using CarillonClient client = ClientOf(house);
        AtomicGroup group = client.Groups.Open(Group, new AtomicGroupOptions { Window = 1 });
        using var own = new CancellationTokenSource();
        Task<SentMessage> sending = group.SendAsync(Bytes("x"));
        Task<SentMessage>[] waiting = [group.SendAsync(Bytes("y")), group.SendAsync(Bytes("z"), own.Token)];
        await Eventually.Async(() => !gate.Published.IsEmpty);
        await group.DisposeAsync();
        await Assert.ThrowsAsync<CarillonException>(() => sending.WaitAsync(TimeSpan.FromSeconds(10)));
        foreach (Task<SentMessage> one in waiting)
        {
            await Assert.ThrowsAsync<ObjectDisposedException>(() => one.WaitAsync(TimeSpan.FromSeconds(10)));
        }
    }

    [Fact]
    public async Task Caller_who_waits_no_longer_for_room_in_the_window_is_told_of_its_own_cancellation()
    {
        var gate = new FakeGroupGate(_groups);
        var never = new TaskCompletionSource<PublishOutcome?>();
        gate.OnPublish = (_, _) => never.Task;
        await using GatewayHouse house = await GatewayHouse.StartAsync(groups: gate);
        using CarillonClient client = ClientOf(house);
        AtomicGroup group = client.Groups.Open(Group, new AtomicGroupOptions { Window = 1 });
        using var own = new CancellationTokenSource();
        Task<SentMessage> sending = group.SendAsync(Bytes("x"));
        Task<SentMessage> waiting = group.SendAsync(Bytes("y"), own.Token);
        await own.CancelAsync();
        var told = await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting.WaitAsync(TimeSpan.FromSeconds(10)));
        Assert.Equal(own.Token, told.CancellationToken);
        await group.DisposeAsync();
        await Assert.ThrowsAsync<CarillonException>(() => sending.WaitAsync(TimeSpan.FromSeconds(10)));
    }

    [Fact]
    public async Task Groups_are_made_listed_and_removed()
    {
        await using GatewayHouse house = await GatewayHouse.StartAsync(groups: new FakeGroupGate(_groups));
        using CarillonClient client = ClientOf(house);
        GroupName name = GroupName.Parse("made");
        (await client.Groups.CreateAsync(name, new NewGroup { Durability = "memory", Lifetime = 5000 })).AcceptedOrThrow();
        WriteResult<GroupChange> other = await client.Groups.CreateAsync(name);
        Assert.Equal((Verdict.Rejected, Failure.Conflict), (other.Verdict, other.Failure));
        GroupInfo info = (await client.Groups.ShowAsync(name)).Value;
        Assert.Equal(("memory", 5000UL, 604_800.0), (info.Durability, info.Lifetime, info.RetainTime));
        Assert.Equal(["g", "made"], (await client.Groups.ListAsync()).Value.Groups.Select(g => g.Name));
        Assert.True((await client.Groups.RemoveAsync(name)).AcceptedOrThrow().Existed);
        Assert.Equal(Failure.NotFound, (await Assert.ThrowsAsync<CarillonException>(() => client.Groups.ShowAsync(name))).Failure);
    }

    /// <summary>A server that never learns of a commit.</summary>
    private FakeGroupGate Stuck() => new(_groups)
    {
        OnPublish = (_, _) => Task.FromResult<PublishOutcome?>(new PublishOutcome.Unknown("no quorum")),
    };

    private static CarillonClient ClientOf(params GatewayHouse[] houses) =>
        ClientServer.ClientOf([.. houses.Select(h => h.Gateway.Address)]);

    private static byte[] Bytes(string text) => Encoding.UTF8.GetBytes(text);

    private static string Text(DeliveredMessage message) => Encoding.UTF8.GetString(message.Payload.Span);

    private static CancellationToken Bound() => new CancellationTokenSource(TimeSpan.FromSeconds(30)).Token;

    private static async Task<List<DeliveredMessage>> DeliverAsync(AtomicGroup group, int count, CancellationToken cancellation)
    {
        var all = new List<DeliveredMessage>();
        await foreach (DeliveredMessage message in group.DeliverAsync(FeedStart.At(new SequenceNumber(1)), cancellation))
        {
            all.Add(message);
            if (all.Count == count)
            {
                break;
            }
        }

        return all;
    }
}

/// <summary>Several gateways over the same groups, which die and come back.</summary>
internal sealed class HouseRow : IAsyncDisposable
{
    private readonly FakeGroups _groups;
    private readonly List<GatewayHouse> _houses = [];
    private readonly List<int> _ports = [];

    private HouseRow(FakeGroups groups) => _groups = groups;

    public static async Task<HouseRow> StartAsync(FakeGroups groups, int count)
    {
        var row = new HouseRow(groups);
        for (int i = 0; i < count; i++)
        {
            GatewayHouse house = await GatewayHouse.StartAsync(groups: new FakeGroupGate(groups));
            row._houses.Add(house);
            row._ports.Add(house.Gateway.Port);
        }

        return row;
    }

    public CarillonClient Client(int timeoutSeconds) => new(new CarillonClientOptions
    {
        Servers = [.. _ports.Select(p => new Uri($"http://127.0.0.1:{p}"))], LearnServers = false,
        Timeout = TimeSpan.FromSeconds(timeoutSeconds), AttemptTimeout = TimeSpan.FromSeconds(2),
    });

    /// <summary>Cuts a server off in the middle of everything, and starts it again at its port.</summary>
    public async Task KillAndReplaceAsync(int index)
    {
        await _houses[index].DisposeAsync();
        _houses[index] = await GatewayHouse.StartAsync(groups: new FakeGroupGate(_groups), port: _ports[index]);
    }

    public async ValueTask DisposeAsync()
    {
        foreach (GatewayHouse house in _houses)
        {
            await house.DisposeAsync();
        }
    }
}
