using System.Net.Sockets;
using Carillon.Client;
using Carillon.Client.Feeds;
using Carillon.Client.Groups;
using Carillon.Gateway.Tests.Serving;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Submissions;
using Microsoft.AspNetCore.Http;
using Xunit;
using ClientServer = global::Gateway.Tests.Client.FakeServer;

namespace Carillon.Gateway.Tests.Feeds;

/// <summary>The client library's watching, against gateways that die under it and servers that answer badly.</summary>
public sealed class WatchTests
{
    private readonly FakeFeed _feed = new();

    [Fact]
    public async Task Entries_come_whole_and_in_order_and_only_what_is_wanted()
    {
        await using GatewayHouse house = await StartAsync();
        _feed.Add("files/a");
        _feed.Add("other/b", "files/c/1", "-files/c/2");
        _feed.Add();
        _feed.Add(FeedVerdict.Superseded, "files/c/3");
        using CarillonClient client = ClientServer.ClientOf(house.Gateway.Address);
        List<FeedEntry> all = await TakeAsync(client, 3, new WatchOptions { From = FeedStart.Begin });
        Assert.Equal([1UL, 2UL, 4UL], all.Select(entry => entry.Sequence));
        Assert.Equal(["b", "c/1", "c/2"], all[1].Changes.Select(change => change.Name));
        Assert.Equal(["put", "put", "delete"], all[1].Changes.Select(change => change.Kind));
        Assert.Equal((7L, 64), (all[0].Changes[0].Size, all[0].Changes[0].Sha256!.Length));
        Assert.Null(all[1].Changes[2].Sha256);
        Assert.Equal([false, false, true], all.Select(entry => entry.IsSuperseded));
        List<FeedEntry> some = await TakeAsync(
            client, 2, new WatchOptions { From = FeedStart.Begin, Bucket = "files", Prefix = "c/" });
        Assert.Equal(["c/1", "c/2"], some[0].Changes.Select(change => change.Name));
        Assert.Equal(4u, some[1].Sequence);
    }

    [Fact]
    public async Task Servers_that_die_in_the_middle_leave_no_gap_and_no_double()
    {
        var houses = new List<GatewayHouse>();
        for (int i = 0; i < 3; i++)
        {
            houses.Add(await StartAsync());
        }

        int[] ports = [.. houses.Select(house => house.Gateway.Port)];
        using CarillonClient client = ClientServer.ClientOf([.. houses.Select(house => house.Gateway.Address)]);
        Task<List<FeedEntry>> watching = TakeAsync(client, 2000, new WatchOptions { From = FeedStart.At(new SequenceNumber(1)) });
        for (int i = 0; i < 2000; i++)
        {
            // Changesets too: they are whole on whatever connection they come.
            _feed.Add(i % 7 == 0 ? [.. Enumerable.Range(0, 20).Select(n => $"files/{i}/{n}")] : [$"files/{i}"]);
            if (i % 400 == 200)
            {
                int index = i / 400 % 3;
                await houses[index].DisposeAsync();
                houses[index] = await StartAsync(ports[index]);
            }
        }

        List<FeedEntry> all = await watching;
        Assert.Equal(Enumerable.Range(1, 2000).Select(i => (ulong)i), all.Select(entry => entry.Sequence));
        Assert.All(all.Index(), one => Assert.Equal(one.Index % 7 == 0 ? 20 : 1, one.Item.Changes.Length));
        foreach (GatewayHouse house in houses)
        {
            await house.DisposeAsync();
        }
    }

    [Fact]
    public void Connection_that_broke_as_soon_as_it_was_made_is_a_fault_of_the_connection() =>
        Assert.True(Transport.IsTransportFault(new SocketException((int)SocketError.NotConnected)));

