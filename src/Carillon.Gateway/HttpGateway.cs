using System.Net;
using System.Net.Sockets;
using Carillon.Runtime.Groups;
using Carillon.Runtime.Services;
using Carillon.Runtime.Serving;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Carillon.Gateway;

/// <summary>
/// One server's HTTP interface (docs/formats/http.md): Kestrel, and straight behind it the routes. There is no host, no middleware and no
/// configuration of its own between them: nothing but the options decides what it listens on, and a small put pays for nothing else.
/// All members may be called from any thread.
/// </summary>
public sealed class HttpGateway : IAsyncDisposable
{
    /// <summary>The largest object, in bytes.</summary>
    public const long MaxObjectBytes = 16L << 40;

    private readonly WebApplication _kestrel;
    private readonly IServer _server;
    private readonly GatewayServices _services;
    private readonly Lock _stopLock = new();
    private Task? _stop;

    private HttpGateway(WebApplication kestrel, GatewayServices services)
    {
        _kestrel = kestrel;
        _services = services;
        _server = kestrel.Services.GetRequiredService<IServer>();
    }

    /// <summary>The port that it listens on.</summary>
    public int Port => Address.Port;

    /// <summary>Where it listens, as a URL.</summary>
    public Uri Address { get; private set; } = null!;

    /// <summary>Listens, and serves requests from then on.</summary>
    /// <exception cref="ArgumentException">The options have faults; the message lists them.</exception>
    /// <exception cref="IOException">The address can't be listened on (in use, not this machine's).</exception>
    public static async Task<HttpGateway> StartAsync(
        GatewayOptions options, IEntryServer server, ILoggerFactory? logs = null, IServiceGate? serviceGate = null,
        IGroupGate? groupGate = null, CancellationToken cancellation = default)
    {
        if (options.Validate() is { IsEmpty: false } faults)
        {
            throw new ArgumentException(string.Join("; ", faults), nameof(options));
        }

        logs ??= NullLoggerFactory.Instance;
        ILogger log = logs.CreateLogger("Carillon.Gateway");
        var services = new GatewayServices(options, server, serviceGate, groupGate, log);
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new());
        builder.Services.AddSingleton(logs);
        builder.WebHost.UseKestrelCore()
            .UseSockets(sockets => sockets.UnsafePreferInlineScheduling = true) // no route blocks for long, and a change of threads is dear
            .ConfigureKestrel(kestrel => Configure(kestrel, options));
        var gateway = new HttpGateway(builder.Build(), services);
        try
        {
            await gateway._server.StartAsync(new GatewayApplication(services), cancellation);
        }
        catch (Exception fault)
        {
            await gateway.ReleaseAsync();
            if (fault is SocketException or IOException { InnerException: not null })
            {
                var endPoint = new IPEndPoint(options.Address, options.Port);
                throw new IOException($"can't listen for HTTP on {endPoint}: {fault.GetBaseException().Message}", fault);
            }

            throw;
        }

        gateway.Address = new Uri(gateway._server.Features.Get<IServerAddressesFeature>()!.Addresses.First());
        log.Listening(gateway.Address);
        if (options.RequiresToken && options.Certificate is null)
        {
            log.Insecure(gateway.Address);
        }

        return gateway;
    }

    /// <summary>
    /// Stops: no new connections, new requests are refused, those in progress have <see cref="GatewayOptions.DrainTimeout"/> to end (less
    /// if
    /// <paramref name="cancellation"/> comes), then are cut off. Called again, it waits for the same stop.
    /// </summary>
    public Task StopAsync(CancellationToken cancellation = default)
    {
        lock (_stopLock)
        {
            return _stop ??= DrainAsync(cancellation);
        }
    }

    /// <summary>Stops, if it has not been stopped.</summary>
    public async ValueTask DisposeAsync() => await StopAsync();

    private async Task DrainAsync(CancellationToken cancellation)
    {
        _services.Stop();
        _services.Log.Stopping(_services.Options.DrainTimeout.TotalSeconds);
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        deadline.CancelAfter(_services.Options.DrainTimeout);
        await _server.StopAsync(deadline.Token);
        await ReleaseAsync();
    }

    private async ValueTask ReleaseAsync()
    {
        await _kestrel.DisposeAsync();
        _services.Dispose();
    }

    private static void Configure(KestrelServerOptions kestrel, GatewayOptions options)
    {
        kestrel.AddServerHeader = false;
        kestrel.Limits.MaxConcurrentConnections = options.MaxConnections;
        kestrel.Limits.MaxRequestBodySize = MaxObjectBytes;

        // A name of 1,024 bytes takes 3 KiB when all of it is encoded, and a listing's query may bring three of them; metadata take 24 KiB.
        kestrel.Limits.MaxRequestLineSize = 16 << 10;
        kestrel.Limits.MaxRequestHeadersTotalSize = 64 << 10;
        kestrel.Limits.MaxRequestHeaderCount = 200;

        // The default of 64 KiB lets a download wait for the client after every other write.
        kestrel.Limits.MaxResponseBufferSize = 1 << 20;
        kestrel.Limits.Http2.InitialStreamWindowSize = 1 << 20;
        kestrel.Limits.Http2.InitialConnectionWindowSize = 4 << 20;
        kestrel.Listen(new IPEndPoint(options.Address, options.Port), listen =>
        {
            listen.Protocols = options.Certificate is null ? HttpProtocols.Http1 : HttpProtocols.Http1AndHttp2;
            if (options.Certificate is { } certificate)
            {
                listen.UseHttps(certificate);
            }
        });
    }
}
