using System.Diagnostics.Metrics;
using System.Net;
using System.Text.Json;
using Carillon.Gateway.Metrics;
using Carillon.Gateway.Tests.Serving;
using Carillon.Node.Requests;
using Carillon.Protocols;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.VectorExchange;
using Carillon.Runtime.Serving;
using Xunit;

namespace Carillon.Gateway.Tests;

/// <summary>Submissions, explanations, the cluster, health and metrics.</summary>
public sealed class OperationsTests : IAsyncLifetime
{
    private static readonly NodeId S2 = NodeId.Parse("s2");

    private GatewayHouse _house = null!;

    public async ValueTask InitializeAsync() => _house = await GatewayHouse.StartAsync();

    public ValueTask DisposeAsync() => _house.DisposeAsync();

    [Theory]
    [InlineData(SubmissionState.Pending, "pending", false)]
    [InlineData(SubmissionState.Accepted, "accepted", true)]
    [InlineData(SubmissionState.Rejected, "rejected", false)]
    [InlineData(SubmissionState.Forgotten, "forgotten", false)]
    public async Task Submission_is_told_by_id_and_by_key(SubmissionState state, string outcome, bool hasUid)
    {
        Tag tag = _house.Server.NextTag();
        _house.Server.OnShow = asked => new SubmissionReport(asked, state, [(_house.Server.Name, true), (S2, false)]);
        _house.Server.OnShowKey = key =>
            key == "my key" ? new SubmissionReport(tag, state, [(_house.Server.Name, true), (S2, false)]) : null;
        using HttpResponseMessage byId = await _house.GetAsync("/v1/submissions/" + Uri.EscapeDataString(tag.ToString()));
        using HttpResponseMessage byKey = await _house.GetAsync("/v1/submissions?key=my%20key");

        string uid = hasUid ? $"\"{tag.Uid}\"" : "null";
        string expected = $$$"""{"id":"{{{tag}}}","outcome":"{{{outcome}}}","uid":{{{uid}}},"sequence":null,"verdict":null,"""
            + "\"vector\":{\"s1\":true,\"s2\":false}}";
        Assert.Equal(expected, (await byId.JsonAsync()).ToString());
        Assert.Equal(expected, (await byKey.JsonAsync()).ToString());
    }

    [Fact]
    public async Task Fenced_key_without_a_submission_is_rejected_without_an_id()
    {
        _house.Server.OnShowKey = _ => new SubmissionReport(default, SubmissionState.Rejected, default);
        using HttpResponseMessage response = await _house.GetAsync("/v1/submissions?key=k");

        Assert.Equal(
            """{"id":null,"outcome":"rejected","uid":null,"sequence":null,"verdict":null,"vector":{}}""",
            (await response.JsonAsync()).ToString());
    }

    [Fact]
    public async Task Key_about_which_no_quorum_answers_is_503()
    {
        using HttpResponseMessage response = await _house.GetAsync("/v1/submissions?key=k");

        JsonElement problem = await response.ProblemAsync(503, "read-unavailable");
        Assert.Equal("k", problem.GetProperty("key").GetString());
    }

    [Theory]
    [InlineData("/v1/submissions/nonsense")]
    [InlineData("/v1/submissions/")]
    [InlineData("/v1/submissions/%zz")]
    [InlineData("/v1/submissions/1-0@s1")]
    [InlineData("/v1/submissions/1-0@s1.0000000000000000?wait=1")]
    [InlineData("/v1/submissions")]
    [InlineData("/v1/submissions?key=")]
    [InlineData("/v1/submissions?key=%C3%BC")]
    [InlineData("/v1/submissions?id=1")]
    public async Task Bad_questions_about_submissions_are_refused(string path)
    {
        using HttpResponseMessage response = await _house.GetAsync(path);

        await response.ProblemAsync(400, "bad-request");
    }