    [Fact]
    public async Task Entry_that_was_cut_off_in_the_middle_comes_once()
    {
        const string Line = """{"sequence":1,"uid":"1-0@s1","bucket":"files","name":"a","kind":"put","size":1,"sha256":"00"}""";
        await using ClientServer broken = await ClientServer.StartAsync(async context =>
        {
            context.Response.Headers["Carillon-Next"] = "1";
            await context.Response.WriteAsync($"id: 1\ndata: {Line}\n");
            await context.Response.Body.FlushAsync();
            context.Abort();
        });
        await using GatewayHouse house = await StartAsync();
        _feed.Add("files/a", "files/b");
        using CarillonClient client = ClientServer.ClientOf(broken.Address, house.Gateway.Address);
        List<FeedEntry> all = await TakeAsync(client, 1, new WatchOptions { From = FeedStart.Begin });
        Assert.Equal(["a", "b"], Assert.Single(all).Changes.Select(change => change.Name));
    }

    [Theory]
    [InlineData("id: one\n\n")]
    [InlineData("hello\n\n")]
    [InlineData("id: 1\ndata: {}\n\n")]
    [InlineData("id: 2\ndata: {\"sequence\":1,\"uid\":\"1-0@s1\",\"bucket\":\"files\",\"name\":\"a\"}\n\n")]
    [InlineData("id: 1\ndata: [\n\n")]
    public async Task Server_that_answers_nonsense_is_left_for_another_one(string nonsense)
    {
        await using ClientServer broken = await ClientServer.StartAsync(async context => await context.Response.WriteAsync(nonsense));
        await using GatewayHouse house = await StartAsync();
        _feed.Add("files/a");
        using CarillonClient client = ClientServer.ClientOf(broken.Address, house.Gateway.Address);
        Assert.Single(await TakeAsync(client, 1, new WatchOptions { From = FeedStart.Begin }));
    }

    [Fact]
    public async Task Server_that_falls_silent_is_left_behind_the_last_number_that_it_told()
    {
        await using ClientServer silent = await ClientServer.StartAsync(async context =>
        {
            context.Response.Headers["Carillon-Next"] = "1";
            await context.Response.WriteAsync(":\nid: 3\n\n");
            await context.Response.Body.FlushAsync();
            await ClientServer.StallAsync(context);
        });
        string asked = "";
        await using ClientServer other = await ClientServer.StartAsync(async context =>
        {
            asked = context.Request.QueryString.Value!;
            await context.Response.WriteAsync(
                "id: 4\ndata: {\"sequence\":4,\"uid\":\"1-0@s1\",\"bucket\":\"files\",\"name\":\"a\",\"later\":{\"x\":[1]}}\n\n");
            await context.Response.Body.FlushAsync();
            await ClientServer.StallAsync(context);
        });
        using CarillonClient client = ClientServer.ClientOf(silent.Address, other.Address);
        var options = new WatchOptions { Bucket = "files", Silence = TimeSpan.FromMilliseconds(300) };
        Assert.Equal(4u, Assert.Single(await TakeAsync(client, 1, options)).Sequence);
        Assert.Equal("?from=4&bucket=files", asked);
    }

    [Fact]
    public async Task Number_that_is_gone_everywhere_is_told_with_where_to_go_on()
    {
        await using GatewayHouse house = await StartAsync();
        await using GatewayHouse other = await StartAsync();
        for (int i = 0; i < 5; i++)
        {
            _feed.Add("files/a");
        }

        _feed.Trim(4);
        using CarillonClient client = ClientServer.ClientOf(house.Gateway.Address, other.Gateway.Address);
        CarillonException fault = await Assert.ThrowsAsync<CarillonException>(
            () => TakeAsync(client, 1, new WatchOptions { From = FeedStart.At(new SequenceNumber(2)) }));
        Assert.Equal(("feed-too-old", 4UL, 5UL), (fault.Problem!.Code, fault.Problem.First!.Value, fault.Problem.Checkpoint!.Value));
    }

    private static async Task<List<FeedEntry>> TakeAsync(CarillonClient client, int count, WatchOptions options)
    {
        using var bound = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        var all = new List<FeedEntry>();
        await foreach (FeedEntry entry in client.WatchAsync(options, bound.Token))
        {
            all.Add(entry);
            if (all.Count == count)
            {
                break;
            }
        }

        return all;
    }

    private Task<GatewayHouse> StartAsync(int port = 0) => GatewayHouse.StartAsync(port: port, feed: _feed.Another());
}
