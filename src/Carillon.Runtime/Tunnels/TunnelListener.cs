using System.Net;
using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using Carillon.Node;
using Carillon.Protocols;
using Carillon.Runtime.Security;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Carillon.Runtime.Tunnels;

/// <summary>
/// The listening side of the tunnels: a web server of its own on the tunnel port, HTTP/2 over TLS 1.3 alone, that takes only
/// connections with a certificate of this cluster. The request of a control stream runs the link; those of the other streams wait
/// for its end.
/// </summary>
internal sealed class TunnelListener
{
    /// <summary>Path of the control stream.</summary>
    public const string ControlPath = PathPrefix + "control";

    private const string PathPrefix = "/tunnel/";

    // Each server has one connection at a time; while one is replaced, two.
    private const int MaxConnections = 4 * Protocols.Cluster.ClusterConfiguration.MaxServers;

    private readonly Tunnel _tunnel;
    private readonly Keyring _keyring;
    private readonly TunnelAdmission _admission;
    private readonly TunnelContext _context;
    private readonly ILogger _logger;
    private readonly Dictionary<string, TrafficKind> _kinds;
    private readonly SslStreamCertificateContext _certificate;
    private readonly WebApplication _server;
    private readonly RefusalMemory _refusals = new();
    private IPEndPoint? _endPoint;

    public TunnelListener(
        Tunnel tunnel, Keyring keyring, TunnelAdmission admission, TunnelContext context, ILogger logger, ILoggerFactory loggers)
    {
        _tunnel = tunnel;
        _keyring = keyring;
        _admission = admission;
        _context = context;
        _logger = logger;
        _kinds = context.Options.Kinds.ToDictionary(pair => PathOf(pair.Value), pair => pair.Key, StringComparer.Ordinal);
        _certificate = SslStreamCertificateContext.Create(keyring.Certificate, additionalCertificates: null, offline: true);
        _server = MakeServer(loggers);
    }

    /// <summary>Where it listens, once started.</summary>
    public IPEndPoint EndPoint => _endPoint ?? throw new InvalidOperationException("The tunnels do not listen yet.");

    /// <summary>Path of a kind's stream.</summary>
    public static string PathOf(TrafficOptions traffic) => PathPrefix + traffic.Name;

    public async Task StartAsync()
    {
        await _server.StartAsync().ConfigureAwait(false);
        Uri address = new(_server.Urls.First());
        _endPoint = new IPEndPoint(_context.Options.Listen.Address, address.Port);
        TunnelLog.Listening(_logger, _endPoint.ToString());
    }

    public async Task StopAsync()
    {
        await _server.StopAsync().ConfigureAwait(false);
        await _server.DisposeAsync().ConfigureAwait(false);
    }

