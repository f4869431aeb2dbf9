using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Text.Json;
using Carillon.Gateway.Tests.Serving;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Runtime.Groups;
using Xunit;

namespace Carillon.Gateway.Tests.Groups;

/// <summary>Messages that are sent over HTTP: one by one, and as a stream.</summary>
public sealed class PublishRouteTests : IAsyncLifetime
{
    private const string Path = "/v1/groups/g/messages";
    private const string Session = "00000000000000010000000000000002";

    private readonly FakeGroups _groups = new("g");
    private readonly FakeGroupGate _gate;
    private GatewayHouse _house = null!;

    public PublishRouteTests() => _gate = new FakeGroupGate(_groups);

    public async ValueTask InitializeAsync() => _house = await GatewayHouse.StartAsync(groups: _gate);

    public ValueTask DisposeAsync() => _house.DisposeAsync();

    [Fact]
    public async Task Message_is_answered_with_its_number_and_the_same_id_with_the_same_number()
    {
        using HttpResponseMessage first = await PostAsync([1, 2, 3], ("Carillon-Message-Id", Session + ".7"), ("Carillon-Settled", "5"));
        JsonElement answer = await first.JsonAsync();
        Assert.Equal(1u, answer.GetProperty("sequence").GetUInt64());
        Assert.Equal(Session + ".7", answer.GetProperty("messageId").GetString());
        using HttpResponseMessage again = await PostAsync([1, 2, 3], ("Carillon-Message-Id", Session + ".7"));
        Assert.Equal(1u, (await again.JsonAsync()).GetProperty("sequence").GetUInt64());
        Assert.Equal([1, 2, 3], Assert.Single(_groups["g"].Messages()).Payload.ToArray());
        Assert.Equal(5u, _gate.Published.First().Settled);
    }

    [Fact]
    public async Task Message_without_id_gets_a_session_of_its_own()
    {
        using HttpResponseMessage one = await PostAsync([]);
        using HttpResponseMessage two = await PostAsync([]);
        MessageId[] ids = [.. _gate.Published.Select(p => p.Id)];
        Assert.NotEqual(ids[0].Session, ids[1].Session);
        Assert.Equal(ids[1].ToString(), two.Header("Carillon-Message-Id"));
    }

    [Theory]
    [InlineData("x", null)]
    [InlineData("00000000000000010000000000000002", null)]
    [InlineData("00000000000000010000000000000002.0", null)]
    [InlineData("00000000000000000000000000000000.1", null)]
    [InlineData("00000000000000010000000000000002.5", "5")]
    [InlineData("00000000000000010000000000000002.5", "-1")]
    [InlineData(null, "1")]
    public async Task Id_that_is_not_right_is_refused(string? id, string? settled)
    {
        (string, string)[] headers =
            [.. id is null ? Array.Empty<(string, string)>() : [("Carillon-Message-Id", id)],
                .. settled is null ? Array.Empty<(string, string)>() : [("Carillon-Settled", settled)]];
        using HttpResponseMessage response = await PostAsync([1], headers);
        await response.ProblemAsync(400, "bad-request");
        Assert.Empty(_gate.Published);
    }

    [Fact]
    public async Task Message_of_one_mebibyte_is_taken_and_of_one_more_byte_refused()
    {
        using HttpResponseMessage largest = await PostAsync(new byte[GroupSettings.MaxPayloadBytes]);
        Assert.Equal(HttpStatusCode.OK, largest.StatusCode);
        using HttpResponseMessage larger = await PostAsync(new byte[GroupSettings.MaxPayloadBytes + 1]);
        await larger.ProblemAsync(413, "too-large");
    }

    [Theory]
    [InlineData("refused", 503, "group-busy")]
    [InlineData("expired", 409, "message-expired")]
    [InlineData("settled", 409, "message-settled")]
    [InlineData("overtaken", 409, "message-overtaken")]
    [InlineData("conflict", 409, "message-mismatch")]
    [InlineData("unknown", 504, "outcome-unknown")]
    [InlineData("thrown", 504, "outcome-unknown")]
    public async Task Outcome_other_than_committed_is_told_with_the_id(string outcome, int status, string code)
    {
        _gate.OnPublish = (_, _) => outcome switch
        {
            "refused" => Task.FromResult<PublishOutcome?>(new PublishOutcome.Refused("the window is full", TimeSpan.FromSeconds(2.5))),
            "expired" => Task.FromResult<PublishOutcome?>(new PublishOutcome.Expired()),
            "settled" => Task.FromResult<PublishOutcome?>(new PublishOutcome.Settled()),
            "overtaken" => Task.FromResult<PublishOutcome?>(new PublishOutcome.Overtaken()),
            "conflict" => Task.FromResult<PublishOutcome?>(new PublishOutcome.Conflict(new SequenceNumber(7), "another one is there")),
            "unknown" => Task.FromResult<PublishOutcome?>(new PublishOutcome.Unknown("no commit was seen")),
            _ => Task.FromException<PublishOutcome?>(new InvalidOperationException("broken")),
        };
        using HttpResponseMessage response = await PostAsync([1], ("Carillon-Message-Id", Session + ".1"));
        JsonElement problem = await response.ProblemAsync(status, code);
        Assert.Equal(Session + ".1", problem.GetProperty("messageId").GetString());
        Assert.Equal(status is 503 or 504, problem.GetProperty("retryable").GetBoolean());
        if (outcome == "refused")
        {
            Assert.Equal("3", response.Header("Retry-After"));
        }

        Assert.Equal(outcome == "thrown", _house.Log.Failures.TryDequeue(out _));
    }

