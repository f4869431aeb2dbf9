using System.Net;
using System.Text;
using System.Text.Json;
using Carillon.Gateway.Tests.Serving;
using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.VectorExchange;
using Carillon.Runtime.Serving;
using Carillon.Storage.Catalogs;
using Xunit;

namespace Carillon.Gateway.Tests.Objects;

/// <summary>GET and HEAD of objects.</summary>
public sealed class ObjectReadTests : IAsyncLifetime
{
    private const string Path = "/v1/buckets/files/objects/a";

    private static readonly ObjectName Name = new("files", "a");

    private GatewayHouse _house = null!;

    public async ValueTask InitializeAsync() => _house = await GatewayHouse.StartAsync();

    public ValueTask DisposeAsync() => _house.DisposeAsync();

    [Theory]
    [InlineData(0)]
    [InlineData(5)]
    [InlineData(65_537)]
    [InlineData(2_500_000)]
    public async Task Get_sends_the_content_and_tells_about_it(int size)
    {
        byte[] content = Content(size);
        Uid uid = _house.Server.Add(Name, content, [new("carillon-mtime", "2020-02-03T04:05:06.1234567Z"), new("k", "ü")], "text/plain");
        using HttpResponseMessage response = await _house.GetAsync(Path);

        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.Equal(content, await response.Content.ReadAsByteArrayAsync(TestContext.Current.CancellationToken));
        AssertDescribed(response, uid, content);
        Assert.Equal("bytes", response.Header("Accept-Ranges"));
        Assert.Equal("no-cache", response.Header("Cache-Control"));
        Assert.Equal("nosniff", response.Header("X-Content-Type-Options"));
        Assert.Equal("sandbox", response.Header("Content-Security-Policy"));
    }

    [Fact]
    public async Task Head_tells_the_same_without_the_content()
    {
        byte[] content = Content(300_000);
        Uid uid = _house.Server.Add(Name, content, [new("carillon-mtime", "2020-02-03T04:05:06Z"), new("k", "ü")], "text/plain");
        _house.Server.OnContent = (_, _, _, _, _) => throw new InvalidOperationException("a HEAD reads no content");
        using HttpResponseMessage response = await _house.SendAsync(HttpMethod.Head, Path, null, ("Range", "bytes=0-1"));

        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        AssertDescribed(response, uid, content);
    }

    [Fact]
    public async Task Modified_is_the_versions_own_time_where_the_client_gave_none_that_can_be_read()
    {
        Uid uid = _house.Server.Add(Name, "x"u8.ToArray(), [new("carillon-mtime", "yesterday")]);
        using HttpResponseMessage response = await _house.GetAsync(Path);

        Assert.Equal(uid.Stamp.Milliseconds / 1000, response.Content.Headers.LastModified!.Value.ToUnixTimeSeconds());
        Assert.Equal("application/octet-stream", response.Content.Headers.ContentType!.MediaType);
    }

