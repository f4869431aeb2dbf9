using System.Net;
using System.Text;
using System.Text.Json;
using Carillon.Gateway.Tests.Serving;
using Carillon.Protocols;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.VectorExchange;
using Carillon.Storage.Catalogs;
using Xunit;

namespace Carillon.Gateway.Tests.Buckets;

/// <summary>Buckets and listings.</summary>
public sealed class BucketTests : IAsyncLifetime
{
    private GatewayHouse _house = null!;

    public async ValueTask InitializeAsync() => _house = await GatewayHouse.StartAsync();

    public ValueTask DisposeAsync() => _house.DisposeAsync();

    [Fact]
    public async Task Bucket_is_made_shown_listed_changed_and_removed()
    {
        using HttpResponseMessage made = await PutAsync(
            "photos", """{"replicas":5,"minimum":2,"chunkSize":4194304,"compression":"brotli","deduplication":"shared"}""");
        using HttpResponseMessage changed = await PutAsync("photos?change=true", """{"versions":3,"compression":null}""");
        using HttpResponseMessage shown = await _house.GetAsync("/v1/buckets/photos");
        using HttpResponseMessage listed = await _house.GetAsync("/v1/buckets");
        using HttpResponseMessage removed = await _house.SendAsync(HttpMethod.Delete, "/v1/buckets/photos");
        using HttpResponseMessage again = await _house.SendAsync(HttpMethod.Delete, "/v1/buckets/photos");
        using HttpResponseMessage gone = await _house.GetAsync("/v1/buckets/photos");

        JsonElement answer = await made.JsonAsync();
        Assert.Equal("photos", answer.GetProperty("name").GetString());
        Assert.Equal(5, answer.GetProperty("replicas").GetInt32());
        Assert.True(Uid.TryParse(answer.GetProperty("uid").GetString(), out _));
        Assert.True(Tag.TryParse(answer.GetProperty("submission").GetString(), out _));
        Assert.Equal(1, answer.GetProperty("sequence").GetInt32());
        Assert.Equal(3, (await changed.JsonAsync()).GetProperty("versions").GetInt32());
        const string Expected = """{"name":"photos","replicas":5,"minimum":2,"versions":3,"chunkSize":4194304,"compression":"brotli","""
            + "\"deduplication\":\"shared\",\"ackAgreed\":true,\"survives\":1}";
        Assert.Equal(Expected, (await shown.JsonAsync()).ToString());
        JsonElement[] buckets = [.. (await listed.JsonAsync()).GetProperty("buckets").EnumerateArray()];
        Assert.Equal(["files", "photos"], buckets.Select(bucket => bucket.GetProperty("name").GetString()));
        Assert.Equal(JsonValueKind.Null, buckets[0].GetProperty("minimum").ValueKind);
        Assert.Equal(Expected, buckets[1].ToString());
        Assert.True((await removed.JsonAsync()).GetProperty("existed").GetBoolean());
        Assert.False((await again.JsonAsync()).GetProperty("existed").GetBoolean());
        await gone.ProblemAsync(404, "bucket-not-found");
    }

    [Theory]
    [InlineData("")]
    [InlineData("{}")]
    [InlineData("\uFEFF{ }")]
    [InlineData("""{"minimum":null,"ackAgreed":true}""")]
    public async Task Bucket_without_settings_has_the_defaults(string json)
    {
        using HttpResponseMessage response = await PutAsync("photos", json);

        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.Equal(new BucketSettings(), await _house.Server.BucketAsync("photos"));
    }

    [Theory]
    [InlineData("""{"replica":3}""", "replica")]
    [InlineData("""{"name":"photos"}""", "name")]
    [InlineData("""{"replicas":0}""", "replicas")]
    [InlineData("""{"replicas":3.5}""", "replicas")]
    [InlineData("""{"replicas":"3"}""", "replicas")]
    [InlineData("""{"replicas":99999999999999999999}""", "replicas")]
    [InlineData("""{"replicas":2,"minimum":3}""", "minimum")]
    [InlineData("""{"minimum":0}""", "minimum")]
    [InlineData("""{"versions":0}""", "versions")]
    [InlineData("""{"chunkSize":100}""", "chunkSize")]
    [InlineData("""{"chunkSize":1000000000}""", "chunkSize")]
    [InlineData("""{"compression":"zip"}""", "compression")]
    [InlineData("""{"deduplication":"A B"}""", "deduplication")]
    [InlineData("""{"deduplication":"\ud800"}""", "Unicode")]
    [InlineData("""{"replicas":3,"replicas":3}""", "twice")]
    [InlineData("""{"ackAgreed":1}""", "ackAgreed")]
    [InlineData("""{"replicas":3}{}""", "JSON")]
    [InlineData("""{"replicas":3""", "JSON")]
    [InlineData("[]", "object")]
    [InlineData("null", "object")]
    [InlineData("<xml/>", "JSON")]
    public async Task Bad_settings_are_refused_with_what_is_wrong(string json, string named)
    {
        using HttpResponseMessage response = await PutAsync("photos", json);

        JsonElement problem = await response.ProblemAsync(400, "bad-settings");
        Assert.Contains(named, problem.GetProperty("detail").GetString(), StringComparison.Ordinal);
        Assert.Null(await _house.Server.BucketAsync("photos"));
    }