    [Fact]
    public async Task Stream_is_answered_in_the_order_of_its_messages_whatever_the_order_of_their_commits()
    {
        var late = new TaskCompletionSource();
        _gate.OnPublish = async (id, commit) =>
        {
            if (id.Counter == 1)
            {
                await late.Task;
            }

            SequenceNumber number = commit();
            if (id.Counter == 50)
            {
                late.SetResult();
            }

            return new PublishOutcome.Committed(number);
        };
        byte[] body = Stream([.. Enumerable.Range(1, 50).Select(i => Frame((ulong)i, [(byte)i]))]);
        List<GroupAnswer> answers = await AnswersAsync(body);
        Assert.Equal([50, .. Enumerable.Range(1, 49).Select(i => (ulong)i)], answers.Select(a => a.Value));
    }

    [Fact]
    public async Task Stream_tells_every_kind_of_end()
    {
        _gate.OnPublish = (id, _) => Task.FromResult<PublishOutcome?>(id.Counter switch
        {
            1 => new PublishOutcome.Refused("full", TimeSpan.FromMilliseconds(30)),
            2 => new PublishOutcome.Expired(),
            3 => new PublishOutcome.Unknown("lost"),
            4 => throw new InvalidOperationException("broken"),
            5 => new PublishOutcome.Settled(),
            6 => new PublishOutcome.Conflict(new SequenceNumber(3), "another one"),
            7 => new PublishOutcome.Overtaken(),
            _ => null,
        });
        List<GroupAnswer> answers = await AnswersAsync(Stream([.. Enumerable.Range(1, 8).Select(i => Frame((ulong)i, []))]));
        Assert.Equal(
            [
                GroupAnswerKind.Refused, GroupAnswerKind.Expired, GroupAnswerKind.Unknown, GroupAnswerKind.Unknown, GroupAnswerKind.Settled,
                GroupAnswerKind.Conflict, GroupAnswerKind.Overtaken, GroupAnswerKind.Committed,
            ],
            answers.Select(a => a.Kind));
        Assert.Equal(3u, answers[5].Value);
        Assert.Equal((30UL, "full"), (answers[0].Value, answers[0].Why));
    }

    [Fact]
    public async Task Sender_that_has_ended_its_stream_gets_its_last_answers_over_an_upgraded_connection()
    {
        var late = new TaskCompletionSource();
        _gate.OnPublish = async (_, commit) =>
        {
            await late.Task;
            return new PublishOutcome.Committed(commit());
        };
        using var socket = new System.Net.Sockets.TcpClient();
        Uri address = _house.Gateway.Address;
        await socket.ConnectAsync(address.Host, address.Port, TestContext.Current.CancellationToken);
        await using System.Net.Sockets.NetworkStream stream = socket.GetStream();
        string head = $"POST {Path} HTTP/1.1\r\nHost: {address.Authority}\r\nConnection: Upgrade\r\nUpgrade: carillon-messages\r\n"
            + "Content-Length: 0\r\n\r\n";
        byte[] sent =
        [
            .. System.Text.Encoding.ASCII.GetBytes(head), .. Stream(Frame(1, [1]), Frame(2, [2]), new byte[GroupStreamHeader.Size]),
        ];
        await stream.WriteAsync(sent, TestContext.Current.CancellationToken);
        await Eventually.Async(() => _gate.Published.Count == 2);
        late.SetResult();
        using var read = new MemoryStream();
        await stream.CopyToAsync(read, TestContext.Current.CancellationToken);
        byte[] all = read.ToArray();
        int start = all.AsSpan().IndexOf(GroupStream.AnswersPreamble);
        Assert.True(start > 0);
        Assert.Equal((ulong[])[1, 2], Answers(all.AsSpan(start)).Select(a => a.Value).Order());
    }