    [Fact]
    public async Task Explanation_tells_versions_vectors_and_holders()
    {
        Tag tag = _house.Server.NextTag();
        var chunk = ChunkId.Of("chunk"u8);
        _house.Server.Explained =
        [
            new ExplainedVersion(
                tag.Uid, tag, OperationKind.Put, "agreed", 2, [(_house.Server.Name, true)],
                [
                    new ExplainedChunk(
                        chunk, [S2, _house.Server.Name],
                        [(_house.Server.Name, CopyState.Held), (S2, CopyState.NotReachable), (NodeId.Parse("s3"), CopyState.Held)]),
                ]),
            new ExplainedVersion(tag.Uid, tag, OperationKind.Delete, "pending", 0, default, default),
        ];
        using HttpResponseMessage response = await _house.GetAsync("/v1/explain/files/a/%C3%BC");

        Assert.Equal(
            $$$"""{"bucket":"files","name":"a/ü","versions":[{"uid":"{{{tag.Uid}}}","tag":"{{{tag}}}","kind":"put","state":"agreed","""
            + "\"vector\":" + $$$"""{"s1":true},"round":2,"chunks":[{"id":"{{{chunk}}}","designated":["s2","s1"],"holders":["s1","s3"],"""
            + "\"copies\":" + """{"s1":"held","s2":"not reachable","s3":"held"}}]},"""
            + $$$"""{"uid":"{{{tag.Uid}}}","tag":"{{{tag}}}","kind":"delete","state":"pending","vector":{},"round":0,"chunks":[]}]}""",
            (await response.JsonAsync()).ToString());
        using HttpResponseMessage bad = await _house.GetAsync("/v1/explain/files/a/../b%2F..");
        await bad.ProblemAsync(400, "bad-name");
    }

    [Fact]
    public async Task Cluster_has_the_shape_that_scripts_rely_on()
    {
        using HttpResponseMessage response = await _house.GetAsync("/v1/cluster");

        Assert.Equal(
            """{"cluster":"test","self":"s1","configuration":1,"quorum":{"size":2,"connected":3,"ok":true},"""
            + "\"servers\":" + """[{"name":"s1","state":"self","incarnation":1,"roles":["entry","storage"],"""
            + "\"voting\":true,\"rttMs\":" + """0.25,"clockOffsetMs":null,"load":{"downloads":0,"queue":0,"freeBytes":1000},"""
            + "\"http\":\"127.0.0.1:7410\",\"note\":\"\"}],"
            + "\"feed\":" + """{"epoch":null,"sequencer":null,"committed":0,"checkpoint":null,"applied":0},"""
            + "\"chunks\":" + """{"underReplicated":0},"transport":{"mode":"unicast","reason":"loopback"}}""",
            (await response.JsonAsync()).ToString());
    }

    [Fact]
    public async Task Health_follows_the_server_and_the_cluster()
    {
        foreach (string page in (string[])["live", "ready", "cluster"])
        {
            using HttpResponseMessage good = await _house.GetAsync("/healthz/" + page);
            Assert.Equal(HttpStatusCode.OK, good.StatusCode);
        }

        ServerStatus self = _house.Server.Cluster.Servers[0];
        _house.Server.Cluster = _house.Server.Cluster with
        {
            WriteQuorum = false, QuorumConnected = 1,
            Servers = [self with { Voting = false, Note = "its disk is unknown to the configuration" }],
        };
        using HttpResponseMessage live = await _house.GetAsync("/healthz/live");
        using HttpResponseMessage ready = await _house.GetAsync("/healthz/ready");
        using HttpResponseMessage cluster = await _house.GetAsync("/healthz/cluster");

        Assert.Equal(HttpStatusCode.OK, live.StatusCode);
        JsonElement problem = await ready.ProblemAsync(503, "not-ready");
        Assert.Contains("unknown to the configuration", problem.GetProperty("detail").GetString(), StringComparison.Ordinal);
        await cluster.ProblemAsync(503, "no-quorum");
    }

