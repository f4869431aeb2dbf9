using System.Net;
using System.Text.Json;
using Carillon.Gateway.Tests.Serving;
using Carillon.Protocols.Submissions;
using Xunit;

namespace Carillon.Gateway.Tests.Feeds;

/// <summary>The feed over HTTP: from any number, filtered, resumed, and cheap for those who wait.</summary>
public sealed class FeedRouteTests : IAsyncLifetime
{
    private const string Lines = "application/jsonl";

    private GatewayHouse _house = null!;

    private FakeFeed Feed => _house.Server.Feed;

    public async ValueTask InitializeAsync() => _house = await GatewayHouse.StartAsync(
        new GatewayOptions { Heartbeat = TimeSpan.FromMilliseconds(80), DrainTimeout = TimeSpan.FromSeconds(20) });

    public ValueTask DisposeAsync() => _house.DisposeAsync();

    [Fact]
    public async Task Entries_come_from_the_number_on_and_then_as_they_are_applied()
    {
        Feed.Add("files/a");
        Feed.Add("files/b");
        Feed.Add();
        using HttpResponseMessage response = await OpenAsync("?from=2");
        Assert.Equal("2", response.Header("Carillon-Next"));
        Assert.Equal(Lines, response.Content.Headers.ContentType!.MediaType);
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync());
        JsonElement two = await LineAsync(reader);
        Assert.Equal(2, two.GetProperty("sequence").GetInt32());
        Assert.Equal(("files", "b", "put"), (Text(two, "bucket"), Text(two, "name"), Text(two, "kind")));
        Assert.Equal(64, Text(two, "sha256").Length);
        Assert.Equal("files/b".Length, two.GetProperty("size").GetInt32());
        Assert.NotEqual("", Text(two, "uid"));
        Feed.Add("-files/a");
        JsonElement four = await LineAsync(reader);
        Assert.Equal(4, four.GetProperty("sequence").GetInt32());
        Assert.Equal("delete", Text(four, "kind"));
        Assert.Equal(JsonValueKind.Null, four.GetProperty("sha256").ValueKind);
        Feed.Add(FeedVerdict.Superseded, "files/a");
        Assert.True((await LineAsync(reader)).GetProperty("superseded").GetBoolean());
    }

    [Fact]
    public async Task Changeset_has_a_line_for_each_name_and_all_but_the_last_tell_of_more()
    {
        Feed.Add("files/a", "other/b", "-files/c");
        using HttpResponseMessage all = await OpenAsync("?from=1");
        using var reader = new StreamReader(await all.Content.ReadAsStreamAsync());
        Assert.Equal(
            [("a", true), ("b", true), ("c", false)],
            new[] { await LineAsync(reader), await LineAsync(reader), await LineAsync(reader) }
                .Select(line => (Text(line, "name"), line.TryGetProperty("more", out JsonElement more) && more.GetBoolean())));
        using HttpResponseMessage some = await OpenAsync("?from=1&bucket=other");
        using var filtered = new StreamReader(await some.Content.ReadAsStreamAsync());
        JsonElement only = await LineAsync(filtered);
        Assert.Equal("b", Text(only, "name"));
        Assert.False(only.TryGetProperty("more", out _));
    }

    [Theory]
    [InlineData("?from=1", "a1 b1 x/c2")]
    [InlineData("?from=1&bucket=files", "a1 x/c2")]
    [InlineData("?from=1&bucket=files&prefix=x/", "x/c2")]
    [InlineData("?from=1&prefix=b", "b1")]
    [InlineData("?from=1&bucket=.system", "files1")]
    public async Task Filter_lets_through_what_was_there_before_and_what_comes(string query, string expected)
    {
        await CheckAsync("?from=1", query);
        await CheckAsync("?from=now", query.Replace("from=1", "from=now", StringComparison.Ordinal));

        async Task CheckAsync(string when, string asked)
        {
            using HttpResponseMessage? late = when == "?from=now" ? await OpenAsync(asked) : null;
            Feed.Add(".system/files");
            Feed.Add("files/a1");
            Feed.Add("other/b1");
            Feed.Add("files/x/c2");
            using HttpResponseMessage response = late ?? await OpenAsync(asked);
            using var reader = new StreamReader(await response.Content.ReadAsStreamAsync());
            foreach (string name in expected.Split(' '))
            {
                JsonElement line = await LineAsync(reader);
                Assert.Equal(name, Text(line, "bucket") == ".system" ? Text(line, "name") + "1" : Text(line, "name"));
            }
        }
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
            Feed.Add("files/a");
        }

        Feed.Trim(3);
        using HttpResponseMessage response = await OpenAsync(query);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.Equal(next, response.Header("Carillon-Next"));
    }

    [Fact]
    public async Task Number_that_is_no_longer_kept_is_answered_with_where_to_go_on()
    {
        for (int i = 0; i < 5; i++)
        {
            Feed.Add("files/a");
        }

        Feed.Trim(3);
        using HttpResponseMessage response = await OpenAsync("?from=2");
        JsonElement problem = await response.ProblemAsync(410, "feed-too-old");
        Assert.Equal(3, problem.GetProperty("first").GetInt32());
        Assert.Equal(5, problem.GetProperty("checkpoint").GetInt32());
    }

    [Theory]
    [InlineData("?from=0")]
    [InlineData("?from=-1")]
    [InlineData("?from=yesterday")]
    [InlineData("?form=1")]
    [InlineData("?from=99999999999999999999")]
    [InlineData("?bucket=..", "bad-bucket-name")]
    [InlineData("?bucket=A", "bad-bucket-name")]
    public async Task Start_or_filter_that_is_none_is_refused(string query, string code = "bad-request")
    {
        using HttpResponseMessage response = await OpenAsync(query);
        await response.ProblemAsync(400, code);
    }

    [Fact]
    public async Task Events_bring_an_entry_whole_and_go_on_behind_the_last_one()
    {
        Feed.Add("files/a");
        Feed.Add("files/b", "files/c");
        using HttpResponseMessage response = await OpenAsync("?from=1", ("Accept", "*/*"), ("Last-Event-ID", "1"));
        Assert.Equal("text/event-stream", response.Content.Headers.ContentType!.MediaType);
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync());
        Assert.Equal("id: 2", await reader.ReadLineAsync());
        string[] data = [(await reader.ReadLineAsync())!, (await reader.ReadLineAsync())!];
        Assert.Equal(
            ["b", "c"], data.Select(line => Text(JsonDocument.Parse(line["data: ".Length..]).RootElement, "name")));
        Assert.Equal("", await reader.ReadLineAsync());
    }

    [Fact]
    public async Task Heartbeat_tells_how_far_it_is_though_nothing_was_wanted()
    {
        using HttpResponseMessage response = await OpenAsync("?bucket=files", ("Accept", "text/event-stream"));
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync());
        for (int i = 0; i < 3; i++)
        {
            Feed.Add("other/a");
        }

        string? line;
        do
        {
            // A beat of before the three may come first.
            Assert.Equal(":", await reader.ReadLineAsync());
            line = await reader.ReadLineAsync();
            Assert.Equal("", await reader.ReadLineAsync());
        }
        while (line != "id: 3");
    }

    [Fact]
    public async Task Many_who_watch_cost_one_reading_and_those_of_other_buckets_are_not_woken()
    {
        var watching = new List<StreamReader>();
        for (int i = 0; i < 20; i++)
        {
            HttpResponseMessage response = await OpenAsync(i < 10 ? "?bucket=files" : "?bucket=other");
            watching.Add(new StreamReader(await response.Content.ReadAsStreamAsync()));
        }

        int before = Feed.Reads;
        for (int i = 0; i < 50; i++)
        {
            Feed.Add($"files/{i}");
        }

        foreach (StreamReader reader in watching.Take(10))
        {
            for (int i = 0; i < 50; i++)
            {
                Assert.Equal($"{i}", Text(await LineAsync(reader), "name"));
            }
        }

        Feed.Add("other/last");
        foreach (StreamReader reader in watching.Skip(10))
        {
            Assert.Equal("last", Text(await LineAsync(reader), "name"));
            Assert.InRange(Feed.Reads - before, 1, 52);
        }

        watching.ForEach(reader => reader.Dispose());
    }

    [Fact]
    public async Task Watchers_who_come_and_go_while_entries_come_miss_none_and_get_none_twice()
    {
        using var stop = new CancellationTokenSource();
        Task adding = Task.Run(async () =>
        {
            for (int i = 0; i < 3000; i++)
            {
                Feed.Add($"files/{i % 2}");
                if (i % 10 == 0)
                {
                    await Task.Yield();
                }
            }
        });
        await Task.WhenAll(Enumerable.Range(0, 8).Select(async watcher =>
        {
            ulong next = 1;
            ulong wanted = (ulong)watcher % 2;
            while (next < 2990)
            {
                using HttpResponseMessage response = await OpenAsync($"?from={next}&bucket=files&prefix={wanted}");
                using var reader = new StreamReader(await response.Content.ReadAsStreamAsync());
                for (int i = 0; i < 100 && next < 2990; i++)
                {
                    JsonElement line = await LineAsync(reader);
                    ulong number = line.GetProperty("sequence").GetUInt64();
                    ulong expected = (next + 1 - wanted) % 2 == 0 ? next : next + 1;
                    Assert.Equal(expected, number);
                    next = number + 1;
                }
            }
        }));
        await adding;
    }

    [Fact]
    public async Task Server_that_goes_on_from_a_checkpoint_cuts_off_those_who_would_miss_something()
    {
        Feed.Add("files/a");
        using HttpResponseMessage response = await OpenAsync("?from=1");
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync());
        await LineAsync(reader);
        Feed.Jump(100);
        await Assert.ThrowsAnyAsync<Exception>(async () =>
        {
            _ = await reader.ReadLineAsync() ?? throw new EndOfStreamException();
        });
        using HttpResponseMessage again = await OpenAsync("?from=2");
        Assert.Equal(101, (await again.ProblemAsync(410, "feed-too-old")).GetProperty("first").GetInt32());
    }

    [Fact]
    public async Task Feed_that_can_not_be_read_ends_those_who_watch()
    {
        using HttpResponseMessage response = await OpenAsync("?from=1");
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync());
        Feed.Fault = new InvalidOperationException("broken");
        Feed.Add("files/a");
        await Assert.ThrowsAnyAsync<Exception>(async () =>
        {
            _ = await reader.ReadLineAsync().WaitAsync(TimeSpan.FromSeconds(20)) ?? throw new EndOfStreamException();
        });

        // The common reading's, and that of the one who watched.
        await Eventually.Async(() => _house.Log.Failures.Count == 2);
        Assert.All(_house.Log.Failures, fault => Assert.Equal("broken", fault.Message));
        _house.Log.Failures.Clear();
        Feed.Fault = null;
    }

    [Fact]
    public async Task Those_who_watch_get_what_one_page_that_could_not_be_read_held_without_waiting_for_the_next_change()
    {
        using HttpResponseMessage response = await OpenAsync("?from=1");
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync());
        Feed.Faults = 1;
        Feed.Add("files/a");
        Assert.Equal("a", Text(await LineAsync(reader), "name"));
        Feed.Add("files/b");
        Assert.Equal("b", Text(await LineAsync(reader), "name"));
        Assert.Equal("one page is broken", Assert.Single(_house.Log.Failures).Message);
        _house.Log.Failures.Clear();
    }

    [Fact]
    public async Task Stop_of_the_server_ends_all_who_watch_at_once_and_whole()
    {
        Feed.Add("files/a");
        using HttpResponseMessage response = await OpenAsync("?from=1");
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync());
        await LineAsync(reader);
        Task stopping = _house.Gateway.StopAsync(TestContext.Current.CancellationToken);
        Assert.Null(await reader.ReadLineAsync());
        await stopping.WaitAsync(TimeSpan.FromSeconds(10));
    }

    [Fact]
    public async Task Other_methods_are_refused()
    {
        using HttpResponseMessage response = await _house.SendAsync(HttpMethod.Post, "/v1/feed", new StringContent(""));
        await response.ProblemAsync(405, "method-not-allowed");
    }

    private static string Text(JsonElement element, string property) => element.GetProperty(property).GetString()!;

    private static async Task<JsonElement> LineAsync(StreamReader reader) =>
        JsonDocument.Parse((await reader.ReadLineAsync().WaitAsync(TimeSpan.FromSeconds(20)))!).RootElement;

    private async Task<HttpResponseMessage> OpenAsync(string query, params (string Name, string Value)[] headers)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, "/v1/feed" + query);
        foreach ((string name, string value) in headers.Length > 0 ? headers : [("Accept", Lines)])
        {
            request.Headers.TryAddWithoutValidation(name, value);
        }

        return await _house.Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, TestContext.Current.CancellationToken);
    }
}
