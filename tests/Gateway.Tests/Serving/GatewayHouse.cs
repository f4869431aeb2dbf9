using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using Carillon.Runtime.Feeds;
using Carillon.Runtime.Groups;
using Carillon.Runtime.Services;
using Xunit;

namespace Carillon.Gateway.Tests.Serving;

/// <summary>A gateway over a fake server, on a port of its own, and ways to ask it.</summary>
internal sealed class GatewayHouse : IAsyncDisposable
{
    private GatewayHouse(FakeServer server, HttpGateway gateway, FailureLog log)
    {
        Log = log;
        Server = server;
        Gateway = gateway;
        Client = new HttpClient { BaseAddress = new Uri($"http://127.0.0.1:{gateway.Port}"), Timeout = TimeSpan.FromSeconds(20) };
    }

    public FakeServer Server { get; }

    public HttpGateway Gateway { get; }

    /// <summary>What went wrong inside; a test that expects it takes it out.</summary>
    public FailureLog Log { get; }

    public HttpClient Client { get; }

    public static async Task<GatewayHouse> StartAsync(
        GatewayOptions? options = null, IServiceGate? services = null, IGroupGate? groups = null, int port = 0,
        IFeedGate? feed = null)
    {
        var server = new FakeServer { SharedFeed = feed };
        var log = new FailureLog();
        GatewayOptions own = (options ?? new GatewayOptions()) with { Port = port };
        return new GatewayHouse(server, await HttpGateway.StartAsync(own, server, log, services, groups), log);
    }

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        await Gateway.StopAsync(new CancellationToken(true));
        Assert.Empty(Log.Failures);
    }

    /// <summary>Sends a request with some headers, as they are.</summary>
    public async Task<HttpResponseMessage> SendAsync(
        HttpMethod method, string path, HttpContent? content = null, params (string Name, string Value)[] headers)
    {
        using var request = new HttpRequestMessage(method, path) { Content = content };
        foreach ((string name, string value) in headers)
        {
            if (!request.Headers.TryAddWithoutValidation(name, value))
            {
                request.Content!.Headers.TryAddWithoutValidation(name, value);
            }
        }

        return await Client.SendAsync(request, TestContext.Current.CancellationToken);
    }

    public Task<HttpResponseMessage> PutAsync(string path, byte[] content, params (string Name, string Value)[] headers) =>
        SendAsync(HttpMethod.Put, path, new ByteArrayContent(content), headers);

    public Task<HttpResponseMessage> GetAsync(string path, params (string Name, string Value)[] headers) =>
        SendAsync(HttpMethod.Get, path, null, headers);

    /// <summary>Writes bytes to the socket and no more, and reads what comes until the server closes.</summary>
    public async Task<string> RawAsync(string request)
    {
        using TcpClient socket = await ConnectAsync(request);
        NetworkStream stream = socket.GetStream();
        var answer = new MemoryStream();
        try
        {
            await stream.CopyToAsync(answer, TestContext.Current.CancellationToken);
        }
        catch (IOException)
        {
            // Cut off by the server: what came before counts.
        }

        return Encoding.UTF8.GetString(answer.ToArray());
    }

    /// <summary>
    /// Writes a part of a request, waits until the server is in the middle of it, and dies: by an end of its stream, or by a reset.
    /// </summary>
    public async Task CutAsync(string request, Func<bool> until, bool reset)
    {
        using TcpClient socket = await ConnectAsync(request);
        await Eventually.Async(until);
        if (reset)
        {
            socket.Client.LingerState = new LingerOption(true, 0);
        }
    }

    private async Task<TcpClient> ConnectAsync(string request)
    {
        var socket = new TcpClient { NoDelay = true };
        await socket.ConnectAsync(IPAddress.Loopback, Gateway.Port, TestContext.Current.CancellationToken);
        await socket.GetStream().WriteAsync(Encoding.Latin1.GetBytes(request), TestContext.Current.CancellationToken);
        return socket;
    }
}

/// <summary>Waiting for what another thread does.</summary>
internal static class Eventually
{
    /// <summary>Returns once the condition holds; fails after ten seconds.</summary>
    public static async Task Async(Func<bool> condition)
    {
        using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(10));
        while (!condition())
        {
            deadline.Token.ThrowIfCancellationRequested();
            await Task.Yield();
        }
    }
}

/// <summary>Looking at answers.</summary>
internal static class Answers
{
    public static async Task<JsonElement> JsonAsync(this HttpResponseMessage response)
    {
        byte[] bytes = await response.Content.ReadAsByteArrayAsync(TestContext.Current.CancellationToken);
        return JsonDocument.Parse(bytes).RootElement;
    }

    public static string Header(this HttpResponseMessage response, string name) =>
        response.Headers.TryGetValues(name, out var values) || response.Content.Headers.TryGetValues(name, out values)
            ? string.Join(", ", values) : "";

    /// <summary>Checks that an answer is a problem with this status and code, whole in all its parts; gives its body.</summary>
    public static async Task<JsonElement> ProblemAsync(this HttpResponseMessage response, int status, string code)
    {
        string text = await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken);
        Assert.True((int)response.StatusCode == status, $"{(int)response.StatusCode} instead of {status}: {text}");
        Assert.Equal("application/problem+json", response.Content.Headers.ContentType?.MediaType);
        JsonElement problem = JsonDocument.Parse(text).RootElement;
        Assert.Equal(code, problem.GetProperty("code").GetString());
        Assert.Equal($"urn:carillon:problem:{code}", problem.GetProperty("type").GetString());
        Assert.Equal(status, problem.GetProperty("status").GetInt32());
        Assert.Equal("s1", problem.GetProperty("server").GetString());
        Assert.NotEqual("", problem.GetProperty("title").GetString());
        Assert.NotEqual("", problem.GetProperty("detail").GetString());
        Assert.True(problem.TryGetProperty("retryable", out _));
        Assert.Equal(response.Header("Carillon-Request-Id"), problem.GetProperty("requestId").GetString());
        Assert.Equal(code, response.Header("Carillon-Problem"));
        Assert.Equal(status == 503, response.Headers.RetryAfter is not null);
        return problem;
    }
}