    [Fact]
    public async Task Metrics_show_the_programs_instruments_and_the_gateways_own()
    {
        using var meter = new Meter("Carillon.Test." + Guid.NewGuid().ToString("N"));
        string name = "carillon.test" + meter.Name[^8..];
        Counter<long> counter = meter.CreateCounter<long>(name + ".things", "{thing}", "Things that\nwere counted.");
        Histogram<double> histogram = meter.CreateHistogram<double>(
            name + ".latency", "s", "Time.", null, new InstrumentAdvice<double> { HistogramBucketBoundaries = [0.1, 1] });
        UpDownCounter<int> level = meter.CreateUpDownCounter<int>(name + ".level", "By");
        meter.CreateObservableGauge(
            name + ".seen", () => new Measurement<double>(2.5, new KeyValuePair<string, object?>("server", "s\"1\\")), "ms");
        using var other = new Meter("Other");
        other.CreateCounter<long>("other.things").Add(1);
        counter.Add(2);
        counter.Add(3, new KeyValuePair<string, object?>("outcome", "ok"));
        histogram.Record(0.1);
        histogram.Record(0.5);
        histogram.Record(9);
        level.Add(10);
        level.Add(-4);
        using HttpResponseMessage put = await _house.PutAsync("/v1/buckets/files/objects/a", [1, 2, 3]);
        using HttpResponseMessage response = await _house.GetAsync("/metrics");

        string text = await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken);
        string prefix = name.Replace('.', '_');
        Assert.Equal("text/plain; version=0.0.4; charset=utf-8", response.Header("Content-Type"));
        foreach (string line in (string[])
        [
            $"# HELP {prefix}_things_total Things that\\nwere counted.", $"# TYPE {prefix}_things_total counter",
            $"{prefix}_things_total 2",
            $$"""{{prefix}}_things_total{outcome="ok"} 3""", $"# TYPE {prefix}_latency_seconds histogram",
            $$"""{{prefix}}_latency_seconds_bucket{le="0.1"} 1""", $$"""{{prefix}}_latency_seconds_bucket{le="1"} 2""",
            $$"""{{prefix}}_latency_seconds_bucket{le="+Inf"} 3""", $"{prefix}_latency_seconds_sum 9.6",
            $"{prefix}_latency_seconds_count 3",
            $"# TYPE {prefix}_level_bytes gauge", $"{prefix}_level_bytes 6", $$"""{{prefix}}_seen_milliseconds{server="s\"1\\"} 2.5""",
        ])
        {
            Assert.Contains(line + "\n", text, StringComparison.Ordinal);
        }

        Assert.Contains("""carillon_http_requests_total{route="object",method="PUT",status="200"} """, text, StringComparison.Ordinal);
        Assert.Contains("carillon_http_request_duration_seconds_bucket", text, StringComparison.Ordinal);
        Assert.DoesNotContain("other_things", text, StringComparison.Ordinal);
    }

    [Fact]
    public void Observed_values_that_are_gone_and_instruments_of_the_dead_are_not_shown()
    {
        using var exporter = new PrometheusExporter();
        var meter = new Meter("Carillon.Test." + Guid.NewGuid().ToString("N"));
        string server = "s1";
        meter.CreateObservableGauge(
            "carillon.fleeting", () => new Measurement<int>(1, new KeyValuePair<string, object?>("server", server)));
        string first = exporter.Scrape();
        server = "s2";
        string second = exporter.Scrape();
        meter.Dispose();
        string third = exporter.Scrape();

        Assert.Contains("carillon_fleeting{server=\"s1\"} 1", first, StringComparison.Ordinal);
        string line = second.Split('\n').Single(line => line.StartsWith("carillon_fleeting", StringComparison.Ordinal));
        Assert.Equal("carillon_fleeting{server=\"s2\"} 1", line);
        Assert.DoesNotContain("carillon_fleeting", third, StringComparison.Ordinal);
    }

    [Fact]
    public void Observer_that_throws_does_not_take_the_others_with_it()
    {
        using var exporter = new PrometheusExporter();
        using var meter = new Meter("Carillon.Test." + Guid.NewGuid().ToString("N"));
        meter.CreateObservableGauge<int>("carillon.broken", int () => throw new InvalidOperationException("broken"));
        meter.CreateObservableGauge("carillon.sound", () => 7);

        Assert.Contains("carillon_sound 7\n", exporter.Scrape(), StringComparison.Ordinal);
    }

    [Fact]
    public void Series_are_bounded()
    {
        using var exporter = new PrometheusExporter();
        using var meter = new Meter("Carillon.Test." + Guid.NewGuid().ToString("N"));
        Counter<int> counter = meter.CreateCounter<int>("carillon.endless");
        for (int i = 0; i < 3000; i++)
        {
            counter.Add(1, new KeyValuePair<string, object?>("name", i));
        }

        Assert.Equal(
            1000, exporter.Scrape().Split('\n').Count(line => line.StartsWith("carillon_endless_total{", StringComparison.Ordinal)));
    }
}
