using System.IO.Pipelines;
using System.Net;
using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Json;
using Carillon.Gateway.Groups;
using Carillon.Gateway.Streams;
using Carillon.Gateway.Tests.Serving;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Runtime.Groups;
using Xunit;

namespace Carillon.Gateway.Tests.Groups;

/// <summary>Subscriptions over HTTP, in each of their forms.</summary>
public sealed class SubscribeRouteTests : IAsyncLifetime
{
    private const string Path = "/v1/groups/g/messages";

    private readonly FakeGroups _groups = new("g");
    private readonly FakeGroupGate _gate;
    private GatewayHouse _house = null!;

    public SubscribeRouteTests() => _gate = new FakeGroupGate(_groups);

    public async ValueTask InitializeAsync() => _house = await GatewayHouse.StartAsync(
        new GatewayOptions { Heartbeat = TimeSpan.FromMilliseconds(50), DrainTimeout = TimeSpan.FromSeconds(20) }, groups: _gate);

    public ValueTask DisposeAsync() => _house.DisposeAsync();

    [Fact]
    public async Task Lines_come_from_the_number_on_and_then_as_messages_are_committed()
    {
        _groups["g"].Add("one");
        _groups["g"].Add("two");
        _groups["g"].Skip();
        using HttpResponseMessage response = await OpenAsync("?from=2");
        Assert.Equal("2", response.Header("Carillon-Next"));
        Assert.Equal("application/jsonl", response.Content.Headers.ContentType!.MediaType);
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync());
        JsonElement two = JsonDocument.Parse((await reader.ReadLineAsync())!).RootElement;
        Assert.Equal(2u, two.GetProperty("sequence").GetUInt64());
        Assert.Equal("two", two.GetProperty("payload").GetString());
        Assert.Equal("0000000000000007000000000000000" + "7", two.GetProperty("sender").GetString());
        _groups["g"].Add(new MessageId(new SessionId(1, 1), 4), new byte[] { 0xFF, 0x00 });
        JsonElement four = JsonDocument.Parse((await reader.ReadLineAsync())!).RootElement;
        Assert.Equal(4u, four.GetProperty("sequence").GetUInt64());
        Assert.Equal([0xFF, 0x00], four.GetProperty("payloadBase64").GetBytesFromBase64());
        Assert.Equal("00000000000000010000000000000001.4", four.GetProperty("messageId").GetString());
    }

    [Theory]
    [InlineData("?from=begin", "3")]
    [InlineData("?from=now", "6")]
    [InlineData("", "6")]
    [InlineData("?from=4", "4")]
    [InlineData("?from=99", "99")]
    public async Task Start_is_told_as_a_number(string query, string next)
    {
        for (int i = 0; i < 5; i++)
        {
            _groups["g"].Add("x");
        }

        _groups["g"].Trim(3);
        using HttpResponseMessage response = await OpenAsync(query);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.Equal(next, response.Header("Carillon-Next"));
    }

    [Fact]
    public async Task Number_that_is_no_longer_kept_is_answered_with_the_first_that_is()
    {
        _groups["g"].Add("x");
        _groups["g"].Add("y");
        _groups["g"].Trim(2);
        using HttpResponseMessage response = await OpenAsync("?from=1");
        JsonElement problem = await response.ProblemAsync(410, "feed-too-old");
        Assert.Equal(2u, problem.GetProperty("first").GetUInt64());
    }

    [Fact]
    public async Task Number_that_is_found_to_be_gone_later_is_answered_the_same_or_the_answer_is_cut()
    {
        _gate.OnSubscribe = (_, _) => throw new FeedTooOldException(new SequenceNumber(9));
        using HttpResponseMessage response = await OpenAsync("?from=1");
        Assert.Equal(9u, (await response.ProblemAsync(410, "feed-too-old")).GetProperty("first").GetUInt64());
    }

    [Theory]
    [InlineData("?from=0")]
    [InlineData("?from=-1")]
    [InlineData("?from=yesterday")]
    [InlineData("?form=1")]
    [InlineData("?from=99999999999999999999")]
    public async Task Start_that_is_none_is_refused(string query)
    {
        using HttpResponseMessage response = await OpenAsync(query);
        await response.ProblemAsync(400, "bad-request");
    }

    [Fact]
    public async Task Events_have_group_and_number_as_id_and_go_on_behind_the_last_one_and_beat()
    {
        _groups["g"].Add("one");
        _groups["g"].Add("two\nlines");
        using HttpResponseMessage response = await OpenAsync("?from=1", ("Accept", "text/event-stream"), ("Last-Event-ID", "1"));
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync());
        Assert.Equal($"id: {_groups["g"].Id:x16}-2", await reader.ReadLineAsync());
        string data = (await reader.ReadLineAsync())!;
        Assert.StartsWith("data: {", data, StringComparison.Ordinal);
        Assert.Equal("two\nlines", JsonDocument.Parse(data["data: ".Length..]).RootElement.GetProperty("payload").GetString());
        Assert.Equal("", await reader.ReadLineAsync());
        Assert.Equal(":", await reader.ReadLineAsync());
        Assert.Equal($"id: {_groups["g"].Id:x16}-2", await reader.ReadLineAsync());
    }

    [Fact]
    public async Task Binary_form_has_headers_payloads_and_heartbeats()
    {
        byte[] large = new byte[300_000];
        new Random(5).NextBytes(large);
        _groups["g"].Add("one");
        _groups["g"].Add(new MessageId(new SessionId(3, 4), 5), large);
        using HttpResponseMessage response = await OpenAsync("?from=1", ("Accept", GroupStream.MessagesType));
        Assert.Equal(GroupStream.MessagesType, response.Content.Headers.ContentType!.MediaType);
        Stream stream = await response.Content.ReadAsStreamAsync();
        byte[] preamble = new byte[GroupStream.PreambleBytes];
        await stream.ReadExactlyAsync(preamble);
        Assert.Equal(GroupStream.DeliveredPreamble.ToArray(), preamble);
        (GroupStreamHeader first, byte[] one) = await FrameAsync(stream);
        Assert.Equal((1UL, "one"), (first.Number, Encoding.UTF8.GetString(one)));
        (GroupStreamHeader second, byte[] two) = await FrameAsync(stream);
        Assert.Equal(new GroupStreamHeader(large.Length, 2, new MessageId(new SessionId(3, 4), 5)), second);
        Assert.Equal(large, two);
        (GroupStreamHeader beat, _) = await FrameAsync(stream);
        Assert.True(beat.IsHeartbeat);
        Assert.Equal(2u, beat.Number);
    }

    [Theory]
    [InlineData(GroupStream.MessagesType)]
    [InlineData("application/jsonl")]
    public async Task Slow_subscriber_holds_up_its_own_part_of_the_group_and_no_more(string accept)
    {
        long pulled = 0;
        byte[] payload = new byte[1000];
        _gate.OnSubscribe = (from, cancellation) => EndlessAsync(from, cancellation);
        async IAsyncEnumerable<ReadOnlyMemory<GroupMessage>> EndlessAsync(
            SequenceNumber from, [EnumeratorCancellation] CancellationToken cancellation)
        {
            while (!cancellation.IsCancellationRequested)
            {
                var run = new GroupMessage[100];
                for (int i = 0; i < run.Length; i++, from = from.Next)
                {
                    run[i] = new GroupMessage(from, new MessageId(new SessionId(1, 1), from.Value), payload);
                }

                Interlocked.Add(ref pulled, run.Length);
                await Task.Yield();
                yield return run;
            }
        }

        using HttpResponseMessage response = await OpenAsync("?from=1", ("Accept", accept));
        Stream stream = await response.Content.ReadAsStreamAsync();
        // Nothing is read: it goes on until the buffers on the way are full, and stands still then.
        long before = -1;
        using var bound = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        using var look = new PeriodicTimer(TimeSpan.FromMilliseconds(200));
        while (Interlocked.Read(ref pulled) != before || before == 0)
        {
            before = Interlocked.Read(ref pulled);
            await look.WaitForNextTickAsync(bound.Token);
        }

        Assert.InRange(before, 100, 60_000);
        byte[] into = new byte[64 << 10];
        for (long read = 0; read < 40 << 20;)
        {
            read += await stream.ReadAsync(into);
        }

        Assert.True(Interlocked.Read(ref pulled) > before);
    }

    [Fact]
    public async Task Stop_of_the_server_ends_a_subscription_at_once_and_whole()
    {
        _groups["g"].Add("one");
        using HttpResponseMessage response = await OpenAsync("?from=1");
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync());
        await reader.ReadLineAsync();
        Task stopping = _house.Gateway.StopAsync(TestContext.Current.CancellationToken);
        Assert.Null(await reader.ReadLineAsync());
        await stopping.WaitAsync(TimeSpan.FromSeconds(10));
    }

    [Fact]
    public async Task Subscriber_that_goes_while_messages_are_waited_for_ends_the_wait_before_the_subscription()
    {
        var gone = new Pipe();
        await gone.Reader.CompleteAsync();
        using var streams = new OpenStreams(TimeSpan.FromMinutes(1));
        var first = new SequenceNumber(1);
        var source = new GroupSource(ended => _groups["g"].ReadAsync(first, 100, ended), first);
        var stream = new EntryStream<GroupMessage>(
            source, gone.Writer, MessageFormat.Of(GroupStream.MessagesType, "0"), streams, TestContext.Current.CancellationToken);
        await Assert.ThrowsAsync<OperationCanceledException>(() => stream.RunAsync().WaitAsync(TimeSpan.FromSeconds(10)));
        Assert.Equal(0, streams.Count);
    }

    [Theory]
    [InlineData("header")]
    [InlineData("query")]
    public async Task Reader_of_a_group_that_was_removed_does_not_go_on_in_the_one_that_has_its_name_now(string where)
    {
        _groups["g"].Add("one");
        string id = $"{_groups["g"].Id:x16}";
        using HttpResponseMessage before = await OpenAsync("?from=1&id=" + id);
        Assert.Equal((HttpStatusCode.OK, id), (before.StatusCode, before.Header("Carillon-Group-Id")));
        _groups.Remove(GroupName.Parse("g"));
        _groups.Create(GroupName.Parse("g"), new GroupSettings());
        _groups["g"].Add("another one");
        using HttpResponseMessage after = where == "header"
            ? await OpenAsync("?from=1", ("Last-Event-ID", id + "-1")) : await OpenAsync("?from=2&id=" + id);
        await after.ProblemAsync(410, "group-replaced");
    }

    [Fact]
    public async Task Group_that_is_not_open_here_yet_is_told_as_that_and_not_as_one_without_messages()
    {
        // Its subscriber would have begun at 1, whatever it asked for.
        _groups["g"].IsOpening = true;
        using HttpResponseMessage refused = await OpenAsync("?from=now");
        await refused.ProblemAsync(503, "group-busy");
    }

    [Fact]
    public async Task Group_whose_messages_are_lost_is_told_to_senders_and_listeners()
    {
        _groups["g"].Trouble = "its messages are lost";
        using HttpResponseMessage reading = await OpenAsync("?from=1");
        await reading.ProblemAsync(410, "group-lost");
        using HttpResponseMessage sending = await _house.SendAsync(HttpMethod.Post, Path, new ByteArrayContent([1]));
        await sending.ProblemAsync(410, "group-lost");
        Assert.Empty(_gate.Published);
    }

    private static async Task<(GroupStreamHeader Header, byte[] Payload)> FrameAsync(Stream stream)
    {
        byte[] bytes = new byte[GroupStreamHeader.Size];
        await stream.ReadExactlyAsync(bytes);
        Assert.True(GroupStreamHeader.TryRead(bytes, out GroupStreamHeader header));
        byte[] payload = new byte[header.Length];
        await stream.ReadExactlyAsync(payload);
        return (header, payload);
    }

    private async Task<HttpResponseMessage> OpenAsync(string query, params (string Name, string Value)[] headers)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, Path + query);
        foreach ((string name, string value) in headers)
        {
            request.Headers.TryAddWithoutValidation(name, value);
        }

        return await _house.Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, TestContext.Current.CancellationToken);
    }
}
