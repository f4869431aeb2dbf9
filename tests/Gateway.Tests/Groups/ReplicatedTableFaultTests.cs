using System.Buffers;
using System.Text;
using Carillon.Client;
using Carillon.Client.Groups;
using Carillon.Gateway.Tests.Serving;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.VectorExchange;
using Xunit;

namespace Carillon.Gateway.Tests.Groups;

/// <summary>What befalls a replicated table while it reads or keeps checkpoints: it goes on, or ends and says why.</summary>
public sealed class ReplicatedTableFaultTests : IAsyncLifetime
{
    private static readonly GroupName Group = GroupName.Parse("g");
    private static readonly ObjectName Place = new("files", "tables/routes");
    private static readonly TimeSpan Long = TimeSpan.FromSeconds(20);

    private readonly FakeGroups _groups = new("g");
    private GatewayHouse _house = null!;
    private CarillonClient _client = null!;

    public async ValueTask InitializeAsync()
    {
        _house = await GatewayHouse.StartAsync(groups: new FakeGroupGate(_groups));
        _client = new CarillonClient(new CarillonClientOptions
        {
            Servers = [_house.Gateway.Address], LearnServers = false, Timeout = TimeSpan.FromSeconds(1),
        });
    }

    public async ValueTask DisposeAsync()
    {
        _client.Dispose();
        await _house.DisposeAsync();
    }

    [Fact]
    public async Task Checkpoint_that_no_quorum_reads_now_is_read_later()
    {
        var told = new TaskCompletionSource<string>(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var table = await OpenAsync(new TableOptions<string, string> { Observer = note => told.TrySetResult(note) });
        await table.SetAsync("a", "1");
        _house.Server.OnRead = (_, _, _) => new ReadOutcome.Unavailable("no quorum answered");
        FallBehind();
        await Task.WhenAny(told.Task, table.Failed).WaitAsync(Long);
        _house.Server.OnRead = null;
        await table.WaitAsync(new SequenceNumber(10)).WaitAsync(Long);
        Assert.True(table.TryGet("a", out string? value) && value == "kept");
        Assert.False(table.Failed.IsCompleted);
    }

    [Fact]
    public async Task Checkpoint_that_may_not_be_read_ends_the_table_with_the_reason()
    {
        await using var table = await OpenAsync(new TableOptions<string, string>());
        await table.SetAsync("a", "1");
        _house.Server.OnFindBucket = _ => null;
        FallBehind();
        CarillonException fault = await Assert.ThrowsAsync<CarillonException>(() => table.Failed.WaitAsync(Long));
        Assert.Equal("bucket-not-found", fault.Problem?.Code);
    }

    [Fact]
    public async Task Codec_that_fails_at_a_checkpoint_ends_the_table_and_those_who_wait()
    {
        await using var table = await OpenAsync(new TableOptions<string, string> { ValueCodec = new ChoosyCodec(unread: "kept") });
        await table.SetAsync("a", "1");
        Task waiting = table.WaitAsync(new SequenceNumber(10));
        FallBehind();
        await Assert.ThrowsAsync<FormatException>(() => table.Failed.WaitAsync(Long));
        await Assert.ThrowsAsync<FormatException>(() => waiting.WaitAsync(Long));
        Assert.True(table.TryGet("a", out string? value) && value == "1");
    }

    [Fact]
    public async Task Handler_that_fails_at_a_checkpoint_ends_the_table()
    {
        await using var table = await OpenAsync(new TableOptions<string, string>
        {
            Changed = change => _ = change.Number.Value == 0 ? throw new FormatException("the handler's") : 0,
        });
        await table.SetAsync("a", "1");
        FallBehind();
        await Assert.ThrowsAsync<FormatException>(() => table.Failed.WaitAsync(Long));
    }

    [Fact]
    public async Task Handler_whose_own_call_meets_a_passing_fault_ends_the_table_all_the_same()
    {
        await using var table = await OpenAsync(new TableOptions<string, string>
        {
            Changed = _ => throw new CarillonException(Failure.Unreachable, "the handler's"),
        });
        _groups["g"].Add(new MessageId(new SessionId(7, 7), 1), Set("a", "1"));
        InvalidOperationException fault = await Assert.ThrowsAsync<InvalidOperationException>(() => table.Failed.WaitAsync(Long));
        Assert.IsType<CarillonException>(fault.InnerException);
    }

    [Fact]
    public async Task Codec_that_can_not_write_a_checkpoint_ends_the_table()
    {
        await using var table = await OpenAsync(new TableOptions<string, string>
        {
            CheckpointEvery = 1, ValueCodec = new ChoosyCodec(unwritten: "never written"),
        });
        _groups["g"].Add(new MessageId(new SessionId(7, 7), 1), Set("a", "never written"));
        await Assert.ThrowsAsync<FormatException>(() => table.Failed.WaitAsync(Long));
    }

    private Task<ReplicatedTable<string, string>> OpenAsync(TableOptions<string, string> options) =>
        ReplicatedTable<string, string>.OpenAsync(
            _client, Group, options with { Checkpoints = Place }, TestContext.Current.CancellationToken);

    private static ReadOnlyMemory<byte> Set(string key, string value) =>
        TableOperation.Encode(TableOperation.Set, key, TableCodec.Text, value, TableCodec.Text);

    /// <summary>The group goes on to 10 and keeps nothing before it; there is a checkpoint at 10, where "a" is "kept".</summary>
    private void FallBehind()
    {
        FakeGroup group = _groups["g"];
        byte[] kept = TableCheckpoint.Encode(
            new SequenceNumber(10), [KeyValuePair.Create(Encoding.UTF8.GetBytes("a"), Encoding.UTF8.GetBytes("kept"))]);
        _house.Server.Add(new ObjectName("files", $"tables/routes/{group.Id:x16}/{10:D20}"), kept);
        group.Trim(10);
        while (group.Committed.Value < 10)
        {
            group.Skip();
        }
    }

    /// <summary>Can't read, or can't write, one value.</summary>
    private sealed class ChoosyCodec(string? unread = null, string? unwritten = null) : ITableCodec<string>
    {
        public void Write(string value, IBufferWriter<byte> output)
        {
            Check(value, unwritten);
            TableCodec.Text.Write(value, output);
        }

        public string Read(ReadOnlySpan<byte> bytes)
        {
            string value = TableCodec.Text.Read(bytes);
            Check(value, unread);
            return value;
        }

        private static void Check(string value, string? refused)
        {
            if (value == refused)
            {
                throw new FormatException("not this value");
            }
        }
    }
}
