using Carillon.Client;
using Carillon.Protocols.Submissions;
using Microsoft.AspNetCore.Http;
using Xunit;

namespace Gateway.Tests.Client;

/// <summary>A client that was given one server, and what it does when that one is gone.</summary>
public sealed class ServerLearningTests : IDisposable
{
    private static readonly ObjectName Name = new("files", "a");
    private static readonly PutSource Hello = PutSource.FromBytes("hello"u8.ToArray());

    private readonly string _folder = Directory.CreateTempSubdirectory("carillon-learning-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Download_through_the_only_server_given_goes_on_at_one_that_it_told_of()
    {
        byte[] content = new byte[6_000_000];
        new Random(5).NextBytes(content);
        await using FakeServer second = await FakeServer.StartAsync(FakeServer.Serve(content, "1-0@s1"));
        var asked = new TaskCompletionSource();
        await using FakeServer first = await FakeServer.StartAsync(
            Telling(second.Address, asked, FakeServer.Serve(content, "1-0@s1", breakAfter: 2_500_000)));
        using CarillonClient client = FakeServer.ClientOf(true, first.Address);
        string file = Path.Combine(_folder, "a");
        GetResult result = await client.GetToFileAsync(Name, file);
        Assert.Equal(content, await File.ReadAllBytesAsync(file));
        Assert.Equal([first.Address, second.Address], result.Servers);
    }

    [Fact]
    public async Task Streamed_put_is_repeated_at_a_server_that_was_learned_meanwhile()
    {
        await using FakeServer second = await FakeServer.StartAsync(FakeServer.AcceptAsync);
        var asked = new TaskCompletionSource();
        await using FakeServer first = await FakeServer.StartAsync(Telling(second.Address, asked, async context =>
        {
            await asked.Task;
            await FakeServer.LoseAsync(context);
        }));
        using CarillonClient client = FakeServer.ClientOf(true, first.Address);
        string file = Path.Combine(_folder, "large");
        await File.WriteAllBytesAsync(file, new byte[3 << 20]);
        WriteResult<PutAnswer> result = await client.PutAsync(Name, PutSource.FromFile(file));
        Assert.Equal(Verdict.Accepted, result.Verdict);
        Assert.Equal(second.Address, result.Server);
        Assert.Equal(result.Key, Assert.Single(second.Requests).Key);
    }

    [Fact]
    public async Task Single_small_put_costs_one_request_and_further_ones_one_more_in_all()
    {
        await using FakeServer second = await FakeServer.StartAsync(FakeServer.AcceptAsync);
        var asked = new TaskCompletionSource();
        await using FakeServer first = await FakeServer.StartAsync(Telling(second.Address, asked, FakeServer.AcceptAsync));
        using CarillonClient client = FakeServer.ClientOf(true, first.Address);
        await client.PutAsync(Name, Hello);
        Assert.Single(first.Requests);
        await client.PutAsync(Name, Hello);
        await asked.Task;
        await client.Transport.WaitForLearningAsync();
        await client.PutAsync(Name, Hello);
        await client.PutAsync(Name, Hello);
        Assert.Single(first.Requests, request => request.Target == "/v1/cluster");
        first.Handler = FakeServer.LoseAsync;
        WriteResult<PutAnswer> result = await client.PutAsync(Name, Hello);
        Assert.Equal(Verdict.Accepted, result.Verdict);
        Assert.Equal(second.Address, result.Server);
    }

    [Fact]
    public async Task Server_that_takes_no_part_is_asked_who_does()
    {
        await using FakeServer second = await FakeServer.StartAsync(FakeServer.AcceptAsync);
        var asked = new TaskCompletionSource();
        await using FakeServer first = await FakeServer.StartAsync(Telling(second.Address, asked, FakeServer.Problem(503, "not-voting")));
        using CarillonClient client = FakeServer.ClientOf(true, first.Address);
        WriteResult<PutAnswer> result = await client.PutAsync(Name, Hello);
        Assert.Equal(Verdict.Accepted, result.Verdict);
        Assert.Equal(second.Address, result.Server);
    }

    [Fact]
    public async Task Server_that_can_not_tell_costs_nothing_but_the_question()
    {
        await using FakeServer server = await FakeServer.StartAsync(context =>
            context.Request.Path == "/v1/cluster" ? FakeServer.Problem(500, "internal")(context) : FakeServer.AcceptAsync(context));
        using CarillonClient client = FakeServer.ClientOf(true, server.Address);
        for (int i = 0; i < 5; i++)
        {
            Assert.Equal(Verdict.Accepted, (await client.PutAsync(Name, Hello)).Verdict);
            await client.Transport.WaitForLearningAsync();
        }

        Assert.Single(server.Requests, request => request.Target == "/v1/cluster");
        Assert.Equal(1, client.Transport.ServerCount);
    }

    [Theory]
    [InlineData("http://localhost:7410", "http://127.0.0.1:7410", true)]
    [InlineData("http://[::1]:7410", "http://127.0.0.1:7410", true)]
    [InlineData("http://127.0.0.2:7410", "http://127.0.0.1:7410", false)]
    [InlineData("http://S1.example:7410", "http://s1.example:7410", true)]
    [InlineData("http://s1.example:7410", "http://s1.example:7420", false)]
    public void Server_is_known_by_host_and_port(string one, string other, bool same) =>
        Assert.Equal(same, ServerLearning.IsSame(new Uri(one), new Uri(other)));

    // Itself under a name that the client does not know it by, the other, and one that takes no submissions.
    private static Func<HttpContext, Task> Telling(
        Uri other, TaskCompletionSource asked, Func<HttpContext, Task> otherwise) => async context =>
    {
        if (context.Request.Path != "/v1/cluster")
        {
            await otherwise(context);
            return;
        }

        await FakeServer.WriteJsonAsync(
            context,
            200,
            $$"""
            {"cluster":"c","self":"s1","servers":[
              {"name":"s1","state":"self","roles":["entry","storage"],"http":"s1.invalid:7410"},
              {"name":"s2","state":"connected","roles":["entry"],"http":"{{other.Authority}}"},
              {"name":"s3","state":"connected","roles":["storage"],"http":"s3.invalid:7410"}]}
            """);
        asked.TrySetResult();
    };
}
