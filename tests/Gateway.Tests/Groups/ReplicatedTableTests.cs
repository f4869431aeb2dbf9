using System.Collections.Concurrent;
using System.Text;
using Carillon.Client;
using Carillon.Client.Groups;
using Carillon.Gateway.Tests.Serving;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Submissions;
using Xunit;
using ClientServer = global::Gateway.Tests.Client.FakeServer;

namespace Carillon.Gateway.Tests.Groups;

/// <summary>Replicated tables: the same everywhere, begun anew from checkpoints, and stopped where members differ.</summary>
public sealed class ReplicatedTableTests : IAsyncLifetime
{
    private static readonly GroupName Group = GroupName.Parse("g");
    private static readonly ObjectName Place = new("files", "tables/routes");

    private readonly FakeGroups _groups = new("g");
    private GatewayHouse _house = null!;
    private CarillonClient _client = null!;

    public async ValueTask InitializeAsync()
    {
        _house = await GatewayHouse.StartAsync(groups: new FakeGroupGate(_groups));
        _client = ClientServer.ClientOf(_house.Gateway.Address);
    }

    public async ValueTask DisposeAsync()
    {
        _client.Dispose();
        await _house.DisposeAsync();
    }

    [Fact]
    public async Task Members_have_the_same_table_and_a_write_is_seen_by_its_writer()
    {
        await using var one = await OpenAsync();
        await using var two = await OpenAsync();
        await one.SetAsync("a", "1");
        Assert.True(one.TryGet("a", out string? value) && value == "1");
        SequenceNumber last = await two.SetAsync("a", "2");
        await two.SetAsync("b", "3");
        last = await one.RemoveAsync("b");
        await two.WaitAsync(last);
        Assert.Equal(one.Snapshot().Entries.Order(Comparer), two.Snapshot().Entries.Order(Comparer));
        Assert.Equal([new("a", "2")], two.Snapshot().Entries);
        Assert.Equal(last, two.Applied);
    }

    [Fact]
    public async Task Message_that_is_no_operation_is_left_out()
    {
        await using var table = await OpenAsync();
        _groups["g"].Add("garbage");
        _groups["g"].Add("");
        _groups["g"].Add(new MessageId(new SessionId(1, 2), 1), new byte[] { 1, 1, 255, 255, 255, 127, 0 });
        _groups["g"].Add(new MessageId(new SessionId(1, 2), 2), new byte[] { 1, 1, 1, 0, 0, 0, 0xFF, (byte)'x' });
        _groups["g"].Add(new MessageId(new SessionId(1, 2), 3), new byte[] { 2, 1, 0, 0, 0, 0 });
        SequenceNumber last = await table.SetAsync("a", "1");
        Assert.Equal((6UL, 5L, 1), (last.Value, table.Ignored, table.Count));
    }

    [Fact]
    public async Task New_member_begins_at_the_newest_checkpoint_and_reads_what_is_behind_it()
    {
        await using (var first = await OpenAsync(every: 10))
        {
            for (int i = 0; i < 25; i++)
            {
                await first.SetAsync($"k{i % 7}", $"v{i}");
            }

            await Eventually.Async(() => Checkpoints().Contains(20));
        }

        // What the checkpoint covers is gone.
        _groups["g"].Trim(21);
        var notes = new ConcurrentQueue<string>();
        await using var second = await OpenAsync(every: 10, observer: notes.Enqueue);
        await second.WaitAsync(new SequenceNumber(25));
        Assert.Contains(notes, n => n.Contains("checkpoint at 20", StringComparison.Ordinal));
        Assert.Equal(
            Enumerable.Range(18, 7).Select(i => KeyValuePair.Create($"k{i % 7}", $"v{i}")).Order(Comparer),
            second.Snapshot().Entries.Order(Comparer));
    }

    [Fact]
    public async Task Number_that_was_filled_with_nothing_has_its_checkpoint_all_the_same()
    {
        await using var table = await OpenAsync(every: 3);
        await table.SetAsync("a", "1");
        await table.SetAsync("b", "2");
        _groups["g"].Skip();
        await table.SetAsync("c", "3");
        await Eventually.Async(() => Checkpoints().Contains(3));
        Assert.Equal(2, Decode(3).Count);
    }

    [Fact]
    public async Task Members_that_take_a_checkpoint_at_one_number_take_the_same()
    {
        await using var one = await OpenAsync(every: 5);
        await using var two = await OpenAsync(every: 5);
        SequenceNumber last = default;
        for (int i = 0; i < 50; i++)
        {
            last = await one.SetAsync($"k{i}", "v");
        }

        await two.WaitAsync(last);
        await Eventually.Async(() => Checkpoints().Count > 0);
        Assert.False(one.Failed.IsCompleted);
        Assert.False(two.Failed.IsCompleted);
    }

