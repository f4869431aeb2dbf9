using System.Net;
using System.Net.Http.Headers;
using System.Text.Json;
using Carillon.Gateway.Tests.Serving;
using Carillon.Protocols;
using Xunit;

namespace Carillon.Gateway.Tests;

/// <summary>The routes over three real servers: what the fake stands for holds of them.</summary>
public sealed class RealServerTests : IAsyncLifetime
{
    private const string Objects = "/v1/buckets/files/objects/";

    private RealTrio _trio = null!;

    public async ValueTask InitializeAsync()
    {
        _trio = await RealTrio.StartAsync();
        using HttpResponseMessage made = await SendAsync(0, HttpMethod.Put, "/v1/buckets/files", new StringContent("""{"versions":3}"""));
        Assert.Equal(HttpStatusCode.OK, made.StatusCode);
    }

    public ValueTask DisposeAsync() => _trio.DisposeAsync();

    [Fact]
    public async Task Object_put_at_one_server_is_got_listed_and_deleted_at_others()
    {
        foreach (int size in (int[])[0, 1000, 65_537, 5_000_003])
        {
            await PutGetListDeleteAsync(size);
        }
    }

    [Fact]
    public async Task Keys_submissions_and_explanations_are_told_everywhere()
    {
        using HttpResponseMessage first = await SendAsync(
            0, HttpMethod.Put, Objects + "k", new ByteArrayContent([1]), ("Idempotency-Key", "one"));
        using HttpResponseMessage again = await SendAsync(
            1, HttpMethod.Put, Objects + "k", new ByteArrayContent([1]), ("Idempotency-Key", "one"));
        using HttpResponseMessage other = await SendAsync(
            1, HttpMethod.Put, Objects + "k", new ByteArrayContent([2]), ("Idempotency-Key", "one"));
        string uid = (await first.JsonAsync()).GetProperty("uid").GetString()!;
        string id = (await again.JsonAsync()).GetProperty("submission").GetString()!;

        Assert.True(again.IsSuccessStatusCode); // 202 where the other server has not applied it yet
        Assert.Equal(uid, (await again.JsonAsync()).GetProperty("uid").GetString());
        Assert.True((await again.JsonAsync()).GetProperty("replayed").GetBoolean());
        await ProblemAsync(other, 409, "key-mismatch");
        for (int server = 0; server < 3; server++)
        {
            using HttpResponseMessage byKey = await SendAsync(server, HttpMethod.Get, "/v1/submissions?key=one");
            using HttpResponseMessage byId = await SendAsync(server, HttpMethod.Get, "/v1/submissions/" + Uri.EscapeDataString(id));
            Assert.Equal("accepted", (await byKey.JsonAsync()).GetProperty("outcome").GetString());
            Assert.Equal(uid, (await byKey.JsonAsync()).GetProperty("uid").GetString());
            Assert.Equal("accepted", (await byId.JsonAsync()).GetProperty("outcome").GetString());
        }

        using HttpResponseMessage fenced = await SendAsync(2, HttpMethod.Get, "/v1/submissions?key=never-used");
        Assert.Equal("rejected", (await fenced.JsonAsync()).GetProperty("outcome").GetString());
        using HttpResponseMessage late = await SendAsync(
            0, HttpMethod.Put, Objects + "k", new ByteArrayContent([1]), ("Idempotency-Key", "never-used"));
        await ProblemAsync(late, 409, "key-rejected");
        using HttpResponseMessage explained = await SendAsync(0, HttpMethod.Get, "/v1/explain/files/k");
        JsonElement versions = (await explained.JsonAsync()).GetProperty("versions");
        Assert.Contains(versions.EnumerateArray(), version => version.GetProperty("uid").GetString() == uid);
    }

    [Fact]
    public async Task Explanation_names_all_holders_and_who_can_not_be_reached_INT14()
    {
        using HttpResponseMessage put = await SendAsync(0, HttpMethod.Put, Objects + "e", new ByteArrayContent(new byte[3_000_000]));
        Assert.Equal(HttpStatusCode.OK, put.StatusCode);
        JsonElement chunk;
        do
        {
            // The third copy may still be on its way.
            using HttpResponseMessage explained = await SendAsync(1, HttpMethod.Get, "/v1/explain/files/e");
            chunk = (await explained.JsonAsync()).GetProperty("versions")[0].GetProperty("chunks")[0].Clone();
        }
        while (chunk.GetProperty("holders").GetArrayLength() < 3);

        Assert.Equal(["s1", "s2", "s3"], chunk.GetProperty("designated").EnumerateArray().Select(s => s.GetString()!).Order());
        await _trio.StopAsync(2);
        using HttpResponseMessage after = await SendAsync(1, HttpMethod.Get, "/v1/explain/files/e");
        chunk = (await after.JsonAsync()).GetProperty("versions")[0].GetProperty("chunks")[0];
        Assert.Equal("held", chunk.GetProperty("copies").GetProperty("s1").GetString());
        Assert.Equal("held", chunk.GetProperty("copies").GetProperty("s2").GetString());
        Assert.Contains(chunk.GetProperty("copies").GetProperty("s3").GetString(), (string[])["not reachable", "no answer"]);
    }

