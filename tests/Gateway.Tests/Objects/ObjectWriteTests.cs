using System.Net;
using System.Text;
using System.Text.Json;
using Carillon.Gateway.Tests.Serving;
using Carillon.Node.Requests;
using Carillon.Protocols;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.VectorExchange;
using Carillon.Runtime.Serving;
using Carillon.Storage.Catalogs;
using Xunit;

namespace Carillon.Gateway.Tests.Objects;

/// <summary>PUT and DELETE of objects.</summary>
public sealed class ObjectWriteTests : IAsyncLifetime
{
    private const string Path = "/v1/buckets/files/objects/";

    private GatewayHouse _house = null!;

    public async ValueTask InitializeAsync() => _house = await GatewayHouse.StartAsync();

    public ValueTask DisposeAsync() => _house.DisposeAsync();

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(1000)]
    [InlineData(65_536)]
    [InlineData(65_537)]
    [InlineData(3_500_000)]
    public async Task Put_stores_the_body_and_answers_what_it_stored(int size)
    {
        byte[] content = Content(size);

        using HttpResponseMessage response = await _house.PutAsync(
            Path + "a/b.txt", content, ("Idempotency-Key", "my key"), ("Content-Type", "text/plain"));

        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        JsonElement answer = await response.JsonAsync();
        SubmitRequest submit = Assert.Single(_house.Server.Submissions);
        Operation operation = Assert.Single(submit.Operations);
        Assert.Equal(new ObjectName("files", "a/b.txt"), operation.Target);
        Assert.Equal(OperationKind.Put, operation.Kind);
        Assert.Equal("text/plain", operation.Manifest!.ContentType);
        Assert.Equal("my key", submit.Key);
        Assert.Equal(size <= FakeServer.InlineBytes, submit.Upload.IsNone);
        VersionEntry version = _house.Server.Versions[operation.Target][0];
        Assert.Equal(version.Uid.ToString(), answer.GetProperty("uid").GetString());
        Assert.Equal(version.Tag.ToString(), answer.GetProperty("submission").GetString());
        Assert.Equal(1, answer.GetProperty("sequence").GetInt32());
        Assert.Equal("1", response.Header("Carillon-Sequence"));
        Assert.Equal(size, answer.GetProperty("size").GetInt64());
        Assert.Equal(Digest.Of(content).ToString(), answer.GetProperty("sha256").GetString());
        Assert.False(answer.GetProperty("replayed").GetBoolean());
        Assert.Equal("my key", response.Header("Carillon-Key"));
        Assert.Equal($"\"{version.Uid}\"", response.Header("ETag"));
        Assert.StartsWith("s1.", response.Header("Carillon-Request-Id"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Put_in_chunked_encoding_is_stored_too()
    {
        using var content = new StreamContent(new MemoryStream(Content(200_000)));
        using var request = new HttpRequestMessage(HttpMethod.Put, Path + "a") { Content = content };
        request.Headers.TransferEncodingChunked = true;

        using HttpResponseMessage response = await _house.Client.SendAsync(request, TestContext.Current.CancellationToken);

        Assert.Equal(200_000, (await response.JsonAsync()).GetProperty("size").GetInt64());
    }

    [Fact]
    public async Task Put_twice_under_one_key_is_one_version()
    {
        using HttpResponseMessage first = await _house.PutAsync(Path + "a", [1], ("Idempotency-Key", "k"));
        using HttpResponseMessage second = await _house.PutAsync(Path + "a", [1], ("Idempotency-Key", "k"));

        JsonElement answer = await second.JsonAsync();
        Assert.True(answer.GetProperty("replayed").GetBoolean());
        Assert.Equal((await first.JsonAsync()).GetProperty("uid").GetString(), answer.GetProperty("uid").GetString());
    }

    [Fact]
    public async Task Key_is_made_where_none_is_given_and_never_twice()
    {
        var keys = new HashSet<string>();
        for (int i = 0; i < 20; i++)
        {
            using HttpResponseMessage response = await _house.PutAsync(Path + "a", [1]);
            Assert.True(keys.Add(response.Header("Carillon-Key")));
        }

        Assert.Equal(keys, _house.Server.Submissions.Select(submit => submit.Key).ToHashSet());
        await using GatewayHouse other = await GatewayHouse.StartAsync();
        using HttpResponseMessage elsewhere = await other.PutAsync(Path + "a", [1]);
        Assert.DoesNotContain(elsewhere.Header("Carillon-Key"), keys);
    }

    [Theory]
    [InlineData("Idempotency-Key", "ü", 400, "bad-request")]
    [InlineData("Carillon-Ack", "maybe", 400, "bad-request")]
    [InlineData("If-Match", "1-0@s1", 400, "bad-request")]
    [InlineData("If-Match", "\"one\"", 400, "bad-request")]
    [InlineData("If-Match", "W/\"1-0@s1\"", 400, "bad-request")]
    [InlineData("If-Match", "\"1-0@s1\", \"2-0@s1\"", 400, "bad-request")]
    [InlineData("If-Match", "*", 400, "bad-request")]
    [InlineData("If-None-Match", "\"1-0@s1\"", 400, "bad-request")]
    [InlineData("If-Unmodified-Since", "Sat, 01 Jan 2000 00:00:00 GMT", 400, "bad-request")]
    [InlineData("Content-Range", "bytes 0-1/2", 400, "bad-request")]
    [InlineData("Content-Encoding", "gzip", 415, "unsupported-media")]
    [InlineData("Carillon-Sha256", "abc", 400, "bad-request")]
    [InlineData("Carillon-Sha256", "0000000000000000000000000000000000000000000000000000000000000000", 400, "integrity")]
    [InlineData("Carillon-Meta-x", "%zz", 400, "bad-request")]
    [InlineData("Carillon-Meta-x!", "1", 400, "bad-request")]
    [InlineData("Carillon-Meta-", "1", 400, "bad-request")]
    public async Task Put_with_a_header_that_can_not_be_honoured_is_refused_and_submits_nothing(
        string name, string value, int status, string code)
    {
        string raw = await _house.RawAsync(
            $"PUT {Path}a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 2\r\n"
            + $"{name}: {Encoding.Latin1.GetString(Encoding.UTF8.GetBytes(value))}\r\n\r\nab");

        Assert.StartsWith($"HTTP/1.1 {status} ", raw, StringComparison.Ordinal);
        Assert.Contains($"\"code\":\"{code}\"", raw, StringComparison.Ordinal);
        Assert.Empty(_house.Server.Submissions);
        Assert.Empty(_house.Server.Versions);
    }

    [Fact]
    public async Task Put_with_the_right_hash_or_agreed_acknowledgement_is_taken()
    {
        using HttpResponseMessage response = await _house.PutAsync(
            Path + "a", [1, 2], ("Carillon-Sha256", Digest.Of([1, 2]).ToString().ToUpperInvariant()), ("Carillon-Ack", "agreed"),
            ("Content-Encoding", "identity"));

        Assert.True(response.IsSuccessStatusCode);
    }

    [Fact]
    public async Task Write_that_is_only_agreed_is_answered_202_without_a_number()
    {
        using HttpResponseMessage put = await _house.PutAsync(Path + "a", [1], ("Carillon-Ack", "agreed"));
        using HttpResponseMessage delete = await _house.SendAsync(HttpMethod.Delete, Path + "a", null, ("Carillon-Ack", "agreed"));
        using HttpResponseMessage sequenced = await _house.PutAsync(Path + "a", [1], ("Carillon-Ack", "sequenced"));

        Assert.Equal(HttpStatusCode.Accepted, put.StatusCode);
        Assert.Equal(JsonValueKind.Null, (await put.JsonAsync()).GetProperty("sequence").ValueKind);
        Assert.Equal("", put.Header("Carillon-Sequence"));
        Assert.Equal(HttpStatusCode.Accepted, delete.StatusCode);
        Assert.Equal(HttpStatusCode.OK, sequenced.StatusCode);
        Assert.Equal(3, (await sequenced.JsonAsync()).GetProperty("sequence").GetInt32());
        Assert.Equal(
            [AckWanted.Agreed, AckWanted.Agreed, AckWanted.Sequenced], _house.Server.Submissions.Select(submit => submit.Ack));
    }

    [Fact]
    public async Task Condition_is_submitted_and_one_that_is_not_met_is_412_with_the_winner_and_the_number()
    {
        using HttpResponseMessage first = await _house.PutAsync(Path + "a", [1], ("If-None-Match", "*"));
        string uid = (await first.JsonAsync()).GetProperty("uid").GetString()!;
        using HttpResponseMessage again = await _house.PutAsync(Path + "a", [2], ("If-None-Match", "*"));
        using HttpResponseMessage swapped = await _house.PutAsync(Path + "a", [2], ("If-Match", $"\"{uid}\""));
        using HttpResponseMessage late = await _house.SendAsync(HttpMethod.Delete, Path + "a", null, ("If-Match", $"\"{uid}\""));
        using HttpResponseMessage absent = await _house.PutAsync(Path + "b", [2], ("If-Match", $"\"{uid}\""));

        Assert.Equal(HttpStatusCode.OK, first.StatusCode);
        Assert.Equal("1", first.Header("Carillon-Sequence"));
        JsonElement problem = await again.ProblemAsync(412, "precondition-failed");
        Assert.Equal(uid, problem.GetProperty("winner").GetString());
        Assert.Equal(2, problem.GetProperty("sequence").GetInt32());
        Assert.Equal("2", again.Header("Carillon-Sequence"));
        Assert.False(problem.GetProperty("retryable").GetBoolean());
        Assert.NotEqual("", problem.GetProperty("submission").GetString());
        Assert.Equal(HttpStatusCode.OK, swapped.StatusCode);
        string winner = (await swapped.JsonAsync()).GetProperty("uid").GetString()!;
        Assert.Equal(winner, (await late.ProblemAsync(412, "precondition-failed")).GetProperty("winner").GetString());
        problem = await absent.ProblemAsync(412, "precondition-failed");
        Assert.False(problem.TryGetProperty("winner", out _));
        Assert.Contains("not there", problem.GetProperty("detail").GetString(), StringComparison.Ordinal);
        Assert.True(Uid.TryParse(uid, out Uid expected));
        Assert.Equal(
            [Precondition.Absent, Precondition.Absent, Precondition.Match(expected), Precondition.Match(expected)],
            _house.Server.Submissions.Take(4).Select(submit => submit.Operations[0].Precondition));
    }

    [Fact]
    public async Task Two_conditions_do_not_go_together()
    {
        using HttpResponseMessage response = await _house.PutAsync(Path + "a", [1], ("If-None-Match", "*"), ("If-Match", "\"1-0@s1\""));
        await response.ProblemAsync(400, "bad-request");
        Assert.Empty(_house.Server.Submissions);
    }

    [Fact]
    public async Task Put_with_the_wrong_hash_gives_its_upload_up()
    {
        using HttpResponseMessage response = await _house.PutAsync(Path + "a", Content(100_000), ("Carillon-Sha256", new string('0', 64)));

        await response.ProblemAsync(400, "integrity");
        Assert.False(Assert.Single(_house.Server.Abandoned).IsNone);
        Assert.Empty(_house.Server.Submissions);
    }

    [Theory]
    [InlineData("a", 200)]
    [InlineData("a/b/c", 200)]
    [InlineData("a%2Fb", 200)]
    [InlineData("a%20b+c", 200)]
    [InlineData("%C3%BC%F0%9F%94%94", 200)]
    [InlineData("..a", 200)]
    [InlineData(".hidden/x", 200)]
    [InlineData("%252e%252e", 200)]
    [InlineData("a%5Cb", 200)]
    [InlineData("", 400)]
    [InlineData("/a", 400)]
    [InlineData("a/", 400)]
    [InlineData("a//b", 400)]
    [InlineData(".", 400)]
    [InlineData("..", 400)]
    [InlineData("a/../b", 400)]
    [InlineData("../../../etc/passwd", 400)]
    [InlineData("%2e%2e/b", 400)]
    [InlineData("a/%2E%2E", 400)]
    [InlineData("a%2F..%2Fb", 400)]
    [InlineData("a/./b", 400)]
    [InlineData("%2Fetc", 400)]
    [InlineData("a%0Ab", 400)]
    [InlineData("a%0D%0AX: y", 400)]
    [InlineData("a%7F", 400)]
    [InlineData("%C2%85", 400)]
    [InlineData("%FF", 400)]
    [InlineData("%C0%AE%C0%AE/x", 400)]
    [InlineData("%zz", 400)]
    [InlineData("a%", 400)]
    public async Task Names_follow_the_rules_after_one_decoding(string encoded, int status)
    {
        string target = Path + encoded.Replace(" ", "%20", StringComparison.Ordinal);
        string raw = await _house.RawAsync(
            $"PUT {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx");

        Assert.StartsWith($"HTTP/1.1 {status} ", raw, StringComparison.Ordinal);
        Assert.Equal(status == 200 ? 1 : 0, _house.Server.Versions.Count);
        if (status == 200)
        {
            Assert.Equal(Uri.UnescapeDataString(encoded), _house.Server.Versions.Single().Key.Name);
        }
        else
        {
            Assert.Contains("\"code\":\"bad-name\"", raw, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task Name_of_1024_bytes_is_taken_and_of_1025_refused()
    {
        string longest = string.Concat(Enumerable.Repeat("%C3%BC", 512));
        using HttpResponseMessage taken = await _house.PutAsync(Path + longest, [1]);
        using HttpResponseMessage refused = await _house.PutAsync(Path + longest + "a", [1]);

        Assert.Equal(HttpStatusCode.OK, taken.StatusCode);
        JsonElement problem = await refused.ProblemAsync(400, "bad-name");
        Assert.Contains("1025", problem.GetProperty("detail").GetString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("ab")]
    [InlineData("Files")]
    [InlineData(".system")]
    [InlineData("a%2Fb")]
    [InlineData("%2e%2e%2e")]
    [InlineData("a%zzb")]
    public async Task Bucket_names_follow_the_rules(string bucket)
    {
        string raw = await _house.RawAsync(
            $"PUT /v1/buckets/{bucket}/objects/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx");

        Assert.StartsWith("HTTP/1.1 400 ", raw, StringComparison.Ordinal);
        Assert.Contains("\"code\":\"bad-bucket-name\"", raw, StringComparison.Ordinal);
        Assert.Empty(_house.Server.Submissions);
    }

    [Theory]
    [InlineData(RejectionReason.NoQuorum, 503, "no-quorum", true)]
    [InlineData(RejectionReason.PushTimeout, 503, "push-timeout", true)]
    [InlineData(RejectionReason.ClockSkew, 503, "clock-skew", true)]
    [InlineData(RejectionReason.Full, 507, "full", false)]
    [InlineData(RejectionReason.KeyMismatch, 409, "key-mismatch", false)]
    [InlineData(RejectionReason.KeyFenced, 409, "key-rejected", false)]
    [InlineData(RejectionReason.BucketNotFound, 404, "bucket-not-found", false)]
    [InlineData(RejectionReason.BucketExists, 409, "bucket-exists", false)]
    [InlineData(RejectionReason.BucketNotEmpty, 409, "bucket-not-empty", false)]
    [InlineData(RejectionReason.Resolved, 503, "rejected", true)]
    [InlineData(RejectionReason.NotVoting, 503, "not-voting", true)]
    public async Task Rejections_keep_their_reason(RejectionReason reason, int status, string code, bool retryable)
    {
        _house.Server.OnSubmit = _ => Task.FromResult<SubmitOutcome>(new SubmitOutcome.Rejected(reason, "the detail"));
        using HttpResponseMessage submitted = await _house.PutAsync(Path + "a", [1], ("Idempotency-Key", "k"));
        _house.Server.OnStore = _ => new StoreOutcome.Refused(reason, "the detail");
        using HttpResponseMessage stored = await _house.PutAsync(Path + "a", [1], ("Idempotency-Key", "k"));

        foreach (HttpResponseMessage response in (HttpResponseMessage[])[submitted, stored])
        {
            JsonElement problem = await response.ProblemAsync(status, code);
            Assert.Equal("the detail", problem.GetProperty("detail").GetString());
            Assert.Equal(retryable, problem.GetProperty("retryable").GetBoolean());
            Assert.Equal("k", problem.GetProperty("key").GetString());
            Assert.Equal("k", response.Header("Carillon-Key"));
        }

        Assert.Single(_house.Server.Submissions);
    }

    [Fact]
    public void Every_rejection_reason_has_an_answer() =>
        Assert.All(Enum.GetValues<RejectionReason>(), reason => Assert.NotNull(Problems.ProblemTypes.Of(reason)));

    [Fact]
    public async Task Unknown_outcome_names_the_submission_and_the_key()
    {
        Tag tag = _house.Server.NextTag();
        _house.Server.OnSubmit = _ => Task.FromResult<SubmitOutcome>(new SubmitOutcome.Unknown(tag));
        using HttpResponseMessage response = await _house.PutAsync(Path + "a", [1]);

        JsonElement problem = await response.ProblemAsync(504, "outcome-unknown");
        Assert.Equal(tag.ToString(), problem.GetProperty("submission").GetString());
        Assert.Equal(response.Header("Carillon-Key"), problem.GetProperty("key").GetString());
    }

    [Fact]
    public async Task Exception_out_of_a_submission_is_an_unknown_outcome_and_never_a_failure()
    {
        _house.Server.OnSubmit = _ => throw new InvalidOperationException("the node stopped");
        using HttpResponseMessage response = await _house.SendAsync(HttpMethod.Delete, Path + "a");

        JsonElement problem = await response.ProblemAsync(504, "outcome-unknown");
        Assert.Equal(response.Header("Carillon-Key"), problem.GetProperty("key").GetString());
        Assert.DoesNotContain("the node stopped", problem.ToString(), StringComparison.Ordinal);
        Assert.True(_house.Log.Failures.TryDequeue(out Exception? logged));
        Assert.Equal("the node stopped", logged.Message);
    }

    [Fact]
    public async Task Exception_while_storing_is_an_internal_failure_without_a_submission()
    {
        _house.Server.OnStore = _ => throw new InvalidOperationException("secret");
        using HttpResponseMessage response = await _house.PutAsync(Path + "a", [1]);

        JsonElement problem = await response.ProblemAsync(500, "internal");
        Assert.DoesNotContain("secret", problem.ToString(), StringComparison.Ordinal);
        Assert.True(_house.Log.Failures.TryDequeue(out Exception? logged));
        Assert.Equal("secret", logged.Message);
        Assert.Empty(_house.Server.Submissions);
    }

    [Theory]
    [InlineData("Content-Length: 1000\r\n\r\nonly a part", true)]
    [InlineData("Content-Length: 1000\r\n\r\nonly a part", false)]
    [InlineData("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", true)]
    [InlineData("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", false)]
    [InlineData("Transfer-Encoding: chunked\r\n\r\n5\r\nhel", true)]
    [InlineData("Transfer-Encoding: chunked\r\n\r\n5\r\nhel", false)]
    public async Task Body_that_is_cut_off_becomes_nothing(string rest, bool reset)
    {
        await _house.CutAsync($"PUT {Path}a HTTP/1.1\r\nHost: localhost\r\n{rest}", () => _house.Server.Stores == 1, reset);

        await Eventually.Async(() => !_house.Server.BrokenBodies.IsEmpty);
        Assert.Empty(_house.Server.Submissions);
        Assert.Empty(_house.Server.Versions);
    }

    [Fact]
    public async Task Body_that_is_not_well_formed_chunked_encoding_becomes_nothing()
    {
        string raw = await _house.RawAsync(
            $"PUT {Path}a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n\r\n");

        Assert.StartsWith("HTTP/1.1 400 ", raw, StringComparison.Ordinal);
        Assert.Empty(_house.Server.Submissions);
    }

    [Fact]
    public async Task Body_shorter_than_its_store_says_becomes_nothing()
    {
        _house.Server.OnStore = _ => new StoreOutcome.Stored(
            new ObjectManifest { Size = 1, Sha256 = Digest.Of([1]), Inline = new byte[] { 1 } }, _house.Server.NextTag());
        using HttpResponseMessage response = await _house.PutAsync(Path + "a", [1, 2]);

        await response.ProblemAsync(400, "incomplete");
        Assert.Single(_house.Server.Abandoned);
        Assert.Empty(_house.Server.Submissions);
    }

    [Theory]
    [InlineData("17592186044417")]
    [InlineData("9223372036854775807")]
    public async Task Object_larger_than_the_limit_is_refused_before_it_is_sent(string length)
    {
        string raw = await _house.RawAsync(
            $"PUT {Path}a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n");

        Assert.StartsWith("HTTP/1.1 413 ", raw, StringComparison.Ordinal);
        Assert.Contains("\"code\":\"too-large\"", raw, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("-1")]
    [InlineData("1, 2")]
    [InlineData("abc")]
    [InlineData("99999999999999999999999")]
    public async Task Broken_length_is_refused(string length)
    {
        string raw = await _house.RawAsync($"PUT {Path}a HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\nx");

        Assert.StartsWith("HTTP/1.1 400 ", raw, StringComparison.Ordinal);
        Assert.Empty(_house.Server.Submissions);
    }

    [Fact]
    public async Task Metadata_comes_back_as_it_was()
    {
        using HttpResponseMessage put = await _house.PutAsync(
            Path + "a", [1], ("Carillon-Meta-Title", "Gl%C3%B6ckchen%0D%0AX-Evil%3A%201"), ("carillon-meta-empty", ""),
            ("Carillon-Meta-b.c_d-1", "plain"));
        using HttpResponseMessage get = await _house.GetAsync(Path + "a");

        Assert.Equal(HttpStatusCode.OK, put.StatusCode);
        Assert.Equal(
            [new("b.c_d-1", "plain"), new("empty", ""), new("title", "Glöckchen\r\nX-Evil: 1")],
            _house.Server.Submissions.Single().Operations[0].Manifest!.Metadata);
        Assert.Equal("Gl%C3%B6ckchen%0D%0AX-Evil%3A%201", get.Header("Carillon-Meta-title"));
        Assert.Equal("plain", get.Header("Carillon-Meta-b.c_d-1"));
        Assert.False(get.Headers.Contains("X-Evil"));
    }

    [Fact]
    public async Task Metadata_of_8_kib_is_taken_and_a_byte_more_is_413()
    {
        // "application/octet-stream" is not sent: the media type counts too.
        using HttpResponseMessage taken = await _house.PutAsync(
            Path + "a", [1], ("Carillon-Meta-a", new string('x', 4095)), ("Carillon-Meta-b", new string('x', 4095)));
        using HttpResponseMessage refused = await _house.PutAsync(
            Path + "a", [1], ("Carillon-Meta-a", new string('x', 4095)), ("Carillon-Meta-b", new string('x', 4096)));

        Assert.Equal(HttpStatusCode.OK, taken.StatusCode);
        await refused.ProblemAsync(413, "too-large");
        Assert.Single(_house.Server.Submissions);
    }

    [Fact]
    public async Task Metadata_of_8_kib_fits_when_all_of_it_is_percent_encoded()
    {
        using HttpResponseMessage taken = await _house.PutAsync(
            Path + "a", [1], ("Carillon-Meta-a", string.Concat(Enumerable.Repeat("%C3%BC", 4095))));

        Assert.Equal(HttpStatusCode.OK, taken.StatusCode);
    }

    [Fact]
    public async Task Metadata_of_more_than_100_entries_is_413()
    {
        (string, string)[] headers = [.. Enumerable.Range(0, 101).Select(i => ($"Carillon-Meta-k{i}", "v"))];
        using HttpResponseMessage refused = await _house.PutAsync(Path + "a", [1], headers);
        using HttpResponseMessage taken = await _house.PutAsync(Path + "a", [1], headers[1..]);

        await refused.ProblemAsync(413, "too-large");
        Assert.Equal(HttpStatusCode.OK, taken.StatusCode);
    }

    [Fact]
    public async Task Metadata_header_given_twice_is_refused()
    {
        string raw = await _house.RawAsync(
            $"PUT {Path}a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 1\r\n"
            + "Carillon-Meta-x: 1\r\nCarillon-Meta-X: 2\r\n\r\nx");

        Assert.StartsWith("HTTP/1.1 400 ", raw, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Delete_says_whether_there_was_something()
    {
        _house.Server.Add(new ObjectName("files", "a"), new byte[] { 1 });
        using HttpResponseMessage first = await _house.SendAsync(HttpMethod.Delete, Path + "a");
        using HttpResponseMessage second = await _house.SendAsync(HttpMethod.Delete, Path + "a", null, ("Idempotency-Key", "k"));

        JsonElement answer = await first.JsonAsync();
        Assert.True(answer.GetProperty("existed").GetBoolean());
        Assert.Equal(0, answer.GetProperty("size").GetInt64());
        Assert.Equal(JsonValueKind.Null, answer.GetProperty("sha256").ValueKind);
        Assert.Equal(_house.Server.Versions[new ObjectName("files", "a")][1].Uid.ToString(), answer.GetProperty("uid").GetString());
        Assert.False((await second.JsonAsync()).GetProperty("existed").GetBoolean());
        Assert.Equal("k", second.Header("Carillon-Key"));
    }

    [Theory]
    [InlineData("If-Match", "*")]
    [InlineData("Carillon-Ack", "soon")]
    public async Task Delete_with_a_condition_that_is_none_is_refused(string name, string value)
    {
        using HttpResponseMessage response = await _house.SendAsync(HttpMethod.Delete, Path + "a", null, (name, value));

        await response.ProblemAsync(400, "bad-request");
        Assert.Empty(_house.Server.Submissions);
    }

    [Theory]
    [InlineData("PUT", "?replicas=1")]
    [InlineData("DELETE", "?version=1-0@s1")]
    [InlineData("GET", "?verison=1-0@s1")]
    public async Task Unknown_query_parameters_are_refused(string method, string query)
    {
        using HttpResponseMessage response = await _house.SendAsync(
            new HttpMethod(method), Path + "a" + query, method == "PUT" ? new ByteArrayContent([1]) : null);

        await response.ProblemAsync(400, "bad-request");
        Assert.Empty(_house.Server.Submissions);
    }

    [Theory]
    [InlineData("POST", "/v1/buckets/files/objects/a", "GET, HEAD, PUT, DELETE")]
    [InlineData("PATCH", "/v1/buckets/files", "GET, HEAD, PUT, DELETE")]
    [InlineData("DELETE", "/v1/buckets", "GET, HEAD")]
    [InlineData("PUT", "/v1/buckets/files/objects", "GET, HEAD")]
    [InlineData("GET", "/v1/changesets", "POST")]
    [InlineData("DELETE", "/v1/submissions?key=k", "GET, HEAD")]
    [InlineData("POST", "/v1/cluster", "GET, HEAD")]
    [InlineData("POST", "/healthz/live", "GET, HEAD")]
    public async Task Wrong_methods_are_told_the_right_ones(string method, string path, string allowed)
    {
        using HttpResponseMessage response = await _house.SendAsync(new HttpMethod(method), path);

        await response.ProblemAsync(405, "method-not-allowed");
        Assert.Equal(allowed, string.Join(", ", response.Content.Headers.Allow));
    }

    [Fact]
    public async Task Expect_continue_is_answered_before_the_body_is_sent()
    {
        using var request = new HttpRequestMessage(HttpMethod.Put, Path + "a") { Content = new ByteArrayContent(Content(100)) };
        request.Headers.ExpectContinue = true;
        using HttpResponseMessage response = await _house.Client.SendAsync(request, TestContext.Current.CancellationToken);

        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
    }

    [Fact]
    public async Task Slow_submission_is_not_cut_short_when_the_client_goes()
    {
        var release = new TaskCompletionSource();
        var ended = new TaskCompletionSource();
        _house.Server.OnSubmit = async _ =>
        {
            await release.Task;
            ended.SetResult();
            return new SubmitOutcome.Unknown(_house.Server.NextTag());
        };
        using var gone = new CancellationTokenSource();
        Task<HttpResponseMessage> put = _house.Client.PutAsync(Path + "a", new ByteArrayContent([1]), gone.Token);
        await Eventually.Async(() => !_house.Server.Submissions.IsEmpty);
        await gone.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => put);

        release.SetResult();
        await ended.Task.WaitAsync(TimeSpan.FromSeconds(10), TestContext.Current.CancellationToken);
    }

    private static byte[] Content(int size)
    {
        byte[] content = new byte[size];
        new Random(size).NextBytes(content);
        return content;
    }
}