    [Fact]
    public async Task Bucket_that_is_answered_by_the_feed_only_keeps_that()
    {
        using HttpResponseMessage response = await PutAsync("photos", """{"ackAgreed":false}""");
        using HttpResponseMessage kept = await _house.SendAsync(
            HttpMethod.Put, "/v1/buckets/photos?change=true", new StringContent("""{"versions":3}"""));

        Assert.False((await response.JsonAsync()).GetProperty("ackAgreed").GetBoolean());
        Assert.Equal("1", response.Header("Carillon-Sequence"));
        Assert.False((await kept.JsonAsync()).GetProperty("ackAgreed").GetBoolean());
        Assert.Equal(2, (await kept.JsonAsync()).GetProperty("sequence").GetInt32());
        Assert.False((await _house.Server.BucketAsync("photos"))!.AckAgreed);
    }

    [Fact]
    public async Task Bucket_with_a_condition_is_refused()
    {
        using HttpResponseMessage conditional = await _house.SendAsync(
            HttpMethod.Put, "/v1/buckets/photos", new StringContent("{}"), ("If-None-Match", "*"));

        await conditional.ProblemAsync(400, "bad-request");
    }

    [Fact]
    public async Task Settings_beyond_64_kib_are_413()
    {
        using HttpResponseMessage response = await PutAsync("photos", "{" + new string(' ', 70_000) + "}");

        await response.ProblemAsync(413, "too-large");
    }

    [Fact]
    public async Task Bucket_with_other_settings_is_409_and_a_change_of_none_is_404()
    {
        using HttpResponseMessage made = await PutAsync("photos", "{}");
        using HttpResponseMessage same = await PutAsync("photos", """{"replicas":3}""");
        using HttpResponseMessage other = await PutAsync("photos", """{"replicas":4}""");
        using HttpResponseMessage none = await PutAsync("nothing?change=true", """{"replicas":4}""");
        using HttpResponseMessage odd = await PutAsync("photos?change=1", "{}");

        Assert.Equal(HttpStatusCode.OK, made.StatusCode);
        Assert.Equal(HttpStatusCode.OK, same.StatusCode);
        await other.ProblemAsync(409, "bucket-exists");
        await none.ProblemAsync(404, "bucket-not-found");
        await odd.ProblemAsync(400, "bad-request");
    }

    [Fact]
    public async Task Bucket_outcomes_are_told_as_those_of_objects()
    {
        _house.Server.OnBucket = () => new SubmitOutcome.Rejected(RejectionReason.BucketNotEmpty, "It still has names.");
        using HttpResponseMessage full = await _house.SendAsync(HttpMethod.Delete, "/v1/buckets/files", null, ("Idempotency-Key", "k"));
        _house.Server.OnBucket = () => new SubmitOutcome.Unknown(_house.Server.NextTag());
        using HttpResponseMessage unknown = await PutAsync("photos", "{}");

        JsonElement problem = await full.ProblemAsync(409, "bucket-not-empty");
        Assert.Equal("k", problem.GetProperty("key").GetString());
        await unknown.ProblemAsync(504, "outcome-unknown");
    }

    [Theory]
    [InlineData("ab")]
    [InlineData("ABC")]
    [InlineData(".system")]
    [InlineData("a_b")]
    [InlineData("0123456789012345678901234567890123456789012345678901234567890123")]
    public async Task Bad_bucket_names_are_refused(string bucket)
    {
        using HttpResponseMessage put = await PutAsync(bucket, "{}");
        using HttpResponseMessage delete = await _house.SendAsync(HttpMethod.Delete, "/v1/buckets/" + bucket);

        await put.ProblemAsync(400, "bad-bucket-name");
        await delete.ProblemAsync(400, "bad-bucket-name");
    }