    [Fact]
    public async Task Buckets_follow_their_rules()
    {
        using HttpResponseMessage same = await SendAsync(1, HttpMethod.Put, "/v1/buckets/files", new StringContent("""{"versions":3}"""));
        using HttpResponseMessage other = await SendAsync(1, HttpMethod.Put, "/v1/buckets/files", new StringContent("""{"versions":4}"""));
        using HttpResponseMessage changed = await SendAsync(
            2, HttpMethod.Put, "/v1/buckets/files?change=true", new StringContent("""{"versions":5}"""));
        using HttpResponseMessage shown = await SendAsync(2, HttpMethod.Get, "/v1/buckets/files");
        using HttpResponseMessage put = await SendAsync(0, HttpMethod.Put, Objects + "x", new ByteArrayContent([1]));
        using HttpResponseMessage full = await SendAsync(0, HttpMethod.Delete, "/v1/buckets/files");
        using HttpResponseMessage none = await SendAsync(0, HttpMethod.Put, "/v1/buckets/nothing/objects/x", new ByteArrayContent([1]));
        using HttpResponseMessage absent = await SendAsync(0, HttpMethod.Get, "/v1/buckets/nothing/objects/x");
        using HttpResponseMessage deleted = await SendAsync(0, HttpMethod.Delete, Objects + "x");
        using HttpResponseMessage removed = await SendAsync(0, HttpMethod.Delete, "/v1/buckets/files");
        using HttpResponseMessage gone = await SendAsync(0, HttpMethod.Get, "/v1/buckets/files/objects");

        Assert.Equal(HttpStatusCode.OK, same.StatusCode);
        await ProblemAsync(other, 409, "bucket-exists");
        Assert.Equal(HttpStatusCode.OK, changed.StatusCode);
        Assert.Equal(5, (await shown.JsonAsync()).GetProperty("versions").GetInt32());
        Assert.Equal(HttpStatusCode.OK, put.StatusCode);
        await ProblemAsync(full, 409, "bucket-not-empty");
        await ProblemAsync(none, 404, "bucket-not-found");
        await ProblemAsync(absent, 404, "bucket-not-found");
        Assert.Equal(HttpStatusCode.OK, deleted.StatusCode);
        Assert.Equal(HttpStatusCode.OK, removed.StatusCode);
        await ProblemAsync(gone, 404, "bucket-not-found");
    }