    [Fact]
    public async Task Member_whose_state_is_not_a_function_of_the_messages_is_found_out_by_the_digest()
    {
        await using var good = await OpenAsync(every: 4);
        for (int i = 0; i < 4; i++)
        {
            await good.SetAsync($"k{i}", "v");
        }

        await Eventually.Async(() => Checkpoints().Contains(4));
        await using var bad = await ReplicatedTable<string, string>.OpenAsync(
            _client, Group, Options(4, null) with { ValueCodec = new MoodyCodec(), Checkpoints = null });
        // It reads the messages themselves; the checkpoints it shares only for comparison.
        await bad.WaitAsync(new SequenceNumber(4));
        var store = new CheckpointStore(_client, Place, $"{_groups["g"].Id:x16}", 3);
        byte[] other = TableCheckpoint.Encode(
            new SequenceNumber(4), bad.Snapshot().Entries.Select(e => KeyValuePair.Create(Bytes(e.Key), Bytes(e.Value))));
        Assert.False(await store.KeepAsync(new SequenceNumber(4), other, TestContext.Current.CancellationToken));
        Assert.True(await store.KeepAsync(new SequenceNumber(4), Content(4), TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task Table_that_differs_from_a_checkpoint_that_is_there_stops_and_says_so()
    {
        // Another member's, of another opinion.
        byte[] other = TableCheckpoint.Encode(new SequenceNumber(2), [KeyValuePair.Create(Bytes("x"), Bytes("y"))]);
        await using var table = await OpenAsync(every: 2);
        await table.SetAsync("a", "1");
        _house.Server.Add(NameOf(2), other);
        await table.SetAsync("b", "2");
        CarillonException fault = await Assert.ThrowsAsync<CarillonException>(() => table.Failed.WaitAsync(TimeSpan.FromSeconds(10)));
        Assert.Equal(Failure.Integrity, fault.Failure);
        await Assert.ThrowsAsync<CarillonException>(() => table.SetAsync("c", "3"));
        Assert.True(table.TryGet("a", out _));
    }

    [Fact]
    public async Task Messages_that_are_gone_without_a_checkpoint_stop_the_table()
    {
        _groups["g"].Add("x");
        _groups["g"].Trim(2);
        await using var table = await OpenAsync();
        CarillonException fault = await Assert.ThrowsAsync<CarillonException>(() => table.Failed.WaitAsync(TimeSpan.FromSeconds(10)));
        Assert.Equal("feed-too-old", fault.Problem!.Code);
    }

    [Fact]
    public async Task Harmed_checkpoint_is_passed_over_for_the_one_before_it()
    {
        byte[] good = TableCheckpoint.Encode(new SequenceNumber(5), [KeyValuePair.Create(Bytes("a"), Bytes("5"))]);
        byte[] harmed = TableCheckpoint.Encode(new SequenceNumber(9), [KeyValuePair.Create(Bytes("a"), Bytes("9"))]);
        harmed[25] ^= 1;
        _house.Server.Add(NameOf(5), good);
        _house.Server.Add(NameOf(9), harmed);
        await using var table = await OpenAsync();
        Assert.Equal(5u, table.Applied.Value);
        Assert.True(table.TryGet("a", out string? value) && value == "5");
    }

    [Fact]
    public async Task Table_does_not_go_on_in_another_group_of_the_name_after_its_servers_were_away()
    {
        GatewayHouse dying = await GatewayHouse.StartAsync(groups: new FakeGroupGate(_groups));
        using CarillonClient client = new(new CarillonClientOptions
        {
            Servers = [dying.Gateway.Address], LearnServers = false, Timeout = TimeSpan.FromSeconds(1),
        });
        var away = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var options = new TableOptions<string, string> { Observer = _ => away.TrySetResult() };
        await using var table = await ReplicatedTable<string, string>.OpenAsync(client, Group, options);
        await table.SetAsync("a", "1");
        await table.SetAsync("b", "2");
        await dying.DisposeAsync();
        await away.Task.WaitAsync(TimeSpan.FromSeconds(20));
        Replace();
        Send(_groups["g"], "a", "another one", 4);
        await using GatewayHouse back = await GatewayHouse.StartAsync(groups: new FakeGroupGate(_groups), port: dying.Gateway.Port);
        CarillonException fault = await Assert.ThrowsAsync<CarillonException>(() => table.Failed.WaitAsync(TimeSpan.FromSeconds(20)));
        Assert.Equal("group-replaced", fault.Problem?.Code);
        Assert.Equal((2UL, "1"), (table.Applied.Value, table.TryGet("a", out string? value) ? value : ""));
    }

    [Fact]
    public async Task Checkpoints_of_another_group_that_had_the_name_are_neither_read_nor_compared()
    {
        await using (var old = await OpenAsync(every: 2))
        {
            await old.SetAsync("a", "1");
            await old.SetAsync("b", "2");
            await Eventually.Async(() => Checkpoints().Contains(2));
        }

        Replace();
        var notes = new ConcurrentQueue<string>();
        await using var table = await OpenAsync(every: 2, observer: notes.Enqueue);
        Assert.Equal((0UL, 0), (table.Applied.Value, table.Count));
        await table.SetAsync("c", "3");
        await table.SetAsync("d", "4");
        await Eventually.Async(() => Checkpoints().Contains(2) || table.Failed.IsCompleted);
        Assert.False(table.Failed.IsCompleted);
        Assert.Equal(["c", "d"], Decode(2).Select(e => Encoding.UTF8.GetString(e.Key)));
        Assert.Empty(notes);
    }

    [Fact]
    public void Checkpoint_is_one_form_of_one_content()
    {
        KeyValuePair<byte[], byte[]>[] entries =
            [.. Enumerable.Range(0, 100).Select(i => KeyValuePair.Create(Bytes($"k{i}"), Bytes($"v{i}")))];
        byte[] bytes = TableCheckpoint.Encode(new SequenceNumber(7), entries);
        Assert.Equal(bytes, TableCheckpoint.Encode(new SequenceNumber(7), entries.Reverse()));
        Assert.True(TableCheckpoint.TryDecode(bytes, out SequenceNumber number, out var read));
        Assert.Equal((7UL, 100), (number.Value, read.Count));
        for (int i = 0; i < bytes.Length; i += 13)
        {
            byte[] harmed = [.. bytes];
            harmed[i] ^= 0x10;
            Assert.False(TableCheckpoint.TryDecode(harmed, out _, out _));
            Assert.False(TableCheckpoint.TryDecode(bytes.AsSpan(0, i), out _, out _));
        }
    }

    private static Comparer<KeyValuePair<string, string>> Comparer { get; } =
        Comparer<KeyValuePair<string, string>>.Create((a, b) => string.CompareOrdinal(a.Key, b.Key));

    private static byte[] Bytes(string text) => Encoding.UTF8.GetBytes(text);

    private static TableOptions<string, string> Options(ulong every, Action<string>? observer) => new()
    {
        Checkpoints = Place, CheckpointEvery = every, Observer = observer,
    };

    private Task<ReplicatedTable<string, string>> OpenAsync(ulong every = 1000, Action<string>? observer = null) =>
        ReplicatedTable<string, string>.OpenAsync(_client, Group, Options(every, observer), TestContext.Current.CancellationToken);

    // The present group's.
    private string Folder => $"tables/routes/{_groups["g"].Id:x16}/";

    private ObjectName NameOf(ulong number) => new("files", $"{Folder}{number:D20}");

    /// <summary>Another group takes the place of the one that is there.</summary>
    private void Replace()
    {
        _groups.Remove(Group);
        _groups.Create(Group, new GroupSettings());
    }

    private static void Send(FakeGroup group, string key, string value, int times)
    {
        for (int i = 0; i < times; i++)
        {
            ReadOnlyMemory<byte> set = TableOperation.Encode(TableOperation.Set, key, TableCodec.Text, value + i, TableCodec.Text);
            group.Add(new MessageId(new SessionId(7, 8), (ulong)i + 1), set);
        }
    }

    private List<ulong> Checkpoints() =>
        [.. _house.Server.Versions.Keys.Where(n => n.Name.StartsWith(Folder, StringComparison.Ordinal))
            .Select(n => ulong.Parse(n.Name[Folder.Length..], System.Globalization.CultureInfo.InvariantCulture))];

    private byte[] Content(ulong number) =>
        _house.Server.Versions[NameOf(number)][0].Manifest!.Inline.ToArray();

    private List<KeyValuePair<byte[], byte[]>> Decode(ulong number)
    {
        Assert.True(TableCheckpoint.TryDecode(Content(number), out _, out var entries));
        return entries;
    }

    /// <summary>Reads something else each time: what no codec may do.</summary>
    private sealed class MoodyCodec : ITableCodec<string>
    {
        private int _mood;

        public void Write(string value, System.Buffers.IBufferWriter<byte> output) => TableCodec.Text.Write(value, output);

        public string Read(ReadOnlySpan<byte> bytes) => TableCodec.Text.Read(bytes) + _mood++;
    }
}