    [Theory]
    [InlineData("bytes=2-4", 206, "cde", "bytes 2-4/10")]
    [InlineData("bytes=7-", 206, "hij", "bytes 7-9/10")]
    [InlineData("bytes=-2", 206, "ij", "bytes 8-9/10")]
    [InlineData("bytes=0-99", 206, "abcdefghij", "bytes 0-9/10")]
    [InlineData("bytes=0-1,4-5", 200, "abcdefghij", "")]
    [InlineData("bytes=x", 200, "abcdefghij", "")]
    public async Task Range_is_a_part_or_the_whole(string range, int status, string expected, string contentRange)
    {
        _house.Server.Add(Name, "abcdefghij"u8.ToArray());
        using HttpResponseMessage response = await _house.GetAsync(Path, ("Range", range));

        Assert.Equal(status, (int)response.StatusCode);
        Assert.Equal(expected, await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken));
        Assert.Equal(contentRange, response.Header("Content-Range"));
        Assert.Equal(expected.Length, response.Content.Headers.ContentLength);
    }

    [Fact]
    public async Task Range_of_chunked_content_is_cut_at_the_byte()
    {
        byte[] content = Content(3_000_000);
        _house.Server.Add(Name, content);
        using HttpResponseMessage response = await _house.GetAsync(Path, ("Range", "bytes=1048570-2097160"));

        Assert.Equal(content[1048570..2097161], await response.Content.ReadAsByteArrayAsync(TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task Range_behind_the_end_is_416()
    {
        _house.Server.Add(Name, "abc"u8.ToArray());
        using HttpResponseMessage response = await _house.GetAsync(Path, ("Range", "bytes=3-"));

        await response.ProblemAsync(416, "range-not-satisfiable");
        Assert.Equal("bytes */3", response.Header("Content-Range"));
        Assert.False(response.Headers.Contains("ETag"));
    }

    [Fact]
    public async Task Range_counts_only_if_it_is_of_the_same_version()
    {
        Uid uid = _house.Server.Add(Name, "abc"u8.ToArray());
        using HttpResponseMessage same = await _house.GetAsync(Path, ("Range", "bytes=1-"), ("If-Range", $"\"{uid}\""));
        using HttpResponseMessage other = await _house.GetAsync(Path, ("Range", "bytes=1-"), ("If-Range", "\"1-0@s1\""));

        Assert.Equal(206, (int)same.StatusCode);
        Assert.Equal(200, (int)other.StatusCode);
    }

    [Fact]
    public async Task Conditions_are_decided_by_the_uid()
    {
        Uid uid = _house.Server.Add(Name, "abc"u8.ToArray());
        using HttpResponseMessage matches = await _house.GetAsync(Path, ("If-Match", $"\"1-0@s1\", \"{uid}\""));
        using HttpResponseMessage other = await _house.GetAsync(Path, ("If-Match", "\"1-0@s1\""));
        using HttpResponseMessage known = await _house.GetAsync(Path, ("If-None-Match", $"W/\"{uid}\""));
        using HttpResponseMessage unknown = await _house.GetAsync(Path, ("If-None-Match", "\"1-0@s1\""));

        Assert.Equal(200, (int)matches.StatusCode);
        JsonElement problem = await other.ProblemAsync(412, "precondition-failed");
        Assert.Equal(uid.ToString(), problem.GetProperty("winner").GetString());
        Assert.Equal(304, (int)known.StatusCode);
        Assert.Equal($"\"{uid}\"", known.Header("ETag"));
        Assert.Equal(200, (int)unknown.StatusCode);
    }

    [Fact]
    public async Task Older_version_is_read_by_its_uid()
    {
        Uid old = _house.Server.Add(Name, "old"u8.ToArray());
        _house.Server.Add(Name, "new"u8.ToArray());
        using HttpResponseMessage current = await _house.GetAsync(Path);
        using HttpResponseMessage older = await _house.GetAsync($"{Path}?version={Uri.EscapeDataString(old.ToString())}");
        using HttpResponseMessage raw = await _house.GetAsync($"{Path}?version={old}");
        using HttpResponseMessage none = await _house.GetAsync(Path + "?version=1-0@s9");

        Assert.Equal("new", await current.Content.ReadAsStringAsync(TestContext.Current.CancellationToken));
        Assert.Equal("old", await older.Content.ReadAsStringAsync(TestContext.Current.CancellationToken));
        Assert.Equal("old", await raw.Content.ReadAsStringAsync(TestContext.Current.CancellationToken));
        await none.ProblemAsync(404, "not-found");
    }

    [Theory]
    [InlineData("", "Linearizable", 200)]
    [InlineData("?consistency=linearizable", "Linearizable", 200)]
    [InlineData("?consistency=local", "Local", 200)]
    [InlineData("?consistency=eventual", "", 400)]
    [InlineData("?version=latest", "", 400)]
    public async Task Consistency_is_handed_on(string query, string expected, int status)
    {
        Uid uid = _house.Server.Add(Name, "abc"u8.ToArray());
        string asked = "";
        ObjectManifest manifest = _house.Server.Versions[Name][0].Manifest!;
        _house.Server.OnRead = (_, _, consistency) =>
        {
            asked = consistency.ToString();
            return new ReadOutcome.Found(uid, default, manifest);
        };
        using HttpResponseMessage response = await _house.GetAsync(Path + query);

        Assert.Equal(status, (int)response.StatusCode);
        Assert.Equal(expected, asked);
    }

    [Fact]
    public async Task Deleted_name_tells_its_tombstone()
    {
        _house.Server.Add(Name, "abc"u8.ToArray());
        Uid tombstone = _house.Server.Remove(Name);
        using HttpResponseMessage response = await _house.GetAsync(Path);
        using HttpResponseMessage head = await _house.SendAsync(HttpMethod.Head, Path);

        JsonElement problem = await response.ProblemAsync(404, "not-found");
        Assert.Equal(tombstone.ToString(), problem.GetProperty("tombstone").GetString());
        Assert.Equal(tombstone.ToString(), response.Header("Carillon-Tombstone"));
        Assert.Equal("not-found", head.Header("Carillon-Problem"));
        Assert.Equal(tombstone.ToString(), head.Header("Carillon-Tombstone"));
    }

    [Fact]
    public async Task Absent_name_and_absent_bucket_are_told_apart()
    {
        using HttpResponseMessage name = await _house.GetAsync(Path);
        using HttpResponseMessage bucket = await _house.GetAsync("/v1/buckets/nothing/objects/a");
        using HttpResponseMessage local = await _house.GetAsync("/v1/buckets/nothing/objects/a?consistency=local");
        using HttpResponseMessage system = await _house.GetAsync("/v1/buckets/.system/objects/a");

        await name.ProblemAsync(404, "not-found");
        await bucket.ProblemAsync(404, "bucket-not-found");
        await local.ProblemAsync(404, "not-found");
        await system.ProblemAsync(404, "not-found");
    }

    [Fact]
    public async Task Read_that_can_not_be_decided_is_503()
    {
        _house.Server.OnRead = (_, _, _) => new ReadOutcome.Unavailable("no quorum answered");
        using HttpResponseMessage undecided = await _house.GetAsync(Path);
        _house.Server.OnRead = (_, _, _) => new ReadOutcome.Absent(default);
        _house.Server.OnFindBucket = _ => throw new TimeoutException("no quorum answered");
        using HttpResponseMessage late = await _house.GetAsync(Path);

        await undecided.ProblemAsync(503, "read-unavailable");
        await late.ProblemAsync(503, "read-unavailable");
    }

    [Fact]
    public async Task Node_that_takes_no_more_work_is_503_stopping()
    {
        _house.Server.OnRead = (_, _, _) => throw new OperationCanceledException();
        using HttpResponseMessage response = await _house.GetAsync(Path);

        await response.ProblemAsync(503, "stopping");
    }

    [Fact]
    public async Task Content_that_can_not_be_had_at_all_is_503()
    {
        _house.Server.Add(Name, Content(100_000));
        _house.Server.OnContent = (_, _, _, _, _) => throw new ContentUnavailableException("no copy of the chunk");
        using HttpResponseMessage response = await _house.GetAsync(Path, ("Range", "bytes=1-"));

        await response.ProblemAsync(503, "read-unavailable");
        Assert.Equal("", response.Header("Content-Range"));
        Assert.Equal("", response.Header("ETag"));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Content_that_ends_early_breaks_the_connection_and_never_looks_whole(bool throws)
    {
        _house.Server.Add(Name, Content(200_000));
        _house.Server.OnContent = async (_, _, _, output, cancellation) =>
        {
            await output.WriteAsync(new byte[100_000], cancellation);
            if (throws)
            {
                throw new ContentUnavailableException("no copy of the chunk");
            }
        };

        await Assert.ThrowsAnyAsync<HttpRequestException>(async () =>
        {
            using HttpResponseMessage response = await _house.GetAsync(Path);
        });
        string raw = await _house.RawAsync($"GET {Path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        Assert.Contains("Content-Length: 200000", raw, StringComparison.Ordinal);
        Assert.True(raw.Length < 110_000, $"{raw.Length} characters");

        // Kestrel finds out too.
        while (!throws && _house.Log.Failures.TryDequeue(out Exception? mismatch))
        {
            Assert.Contains("too few bytes", mismatch.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task Download_ends_when_the_client_goes()
    {
        _house.Server.Add(Name, Content(200_000));
        var started = new TaskCompletionSource();
        var ended = new TaskCompletionSource();
        _house.Server.OnContent = async (_, _, _, output, cancellation) =>
        {
            await output.WriteAsync(new byte[1000], cancellation);
            await using CancellationTokenRegistration gone = cancellation.Register(ended.SetResult);
            started.SetResult();
            await ended.Task;
            cancellation.ThrowIfCancellationRequested();
        };
        using (var gone = new CancellationTokenSource())
        {
            Task<byte[]> get = _house.Client.GetByteArrayAsync(Path, gone.Token);
            await started.Task.WaitAsync(TimeSpan.FromSeconds(10), TestContext.Current.CancellationToken);
            await gone.CancelAsync();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => get);
        }

        await ended.Task.WaitAsync(TimeSpan.FromSeconds(10), TestContext.Current.CancellationToken);
    }

    [Fact]
    public async Task Number_of_what_was_read_is_told_and_of_a_tombstone_and_of_a_listing()
    {
        using HttpResponseMessage put = await _house.PutAsync(Path, [1]);
        using HttpResponseMessage read = await _house.GetAsync(Path);
        using HttpResponseMessage head = await _house.SendAsync(HttpMethod.Head, Path);
        using HttpResponseMessage deleted = await _house.SendAsync(HttpMethod.Delete, Path);
        using HttpResponseMessage gone = await _house.GetAsync(Path);
        using HttpResponseMessage agreed = await _house.PutAsync(Path, [1], ("Carillon-Ack", "agreed"));
        _house.Server.OnList = _ => new ListPage([], [], "") { Number = new SequenceNumber(17) };
        using HttpResponseMessage listed = await _house.GetAsync("/v1/buckets/files/objects");

        Assert.Equal(["1", "1", "1", "2"], new[] { put, read, head, deleted }.Select(response => response.Header("Carillon-Sequence")));
        Assert.Equal("2", gone.Header("Carillon-Sequence"));
        Assert.Equal(2, (await gone.ProblemAsync(404, "not-found")).GetProperty("sequence").GetInt32());
        Assert.Equal("17", listed.Header("Carillon-Sequence"));
        Assert.Equal(17, (await listed.JsonAsync()).GetProperty("sequence").GetInt32());
    }

    [Fact]
    public async Task Unknown_paths_are_404()
    {
        foreach (string path in (string[])["/", "/v1", "/v1/feed/x", "/v1/groups/g/messages", "/v2/buckets", "/index.html"])
        {
            using HttpResponseMessage response = await _house.GetAsync(path);
            await response.ProblemAsync(404, "no-such-route");
        }
    }

    [Fact]
    public async Task Random_raw_targets_never_make_the_server_fail()
    {
        string[] pieces =
        [
            "/", ".", "..", "%2e", "%2f", "%0d%0a", "%C0%AF", "%", "v1", "buckets", "files", "objects", "a", "?", "=", "&",
            "versions", "limit", "+", "%20", "#", "\\", "submissions", "explain",
        ];
        var random = new RandomSource(11);
        for (int i = 0; i < 300; i++)
        {
            var target = new StringBuilder("/");
            for (int count = random.Below(10); count > 0; count--)
            {
                target.Append(pieces[random.Below(pieces.Length)]);
            }

            string raw = await _house.RawAsync($"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
            Assert.Matches("^HTTP/1.1 (200|400|404|405) ", raw);
        }
    }

    private static void AssertDescribed(HttpResponseMessage response, Uid uid, byte[] content)
    {
        Assert.Equal($"\"{uid}\"", response.Header("ETag"));
        Assert.Equal(Digest.Of(content).ToString(), response.Header("Carillon-Sha256"));
        Assert.Equal(content.Length, response.Content.Headers.ContentLength);
        Assert.Equal("text/plain", response.Content.Headers.ContentType!.MediaType);
        Assert.Equal("Mon, 03 Feb 2020 04:05:06 GMT", response.Header("Last-Modified"));
        Assert.Equal("%C3%BC", response.Header("Carillon-Meta-k"));
    }

    private static byte[] Content(int size)
    {
        byte[] content = new byte[size];
        new Random(size).NextBytes(content);
        return content;
    }
}