    [Fact]
    public async Task Changeset_with_large_files_is_one_version_of_all_its_names()
    {
        byte[] large = new byte[2_500_000];
        new Random(1).NextBytes(large);
        const string Json = """
            {"operations":[{"put":"files/1","file":"f1"},{"put":"files/2","file":"f2"},{"put":"files/3","text":"three"},{"delete":"files/4"}]}
            """;
        using var form = new MultipartFormDataContent
        {
            { new StringContent(Json), "changeset" },
            { new ByteArrayContent(large), "f1" },
            { new ByteArrayContent(large[..70_000]), "f2" },
        };
        using HttpResponseMessage response = await SendAsync(1, HttpMethod.Post, "/v1/changesets", form);
        string uid = (await response.JsonAsync()).GetProperty("uid").GetString()!;
        using HttpResponseMessage first = await SendAsync(2, HttpMethod.Get, Objects + "1");
        using HttpResponseMessage second = await SendAsync(0, HttpMethod.Get, Objects + "2");
        using HttpResponseMessage third = await SendAsync(0, HttpMethod.Get, Objects + "3");

        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.All((HttpResponseMessage[])[first, second, third], got => Assert.Equal($"\"{uid}\"", got.Header("ETag")));
        Assert.Equal(large, await first.Content.ReadAsByteArrayAsync(TestContext.Current.CancellationToken));
        Assert.Equal(large[..70_000], await second.Content.ReadAsByteArrayAsync(TestContext.Current.CancellationToken));
        Assert.Equal("three", await third.Content.ReadAsStringAsync(TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task Server_without_a_quorum_rejects_writes_and_serves_local_reads()
    {
        using HttpResponseMessage put = await SendAsync(0, HttpMethod.Put, Objects + "x", new ByteArrayContent([1]));
        Assert.Equal(HttpStatusCode.OK, put.StatusCode);
        await _trio.StopAsync(1);
        await _trio.StopAsync(2);
        JsonElement problem;
        do
        {
            // Until their absence is noticed the outcome may be unknown.
            using HttpResponseMessage refused = await SendAsync(0, HttpMethod.Put, Objects + "y", new ByteArrayContent([1]));
            problem = await refused.JsonAsync();
            Assert.False(refused.IsSuccessStatusCode);
        }
        while (problem.GetProperty("code").GetString() is "outcome-unknown" or "push-timeout");

        Assert.Equal("no-quorum", problem.GetProperty("code").GetString());
        using HttpResponseMessage local = await SendAsync(0, HttpMethod.Get, Objects + "x?consistency=local");
        using HttpResponseMessage health = await SendAsync(0, HttpMethod.Get, "/healthz/cluster");
        using HttpResponseMessage metrics = await SendAsync(0, HttpMethod.Get, "/metrics");
        Assert.Equal(HttpStatusCode.OK, local.StatusCode);
        await ProblemAsync(health, 503, "no-quorum");
        string text = await metrics.Content.ReadAsStringAsync(TestContext.Current.CancellationToken);
        Assert.Contains("carillon_http_requests_total", text, StringComparison.Ordinal);
    }

    private async Task PutGetListDeleteAsync(int size)
    {
        byte[] content = new byte[size];
        new Random(size).NextBytes(content);
        using HttpResponseMessage put = await SendAsync(
            0, HttpMethod.Put, Objects + "a/%C3%BC", new ByteArrayContent(content),
            ("Carillon-Meta-k", "%C3%BC"), ("Content-Type", "text/x"));
        JsonElement answer = await put.JsonAsync();
        using HttpResponseMessage get = await SendAsync(1, HttpMethod.Get, Objects + "a/%C3%BC");
        using HttpResponseMessage part = await SendAsync(2, HttpMethod.Get, Objects + "a/%C3%BC", null, ("Range", "bytes=-10"));
        using HttpResponseMessage head = await SendAsync(2, HttpMethod.Head, Objects + "a/%C3%BC");
        using HttpResponseMessage old = await SendAsync(
            0, HttpMethod.Get, $"{Objects}a/%C3%BC?version={answer.GetProperty("uid").GetString()}&consistency=local");

        Assert.Equal(HttpStatusCode.OK, put.StatusCode);
        Assert.Equal(Digest.Of(content).ToString(), answer.GetProperty("sha256").GetString());
        Assert.Equal(content, await get.Content.ReadAsByteArrayAsync(TestContext.Current.CancellationToken));
        Assert.Equal("%C3%BC", get.Header("Carillon-Meta-k"));
        Assert.Equal(size == 0 ? HttpStatusCode.RequestedRangeNotSatisfiable : HttpStatusCode.PartialContent, part.StatusCode);
        Assert.Equal(size, head.Content.Headers.ContentLength);
        Assert.Equal($"\"{answer.GetProperty("uid").GetString()}\"", head.Header("ETag"));
        Assert.Equal(HttpStatusCode.OK, old.StatusCode);

        using HttpResponseMessage list = await SendAsync(0, HttpMethod.Get, "/v1/buckets/files/objects?prefix=a/");
        JsonElement entry = Assert.Single((await list.JsonAsync()).GetProperty("objects").EnumerateArray());
        Assert.Equal("a/ü", entry.GetProperty("name").GetString());
        Assert.Equal(size, entry.GetProperty("size").GetInt64());
        Assert.Equal("text/x", entry.GetProperty("contentType").GetString());
        Assert.Equal("ü", entry.GetProperty("metadata").GetProperty("k").GetString());

        using HttpResponseMessage delete = await SendAsync(0, HttpMethod.Delete, Objects + "a/%C3%BC");
        using HttpResponseMessage gone = await SendAsync(1, HttpMethod.Get, Objects + "a/%C3%BC");
        JsonElement deleted = await delete.JsonAsync();
        Assert.True(deleted.GetProperty("existed").GetBoolean());
        JsonElement problem = await ProblemAsync(gone, 404, "not-found");
        Assert.Equal(deleted.GetProperty("uid").GetString(), problem.GetProperty("tombstone").GetString());
    }

    private async Task<HttpResponseMessage> SendAsync(
        int server, HttpMethod method, string path, HttpContent? content = null, params (string Name, string Value)[] headers)
    {
        using var request = new HttpRequestMessage(method, path) { Content = content };
        foreach ((string name, string value) in headers)
        {
            if (name == "Content-Type")
            {
                content!.Headers.ContentType = MediaTypeHeaderValue.Parse(value);
            }
            else
            {
                request.Headers.TryAddWithoutValidation(name, value);
            }
        }

        return await _trio.Clients[server].SendAsync(request, TestContext.Current.CancellationToken);
    }

    private static async Task<JsonElement> ProblemAsync(HttpResponseMessage response, int status, string code)
    {
        string text = await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken);
        Assert.True((int)response.StatusCode == status, $"{(int)response.StatusCode} instead of {status}: {text}");
        JsonElement problem = JsonDocument.Parse(text).RootElement;
        Assert.Equal(code, problem.GetProperty("code").GetString());
        return problem;
    }
}
