using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using Carillon.Node;
using Carillon.Runtime.Security;
using Microsoft.Extensions.Logging;

namespace Carillon.Runtime.Tunnels;

/// <summary>One connection that this server dialled: its socket, its HTTP/2 client, and the streams on it.</summary>
internal sealed class DialledConnection : IAsyncDisposable
{
    private readonly Tunnel _tunnel;
    private readonly TunnelTarget _target;
    private readonly Keyring _keyring;
    private readonly TunnelAdmission _admission;
    private readonly TunnelContext _context;
    private readonly ILogger _logger;
    private readonly HttpMessageInvoker _client;
    private readonly CancellationTokenSource _aborted = new();
    private readonly List<(RequestOutput Output, Task<HttpResponseMessage> Response)> _requests = [];
    private Socket? _socket;
    private string? _certificateFault;

    public DialledConnection(
        Tunnel tunnel, TunnelTarget target, Keyring keyring, TunnelAdmission admission, TunnelContext context, ILogger logger)
    {
        _tunnel = tunnel;
        _target = target;
        _keyring = keyring;
        _admission = admission;
        _context = context;
        _logger = logger;
        _client = new HttpMessageInvoker(MakeHandler(), disposeHandler: true);
    }

    /// <summary>Connects, greets, and opens a stream per kind.</summary>
    /// <exception cref="TunnelProtocolException">The peer, or this server, refused.</exception>
    public async Task<TunnelLink> OpenAsync(CancellationToken stop)
    {
        using CancellationTokenSource patience = CancellationTokenSource.CreateLinkedTokenSource(stop, _aborted.Token);
        patience.CancelAfter(_context.Options.ConnectTimeout);

        // Whatever hangs, the greeting's own reads and writes included, ends when the connection is cut.
        await using CancellationTokenRegistration cut = patience.Token.UnsafeRegister(_ => Abort(), null);
        MessageReader? reader = null;
        try
        {
            TunnelStream control = await OpenStreamAsync(TunnelListener.ControlPath, patience.Token).ConfigureAwait(false)
                ?? throw new TunnelProtocolException("it knows no tunnels");
            reader = new MessageReader(control.Input, ControlMessages.MaxBytes, ControlMessages.BufferBytes);
            Hello hello = await GreetAsync(control, reader).ConfigureAwait(false);

            Dictionary<TrafficKind, TunnelStream> streams = [];
            foreach ((TrafficKind kind, TrafficOptions traffic) in _context.Options.Kinds)
            {
                if (await OpenStreamAsync(TunnelListener.PathOf(traffic), patience.Token).ConfigureAwait(false) is { } stream)
                {
                    streams.Add(kind, stream);
                }
                else
                {
                    TunnelLog.KindUnknown(_logger, _target.Name, traffic.Name);
                }
            }

            await ControlMessages.SendAsync(control.Output, ControlMessages.Signal(ControlType.Ready)).ConfigureAwait(false);
            TunnelLink link = new(_context, _tunnel.NewPeer(hello), control, reader, streams, _ => Abort());
            reader = null;
            return link;
        }
        catch (Exception failure) when (TunnelFailure.IsOfConnection(failure) && _certificateFault is { } fault)
        {
            throw new TunnelProtocolException(fault, failure);
        }
        finally
        {
            reader?.Dispose();
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        Abort();
        foreach ((RequestOutput output, Task<HttpResponseMessage> response) in _requests)
        {
            output.Abandon();
            await ((Task)response).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            if (response.IsCompletedSuccessfully)
            {
                (await response.ConfigureAwait(false)).Dispose();
            }
        }

        _client.Dispose();
        _aborted.Dispose();
    }

    private void Abort()
    {
        // Cutting the socket ends every read and write on the connection.
        _socket?.Close(0);
        try
        {
            _aborted.Cancel();
        }
        catch (ObjectDisposedException)
        {
            return; // a late call: all has ended already
        }
    }

    private async Task<Hello> GreetAsync(TunnelStream control, MessageReader reader)
    {
        await ControlMessages.SendAsync(control.Output, _admission.Greeting().ToBytes()).ConfigureAwait(false);
        byte[] first = await reader.ReadOneAsync().ConfigureAwait(false)
            ?? throw new TunnelProtocolException("it ended the connection without a greeting");
        if (first is [(byte)ControlType.Refusal, ..])
        {
            throw new TunnelProtocolException($"it refused: {ControlMessages.ReadRefusal(first)}");
        }

        if (!Hello.TryRead(first, out Hello hello))
        {
            throw new TunnelProtocolException("its greeting can't be read");
        }

        if (_admission.FaultOf(hello, _target.Name, dialled: true) is { } fault)
        {
            await ControlMessages.SendAsync(control.Output, ControlMessages.Refusal(fault)).ConfigureAwait(false);
            await ControlMessages.WaitForHangUpAsync(reader).ConfigureAwait(false);
            throw new TunnelProtocolException(fault);
        }

        return hello;
    }

    /// <summary>Opens a stream; null where the peer does not know that path.</summary>
    private async Task<TunnelStream?> OpenStreamAsync(string path, CancellationToken cancellation)
    {
        RequestOutput output = new();
        HttpRequestMessage request = new(HttpMethod.Post, "https://tunnel.carillon" + path)
        {
            Content = output,
            Version = HttpVersion.Version20,
            VersionPolicy = HttpVersionPolicy.RequestVersionExact,
        };
        Task<HttpResponseMessage> sending = _client.SendAsync(request, _aborted.Token);
        _requests.Add((output, sending));
        HttpResponseMessage response = await sending.WaitAsync(cancellation).ConfigureAwait(false);
        switch (response.StatusCode)
        {
            case HttpStatusCode.OK:
                await output.Opened.WaitAsync(cancellation).ConfigureAwait(false);
                Stream body = await response.Content.ReadAsStreamAsync(cancellation).ConfigureAwait(false);
                return new TunnelStream(new TunnelInput(body), output);
            case HttpStatusCode.NotFound:
                output.Abandon();
                return null;
            default:
                throw new TunnelProtocolException($"it answered {(int)response.StatusCode} to {path}");
        }
    }

    private SocketsHttpHandler MakeHandler() => new()
    {
        ConnectCallback = ConnectAsync,
        SslOptions = new SslClientAuthenticationOptions
        {
            EnabledSslProtocols = SslProtocols.Tls13,
            ClientCertificateContext = SslStreamCertificateContext.Create(_keyring.Certificate, null, offline: true),
            RemoteCertificateValidationCallback = JudgeCertificate,
            CertificateRevocationCheckMode = X509RevocationMode.NoCheck,
        },
        InitialHttp2StreamWindowSize = _context.Options.StreamWindowBytes,
        EnableMultipleHttp2Connections = false,
        PooledConnectionLifetime = Timeout.InfiniteTimeSpan,
        PooledConnectionIdleTimeout = Timeout.InfiniteTimeSpan,
        ConnectTimeout = _context.Options.ConnectTimeout,
        UseProxy = false,
        UseCookies = false,
        AllowAutoRedirect = false,
        AutomaticDecompression = DecompressionMethods.None,
        ActivityHeadersPropagator = null,
    };

    private async ValueTask<Stream> ConnectAsync(SocketsHttpConnectionContext context, CancellationToken cancellation)
    {
        // The client would open another connection for a request that finds this one broken. There is one per pair, made here.
        if (_socket is not null)
        {
            throw new IOException("The connection broke.");
        }

        Socket socket = new(SocketType.Stream, ProtocolType.Tcp);
        try
        {
            TunnelSocket.Tune(socket, _context.Options);
            using (CancellationTokenSource patience = CancellationTokenSource.CreateLinkedTokenSource(cancellation))
            {
                patience.CancelAfter(_context.Options.DialTimeout);
                await socket.ConnectAsync(_target.Host, _target.Port, patience.Token).ConfigureAwait(false);
            }

            _socket = socket;
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    private bool JudgeCertificate(object sender, X509Certificate? certificate, X509Chain? chain, SslPolicyErrors errors)
    {
        _certificateFault = _keyring.FaultOf(certificate as X509Certificate2, _target.Name, out _);
        if (_certificateFault is not null)
        {
            TunnelMetrics.Refused.Add(1);
        }

        return _certificateFault is null;
    }
}