    [Fact]
    public async Task Timestamp_of_the_first_sending_goes_with_the_message_and_is_told_to_who_may_have_to_repeat_it()
    {
        _groups["g"].Add("x");
        _groups["g"].Add("y");
        using HttpResponseMessage first = await PostAsync([1]);
        Assert.Equal("2", first.Header("Carillon-Timestamp"));
        using HttpResponseMessage again = await PostAsync([1], ("Carillon-Message-Id", Session + ".1"), ("Carillon-Timestamp", "1"));
        Assert.Equal("1", again.Header("Carillon-Timestamp"));
        using HttpResponseMessage wrong = await PostAsync([1], ("Carillon-Timestamp", "-1"));
        await wrong.ProblemAsync(400, "bad-request");

        // In a stream one stands in front of the messages that it is for.
        byte[] told = Header(0, 1, 1);
        new GroupStreamHeader(0, 1, default).CopyTo(told);
        await AnswersAsync(Stream(Frame(1, [1]), told, Frame(2, [2])));
        Assert.Equal((ulong?[])[2, 1, null, 1], _gate.Timestamps);
    }

    [Theory]
    [InlineData("nonsense", 0)]
    [InlineData("version", 0)]
    [InlineData("length", 1)]
    [InlineData("negative", 1)]
    [InlineData("anonymous", 1)]
    [InlineData("settled", 1)]
    [InlineData("torn", 1)]
    [InlineData("torn-header", 1)]
    [InlineData("torn-preamble", 0)]
    public async Task Stream_that_is_none_is_told_behind_the_answers_to_what_was_good(string fault, int good)
    {
        byte[] first = Frame(1, [1]);
        byte[] body = fault switch
        {
            "nonsense" => "GET / HTTP/1.1\r\n\r\n"u8.ToArray(),
            "version" => [.. "CGP\u0002"u8, .. first],
            "length" => Stream(first, Header(GroupSettings.MaxPayloadBytes + 1, 0, 2)),
            "negative" => Stream(first, Header(-1, 0, 2)),
            "anonymous" => Stream(first, [5, .. new byte[GroupStreamHeader.Size - 1]], new byte[5]),
            "settled" => Stream(first, Header(0, 2, 2)),
            "torn" => Stream(first, Header(5, 0, 2), [1, 2]),
            "torn-preamble" => [(byte)'C'],
            _ => Stream(first, Header(5, 0, 2)[..20]),
        };
        List<GroupAnswer> answers = await AnswersAsync(body);
        Assert.Equal(good + 1, answers.Count);
        Assert.Equal(GroupAnswerKind.Malformed, answers[^1].Kind);
        Assert.NotEqual("", answers[^1].Why);
        Assert.Equal(good, _gate.Published.Count);
    }

    [Fact]
    public async Task Stream_beyond_what_may_be_in_flight_waits_for_its_answers()
    {
        var go = new TaskCompletionSource();
        _gate.OnPublish = async (_, commit) =>
        {
            await go.Task;
            return new PublishOutcome.Committed(commit());
        };
        byte[] payload = new byte[1 << 20];
        Task<List<GroupAnswer>> sending = AnswersAsync(Stream([.. Enumerable.Range(1, 40).Select(i => Frame((ulong)i, payload))]));
        await Eventually.Async(() => _gate.Published.Count >= 9);
        // 8 MiB may be in flight, and the one that went beyond.
        Assert.Equal(9, _gate.Published.Count);
        go.SetResult();
        Assert.Equal(40, (await sending).Count);
    }

    private static byte[] Stream(params byte[][] frames) => [.. GroupStream.SentPreamble, .. frames.SelectMany(f => f)];

    private static byte[] Frame(ulong counter, byte[] payload) => [.. Header(payload.Length, 0, counter), .. payload];

    private static byte[] Header(int length, ulong settled, ulong counter)
    {
        byte[] header = new byte[GroupStreamHeader.Size];
        new GroupStreamHeader(length, settled, new MessageId(new SessionId(1, 2), counter)).CopyTo(header);
        return header;
    }

    private async Task<List<GroupAnswer>> AnswersAsync(byte[] body)
    {
        var content = new ByteArrayContent(body);
        content.Headers.ContentType = new MediaTypeHeaderValue(GroupStream.MessagesType);
        using HttpResponseMessage response = await _house.SendAsync(HttpMethod.Post, Path, content);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.Equal(GroupStream.AnswersType, response.Content.Headers.ContentType!.MediaType);
        byte[] bytes = await response.Content.ReadAsByteArrayAsync();
        return Answers(bytes);
    }

    private static List<GroupAnswer> Answers(ReadOnlySpan<byte> bytes)
    {
        Assert.True(bytes.StartsWith(GroupStream.AnswersPreamble));
        var answers = new List<GroupAnswer>();
        for (int at = GroupStream.PreambleBytes; at < bytes.Length;)
        {
            int read = GroupAnswer.Read(bytes[at..], out GroupAnswer answer);
            Assert.True(read > 0, string.Create(CultureInfo.InvariantCulture, $"no answer at byte {at}"));
            answers.Add(answer);
            at += read;
        }

        return answers;
    }

    private Task<HttpResponseMessage> PostAsync(byte[] payload, params (string Name, string Value)[] headers) =>
        _house.SendAsync(HttpMethod.Post, Path, new ByteArrayContent(payload), headers);
}