    private WebApplication MakeServer(ILoggerFactory loggers)
    {
        // The empty builder reads no configuration and no environment: this port is set in one place only.
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.Services.AddSingleton(loggers);
        builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = _context.Options.DrainTimeout);
        builder.WebHost.UseKestrelCore().UseKestrelHttpsConfiguration();
        builder.WebHost.UseSockets(sockets =>
        {
            sockets.NoDelay = true;
            sockets.UnsafePreferInlineScheduling = true; // nothing here blocks, and each change of threads costs a message some 10 µs
        });
        builder.WebHost.ConfigureKestrel(ConfigureServer);
        builder.Services.AddSingleton<IMemoryPoolFactory<byte>, BlockPoolFactory>(); // last, or Kestrel's own counts
        WebApplication server = builder.Build();
        server.Run(ServeAsync);
        return server;
    }

    private void ConfigureServer(KestrelServerOptions server)
    {
        TunnelOptions options = _context.Options;
        server.AddServerHeader = false;
        server.Limits.MaxConcurrentConnections = MaxConnections;
        server.Limits.MaxRequestBodySize = null;
        server.Limits.MinRequestBodyDataRate = null;
        server.Limits.MinResponseDataRate = null;
        server.Limits.MaxResponseBufferSize = ResponseOutput.SliceBytes;
        server.Limits.KeepAliveTimeout = options.ConnectTimeout;
        server.Limits.Http2.InitialStreamWindowSize = options.StreamWindowBytes;
        server.Limits.Http2.InitialConnectionWindowSize = options.StreamWindowBytes * (options.Kinds.Count + 1); // none can starve another
        server.Limits.Http2.MaxStreamsPerConnection = 2 * (options.Kinds.Count + 1);
        server.Listen(options.Listen, listen =>
        {
            listen.Protocols = HttpProtocols.Http2;
            listen.Use(WatchHandshake);
            listen.UseHttps(new TlsHandshakeCallbackOptions
            {
                HandshakeTimeout = options.ConnectTimeout,
                OnConnection = context => ValueTask.FromResult(ServerAuthentication(ListenerConnection.Of(context.Connection))),
            });
            listen.Use(next => connection =>
            {
                ListenerConnection.Of(connection).IsEncrypted = true;
                return next(connection);
            });
        });
    }

    private SslServerAuthenticationOptions ServerAuthentication(ListenerConnection connection) => new()
    {
        EnabledSslProtocols = SslProtocols.Tls13,
        ServerCertificateContext = _certificate,
        ClientCertificateRequired = true,
        CertificateRevocationCheckMode = X509RevocationMode.NoCheck,
        RemoteCertificateValidationCallback = (_, certificate, _, _) =>
        {
            connection.Fault = _keyring.FaultOf(certificate as X509Certificate2, expected: null, out NodeId peer);
            connection.Certified = peer;
            return connection.Fault is null;
        },
    };

    /// <summary>Around the TLS handshake: says in one line who was turned away, and why.</summary>
    private ConnectionDelegate WatchHandshake(ConnectionDelegate next) => async context =>
    {
        ListenerConnection connection = new(context);
        if (context.Features.Get<IConnectionSocketFeature>()?.Socket is { } socket)
        {
            TunnelSocket.Tune(socket, _context.Options);
        }

        await next(context).ConfigureAwait(false);
        if (!connection.IsEncrypted)
        {
            Refuse(connection, connection.Fault ?? "it did not complete a TLS 1.3 handshake");
        }
    };

    private void Refuse(ListenerConnection connection, string reason)
    {
        TunnelMetrics.Refused.Add(1);
        if (_refusals.IsNews(connection.Host, reason))
        {
            TunnelLog.Refused(_logger, connection.Address, reason);
        }
    }

    private async Task ServeAsync(HttpContext context)
    {
        ListenerConnection connection = ListenerConnection.Of(context.Features.GetRequiredFeature<IConnectionItemsFeature>().Items);
        string path = context.Request.Path.Value ?? "";
        TrafficKind? kind = _kinds.TryGetValue(path, out TrafficKind known) ? known : null;
        if (!HttpMethods.IsPost(context.Request.Method) || (kind is null && path != ControlPath))
        {
            context.Response.StatusCode = StatusCodes.Status404NotFound;
            return;
        }

        TunnelStream stream = new(new TunnelInput(context.Request.Body), new ResponseOutput(context.Response));
        if (kind is { } one ? !connection.TryAttach(one, stream) : !connection.TryBegin())
        {
            context.Response.StatusCode = StatusCodes.Status409Conflict;
            return;
        }

        context.Features.Get<IHttpResponseBodyFeature>()?.DisableBuffering();
        await context.Response.StartAsync().ConfigureAwait(false);
        await context.Response.Body.FlushAsync().ConfigureAwait(false);
        await (kind is null ? RunAsync(connection, stream) : connection.Closed).ConfigureAwait(false);
    }

    /// <summary>Greets on the control stream, waits for the other streams, and runs the link.</summary>
    private async Task RunAsync(ListenerConnection connection, TunnelStream control)
    {
        MessageReader? reader = new(control.Input, ControlMessages.MaxBytes, ControlMessages.BufferBytes);
        try
        {
            TunnelLink link;
            TimeSpan limit = _context.Options.ConnectTimeout;
            using (Timer patience = new(_ => connection.Abort("The handshake took too long."), null, limit, Timeout.InfiniteTimeSpan))
            {
                Hello? hello = await GreetAsync(connection, control, reader).ConfigureAwait(false);
                if (hello is null)
                {
                    return;
                }

                link = new TunnelLink(_context, _tunnel.NewPeer(hello.Value), control, reader, connection.Detach(), connection.Abort);
                reader = null;
            }

            await _tunnel.RunLinkAsync(link).ConfigureAwait(false);
        }
        catch (Exception failure) when (TunnelFailure.IsOfConnection(failure))
        {
            Refuse(connection, TunnelFailure.Describe(failure));
        }
        catch (Exception failure)
        {
            _tunnel.ReportDefect(failure);
        }
        finally
        {
            reader?.Dispose();
            connection.Abort("The tunnel is down.");
        }
    }

    /// <summary>The peer's greeting once it is ready; null if either end refused.</summary>
    private async Task<Hello?> GreetAsync(ListenerConnection connection, TunnelStream control, MessageReader reader)
    {
        byte[]? first = await reader.ReadOneAsync().ConfigureAwait(false);
        string? fault = !Hello.TryRead(first, out Hello hello)
            ? "its greeting can't be read"
            : _admission.FaultOf(hello, connection.Certified, dialled: false);
        if (fault is not null)
        {
            Refuse(connection, fault);
            await ControlMessages.SendAsync(control.Output, ControlMessages.Refusal(fault)).ConfigureAwait(false);
            await control.Output.CompleteAsync().ConfigureAwait(false);
            await ControlMessages.WaitForHangUpAsync(reader).ConfigureAwait(false);
            return null;
        }

        connection.AcceptStreams();
        await ControlMessages.SendAsync(control.Output, _admission.Greeting().ToBytes()).ConfigureAwait(false);
        byte[]? ready = await reader.ReadOneAsync().ConfigureAwait(false);
        switch (ready is { Length: > 0 } ? (ControlType)ready[0] : default)
        {
            case ControlType.Ready:
                return hello;
            case ControlType.Refusal:
                throw new TunnelProtocolException($"it refused: {ControlMessages.ReadRefusal(ready)}");
            default:
                throw new TunnelProtocolException("it ended the connection during the handshake");
        }
    }
}