    [Fact]
    public async Task Listing_tells_each_version()
    {
        Uid old = _house.Server.Add(new ObjectName("files", "a/1"), "old"u8.ToArray());
        Uid uid = _house.Server.Add(
            new ObjectName("files", "a/1"),
            "new text"u8.ToArray(),
            [new("carillon-mtime", "2020-02-03T04:05:06.7Z"), new("k", "ü\"<")],
            "text/plain");
        Uid gone = _house.Server.Remove(new ObjectName("files", "a/ü"));
        using HttpResponseMessage current = await _house.GetAsync("/v1/buckets/files/objects?prefix=a%2F");
        using HttpResponseMessage all = await _house.GetAsync("/v1/buckets/files/objects?versions=true");

        JsonElement entry = Assert.Single((await current.JsonAsync()).GetProperty("objects").EnumerateArray());
        Assert.Equal("a/1", entry.GetProperty("name").GetString());
        Assert.Equal(uid.ToString(), entry.GetProperty("uid").GetString());
        Assert.Equal(8, entry.GetProperty("size").GetInt64());
        Assert.Equal(Digest.Of("new text"u8).ToString(), entry.GetProperty("sha256").GetString());
        Assert.Equal("2020-02-03T04:05:06.7Z", entry.GetProperty("modified").GetString());
        Assert.Equal("put", entry.GetProperty("kind").GetString());
        Assert.Equal("text/plain", entry.GetProperty("contentType").GetString());
        Assert.Equal("ü\"<", entry.GetProperty("metadata").GetProperty("k").GetString());
        JsonElement[] versions = [.. (await all.JsonAsync()).GetProperty("objects").EnumerateArray()];
        Assert.Equal([uid.ToString(), old.ToString(), gone.ToString()], versions.Select(one => one.GetProperty("uid").GetString()));
        Assert.Equal("delete", versions[2].GetProperty("kind").GetString());
        Assert.Equal("a/ü", versions[2].GetProperty("name").GetString());
        Assert.Equal(JsonValueKind.Null, versions[2].GetProperty("sha256").ValueKind);
        Assert.Equal(
            DateTimeOffset.FromUnixTimeMilliseconds(gone.Stamp.Milliseconds), versions[2].GetProperty("modified").GetDateTimeOffset());
    }

    [Fact]
    public async Task Listing_hands_its_query_on_and_the_page_back()
    {
        ListQuery? asked = null;
        _house.Server.OnList = query =>
        {
            asked = query;
            return new ListPage([], ["a/", "b\u0301/"], "b\u0301/");
        };
        using HttpResponseMessage response = await _house.GetAsync(
            "/v1/buckets/files/objects?prefix=p%20q&delimiter=%2F&after=a+b&limit=17&versions=false");

        Assert.Equal(new ListQuery("files", "p q", "/", "a b", 17, false), asked);
        JsonElement page = await response.JsonAsync();
        Assert.Empty(page.GetProperty("objects").EnumerateArray());
        Assert.Equal(["a/", "b\u0301/"], page.GetProperty("prefixes").EnumerateArray().Select(prefix => prefix.GetString()));
        Assert.Equal("b\u0301/", page.GetProperty("next").GetString());
    }

    [Fact]
    public async Task Listing_of_many_entries_is_whole()
    {
        for (int i = 0; i < 3000; i++)
        {
            _house.Server.Add(new ObjectName("files", $"name-{i:D5}"), Encoding.UTF8.GetBytes($"{i}"), [new("k", new string('x', 100))]);
        }

        var names = new List<string>();
        string? after = "";
        while (after is not null)
        {
            using HttpResponseMessage response = await _house.GetAsync($"/v1/buckets/files/objects?limit=1100&after={after}");
            JsonElement page = await response.JsonAsync();
            names.AddRange(page.GetProperty("objects").EnumerateArray().Select(entry => entry.GetProperty("name").GetString()!));
            after = page.GetProperty("next").GetString();
        }

        Assert.Equal(Enumerable.Range(0, 3000).Select(i => $"name-{i:D5}"), names);
    }

    [Theory]
    [InlineData("limit=0")]
    [InlineData("limit=10001")]
    [InlineData("limit=-1")]
    [InlineData("limit=x")]
    [InlineData("versions=yes")]
    [InlineData("depth=1")]
    [InlineData("prefix=%FF")]
    [InlineData("prefix=a&prefix=b")]
    public async Task Bad_listing_queries_are_refused(string query)
    {
        using HttpResponseMessage response = await _house.GetAsync("/v1/buckets/files/objects?" + query);

        await response.ProblemAsync(400, "bad-request");
    }

    [Fact]
    public async Task Listing_of_a_bucket_that_is_not_there_is_404_and_of_the_systems_is_shown()
    {
        using HttpResponseMessage none = await _house.GetAsync("/v1/buckets/nothing/objects");
        using HttpResponseMessage system = await _house.GetAsync("/v1/buckets/.system/objects");
        using HttpResponseMessage head = await _house.SendAsync(HttpMethod.Head, "/v1/buckets/files/objects");

        await none.ProblemAsync(404, "bucket-not-found");
        Assert.Equal(HttpStatusCode.OK, system.StatusCode);
        Assert.Equal(HttpStatusCode.OK, head.StatusCode);
    }

    private Task<HttpResponseMessage> PutAsync(string bucket, string json) =>
        _house.SendAsync(HttpMethod.Put, "/v1/buckets/" + bucket, new StringContent(json, Encoding.UTF8, "application/json"));
}
