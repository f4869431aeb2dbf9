using System.Net;
using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using Carillon.Protocols;
using Carillon.Runtime.Security;
using Carillon.Runtime.Tunnels;

namespace Carillon.Runtime.Tests.Tunnels;

/// <summary>A dialler that says what a test wants, and trusts everybody.</summary>
internal sealed class RawPeer : IDisposable
{
    private readonly HttpMessageInvoker _client;
    private readonly List<RequestOutput> _outputs = [];
    private readonly IPEndPoint _to;

    public RawPeer(Keyring? keyring, IPEndPoint to)
    {
        _to = to;
        _client = new HttpMessageInvoker(new SocketsHttpHandler
        {
            SslOptions = new SslClientAuthenticationOptions
            {
                EnabledSslProtocols = SslProtocols.Tls13,
                ClientCertificates = keyring is null ? null : new X509CertificateCollection { keyring.Certificate },
                LocalCertificateSelectionCallback = keyring is null ? null : (_, _, _, _, _) => keyring.Certificate,
                RemoteCertificateValidationCallback = (_, _, _, _) => true,
            },
        });
    }

    /// <summary>A call that is turned away during the TLS handshake.</summary>
    public static async Task FailToConnectAsync(Keyring? keyring, IPEndPoint to)
    {
        using RawPeer peer = new(keyring, to);
        await Assert.ThrowsAsync<HttpRequestException>(() => Wait.For(peer.SendAsync("/tunnel/control")));
    }

    /// <summary>Opens a stream; the status if it was not 200.</summary>
    public async Task<(TunnelStream? Stream, HttpStatusCode Status)> OpenAsync(string path)
    {
        HttpResponseMessage response = await Wait.For(SendAsync(path));
        RequestOutput output = _outputs[^1];
        if (response.StatusCode != HttpStatusCode.OK)
        {
            return (null, response.StatusCode);
        }

        await Wait.For(output.Opened);
        return (new TunnelStream(new TunnelInput(await response.Content.ReadAsStreamAsync()), output), response.StatusCode);
    }

    /// <summary>Opens the control stream, says these bytes, and gives the answer.</summary>
    public async Task<(TunnelStream Control, byte[] Answer)> GreetAsync(byte[] greeting)
    {
        (TunnelStream? control, _) = await OpenAsync("/tunnel/control");
        await ControlMessages.SendAsync(control!.Output, greeting);
        using MessageReader reader = new(control.Input, ControlMessages.MaxBytes);
        return (control, await Wait.For(reader.ReadOneAsync().AsTask()) ?? []);
    }

    /// <summary>Greets as it should be done, and opens one stream.</summary>
    public async Task<TunnelStream> ConnectAsync(Keyring keyring, string path)
    {
        Hello hello = new(1, 1, keyring.Cluster, keyring.Name, new DiskId(1), new Incarnation(1), 1);
        (TunnelStream control, byte[] answer) = await GreetAsync(hello.ToBytes());
        Assert.True(Hello.TryRead(answer, out _));
        (TunnelStream? stream, _) = await OpenAsync(path);
        await ControlMessages.SendAsync(control.Output, ControlMessages.Signal(ControlType.Ready));
        return stream!;
    }

    public void Dispose()
    {
        _outputs.ForEach(output => output.Abandon());
        _client.Dispose();
    }

    private Task<HttpResponseMessage> SendAsync(string path)
    {
        RequestOutput output = new();
        _outputs.Add(output);
        HttpRequestMessage request = new(HttpMethod.Post, $"https://127.0.0.1:{_to.Port}{path}")
        {
            Content = output,
            Version = HttpVersion.Version20,
            VersionPolicy = HttpVersionPolicy.RequestVersionExact,
        };
        return _client.SendAsync(request, CancellationToken.None);
    }
}
