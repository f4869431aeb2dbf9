using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using Carillon.Client;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Gateway.Tests.Client;

/// <summary>
/// A server that does what a test says: the client library is judged by how it takes it. Real sockets on loopback, any free
/// port.
/// </summary>
internal sealed class FakeServer : IAsyncDisposable
{
    private static readonly ConcurrentBag<Socket> Taken = [];

    private readonly WebApplication _application;

    private FakeServer(WebApplication application) => _application = application;

    /// <summary>Answers each request; replaced at any time.</summary>
    public Func<HttpContext, Task> Handler { get; set; } = _ => Task.CompletedTask;

    /// <summary>Method, path with query, and key of every request, in order.</summary>
    public ConcurrentQueue<(string Method, string Target, string? Key)> Requests { get; } = new();

    public Uri Address { get; private set; } = null!;

    public static async Task<FakeServer> StartAsync(Func<HttpContext, Task>? handler = null)
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(options =>
        {
            options.Listen(IPAddress.Loopback, 0);
            options.Limits.MaxRequestBodySize = null;
        });
        WebApplication application = builder.Build();
        var server = new FakeServer(application);
        if (handler is not null)
        {
            server.Handler = handler;
        }

        application.Run(async context =>
        {
            server.Requests.Enqueue(
                (context.Request.Method, context.Request.Path + context.Request.QueryString, context.Request.Headers["Idempotency-Key"]));
            await server.Handler(context);
        });
        await application.StartAsync();
        server.Address = new Uri(
            application.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First());
        return server;
    }

    /// <summary>An address on which nobody listens, nor will: its port is taken, so that no other test's server gets it.</summary>
    public static Uri DeadAddress()
    {
        var taken = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        taken.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        Taken.Add(taken);
        return new Uri($"http://{taken.LocalEndPoint}");
    }

    /// <summary>A client of some servers and no others, with short times.</summary>
    public static CarillonClient ClientOf(params Uri[] servers) => ClientOf(false, servers);

    /// <summary>A client of some servers, with short times.</summary>
    public static CarillonClient ClientOf(bool learns, params Uri[] servers) => new(new CarillonClientOptions
    {
        Servers = [.. servers],
        LearnServers = learns,
        Timeout = TimeSpan.FromSeconds(5),
        AttemptTimeout = TimeSpan.FromSeconds(2),
        StallTimeout = TimeSpan.FromMilliseconds(300),
    });

    /// <summary>Reads the body, and accepts the put.</summary>
    public static async Task AcceptAsync(HttpContext context)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        byte[] buffer = new byte[64 << 10];
        long size = 0;
        int read;
        while ((read = await context.Request.Body.ReadAsync(buffer)) > 0)
        {
            hash.AppendData(buffer.AsSpan(0, read));
            size += read;
        }

        await WriteJsonAsync(context, 200, string.Create(
            CultureInfo.InvariantCulture,
            $$"""
            {"uid":"1-0@s1","sequence":null,"size":{{size}},"submission":"1-0@s1.0000000000000001",
             "sha256":"{{Convert.ToHexStringLower(hash.GetHashAndReset())}}"}
            """));
    }

    /// <summary>Answers with a problem.</summary>
    public static Func<HttpContext, Task> Problem(int status, string code) => async context =>
    {
        await context.Request.Body.CopyToAsync(Stream.Null);
        await WriteJsonAsync(
            context,
            status,
            $$"""{"title":"no","status":{{status}},"detail":"because","code":"{{code}}","requestId":"r-1","retryable":true}""",
            "application/problem+json");
    };

    /// <summary>Takes the whole request, and breaks the connection without an answer.</summary>
    public static async Task LoseAsync(HttpContext context)
    {
        await context.Request.Body.CopyToAsync(Stream.Null);
        context.Abort();
    }

    /// <summary>Says nothing until the client goes away.</summary>
    public static async Task StallAsync(HttpContext context)
    {
        var gone = new TaskCompletionSource();
        await using CancellationTokenRegistration registration = context.RequestAborted.Register(gone.SetResult);
        await gone.Task;
    }

    /// <summary>Serves an object with ranges and If-Match, as the interface contract says.</summary>
    /// <param name="content">Its bytes.</param>
    /// <param name="uid">Its version.</param>
    /// <param name="breakAfter">The connection breaks after so many bytes of the body; null: it does not.</param>
    /// <param name="told">The hash that is told; null: the right one.</param>
    /// <param name="stall">Stalls instead of breaking.</param>
    public static Func<HttpContext, Task> Serve(
        byte[] content, string uid, int? breakAfter = null, string? told = null, bool stall = false) =>
        async context =>
    {
        string? match = context.Request.Headers.IfMatch;
        if (match is not null && match != $"\"{uid}\"")
        {
            await Problem(412, "precondition-failed")(context);
            return;
        }

        if (context.Request.Query["version"] is [{ } version] && version != uid)
        {
            await Problem(404, "not-found")(context);
            return;
        }

        long from = context.Request.Headers.Range is [{ } range] ? long.Parse(range["bytes=".Length..^1], CultureInfo.InvariantCulture) : 0;
        context.Response.StatusCode = from > 0 ? 206 : 200;
        if (from > 0)
        {
            context.Response.Headers.ContentRange = $"bytes {from}-{content.Length - 1}/{content.Length}";
        }

        context.Response.Headers.ETag = $"\"{uid}\"";
        context.Response.Headers["Carillon-Sha256"] = told ?? Convert.ToHexStringLower(SHA256.HashData(content));
        context.Response.Headers["Carillon-Meta-color"] = "gr%C3%BCn";
        context.Response.ContentLength = content.Length - from;
        if (HttpMethods.IsHead(context.Request.Method))
        {
            return;
        }

        int end = breakAfter is { } limit ? (int)Math.Min(content.Length, from + limit) : content.Length;
        await context.Response.Body.WriteAsync(content.AsMemory((int)from, end - (int)from));
        await context.Response.Body.FlushAsync();
        if (end < content.Length)
        {
            if (stall)
            {
                await StallAsync(context);
            }

            context.Abort();
        }
    };

    public static async Task WriteJsonAsync(HttpContext context, int status, string json, string type = "application/json")
    {
        byte[] bytes = Encoding.UTF8.GetBytes(json);
        context.Response.StatusCode = status;
        context.Response.ContentType = type;
        context.Response.ContentLength = bytes.Length;
        await context.Response.Body.WriteAsync(bytes);
    }

    public async ValueTask DisposeAsync()
    {
        using var now = new CancellationTokenSource();
        await now.CancelAsync();
        await _application.StopAsync(now.Token);
        await _application.DisposeAsync();
    }
}
