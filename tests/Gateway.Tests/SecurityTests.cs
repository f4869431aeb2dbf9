using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Carillon.Gateway.Tests.Serving;
using Carillon.Runtime.Security;
using Xunit;

namespace Carillon.Gateway.Tests;

/// <summary>Who may come in, over what, and how the gateway starts and stops.</summary>
public sealed class SecurityTests
{
    private const string Token = "0123456789abcdef-token";

    private static readonly GatewayOptions Open = new()
    {
        Address = IPAddress.Any,
        Insecure = true,
        Tokens = BearerTokens.None.With("other", "another-token-of-the-cluster").With("admin", Token),
    };

    [Theory]
    [InlineData(null, 401)]
    [InlineData("", 401)]
    [InlineData("Bearer", 401)]
    [InlineData("Bearer ", 401)]
    [InlineData("Bearer 0123456789abcdef-tokem", 401)]
    [InlineData("Bearer 0123456789abcdef-token2", 401)]
    [InlineData("Bearer 0123456789abcdef-toke", 401)]
    [InlineData("Basic 0123456789abcdef-token", 401)]
    [InlineData("0123456789abcdef-token", 401)]
    [InlineData("Bearer 0123456789abcdef-token", 200)]
    [InlineData("bearer  0123456789abcdef-token ", 200)]
    [InlineData("Bearer another-token-of-the-cluster", 200)]
    public async Task Token_is_required_when_not_on_loopback(string? authorization, int status)
    {
        await using GatewayHouse house = await GatewayHouse.StartAsync(Open);
        (string, string)[] headers = authorization is null ? [] : [("Authorization", authorization)];
        foreach (string path in (string[])["/v1/buckets", "/v1/cluster", "/metrics", "/healthz/ready", "/healthz/cluster"])
        {
            using HttpResponseMessage response = await house.GetAsync(path, headers);
            Assert.Equal(status, (int)response.StatusCode);
            if (status == 401)
            {
                await response.ProblemAsync(401, "unauthorized");
                Assert.StartsWith("Bearer realm=\"carillon\"", response.Headers.WwwAuthenticate.ToString(), StringComparison.Ordinal);
            }
        }

        using HttpResponseMessage live = await house.GetAsync("/healthz/live");
        Assert.Equal(HttpStatusCode.OK, live.StatusCode);
        using HttpResponseMessage put = await house.PutAsync("/v1/buckets/files/objects/a", [1], headers);
        Assert.Equal(status, (int)put.StatusCode);
        Assert.Equal(status == 200 ? 1 : 0, house.Server.Submissions.Count);
    }

    [Fact]
    public async Task Two_authorization_headers_are_refused()
    {
        await using GatewayHouse house = await GatewayHouse.StartAsync(Open);
        string raw = await house.RawAsync(
            $"GET /v1/buckets HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            + $"Authorization: Bearer {Token}\r\nAuthorization: Bearer {Token}\r\n\r\n");

        Assert.StartsWith("HTTP/1.1 401 ", raw, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("Host: localhost", 200)]
    [InlineData("Host: LOCALHOST:7410", 200)]
    [InlineData("Host: 127.0.0.1:7410", 200)]
    [InlineData("Host: 127.8.9.1", 200)]
    [InlineData("Host: [::1]:7410", 200)]
    [InlineData("Host: localhost:7410\r\nOrigin: http://localhost:7410", 200)]
    [InlineData("Host: localhost\r\nSec-Fetch-Site: none", 200)]
    [InlineData("Host: localhost\r\nSec-Fetch-Site: same-origin", 200)]
    [InlineData("Host: evil.example", 403)]
    [InlineData("Host: localhost.evil.example", 403)]
    [InlineData("Host: 10.0.0.1", 403)]
    [InlineData("Host: localhost:7410\r\nOrigin: http://localhost:8080", 403)]
    [InlineData("Host: localhost\r\nOrigin: http://evil.example", 403)]
    [InlineData("Host: localhost\r\nOrigin: null", 403)]
    [InlineData("Host: localhost\r\nSec-Fetch-Site: cross-site", 403)]
    public async Task Web_pages_of_others_are_kept_out_where_no_token_is_asked_for(string headers, int status)
    {
        await using GatewayHouse house = await GatewayHouse.StartAsync();
        string raw = await house.RawAsync($"DELETE /v1/buckets/files/objects/a HTTP/1.1\r\n{headers}\r\nConnection: close\r\n\r\n");

        Assert.StartsWith($"HTTP/1.1 {status} ", raw, StringComparison.Ordinal);
        Assert.Equal(status == 200 ? 1 : 0, house.Server.Submissions.Count);
    }

    [Fact]
    public async Task Headers_can_not_be_injected_by_what_is_echoed()
    {
        await using GatewayHouse house = await GatewayHouse.StartAsync();
        string key = await house.RawAsync(
            "DELETE /v1/buckets/files/objects/a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nIdempotency-Key: k\rX-Evil: 1\r\n\r\n");
        string name = await house.RawAsync(
            "GET /v1/buckets/files/objects/a%0D%0AX-Evil:%201 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        string type = await house.RawAsync(
            "PUT /v1/buckets/files/objects/a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            + "Content-Type: a/b\tc\r\nContent-Length: 1\r\n\r\nx");

        foreach (string raw in (string[])[key, name, type])
        {
            Assert.StartsWith("HTTP/1.1 400 ", raw, StringComparison.Ordinal);
            Assert.DoesNotContain("\nX-Evil", raw, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task Tls_speaks_http_2_and_carries_both_ways()
    {
        using X509Certificate2 certificate = Certificate();
        await using GatewayHouse house = await GatewayHouse.StartAsync(Open with { Insecure = false, Certificate = certificate });
        using var handler = new SocketsHttpHandler();
        handler.SslOptions.RemoteCertificateValidationCallback = (_, offered, _, _) =>
            offered!.GetCertHashString() == certificate.GetCertHashString();
        using var client = new HttpClient(handler)
        {
            BaseAddress = new Uri($"https://127.0.0.1:{house.Gateway.Port}"), DefaultRequestVersion = HttpVersion.Version20,
            DefaultVersionPolicy = HttpVersionPolicy.RequestVersionExact,
        };
        client.DefaultRequestHeaders.Authorization = new("Bearer", Token);
        byte[] content = new byte[3_000_000];
        new Random(1).NextBytes(content);
        using HttpResponseMessage put = await client.PutAsync(
            "/v1/buckets/files/objects/a%2Fb", new StreamContent(new MemoryStream(content)), TestContext.Current.CancellationToken);
        byte[] got = await client.GetByteArrayAsync("/v1/buckets/files/objects/a/b", TestContext.Current.CancellationToken);

        Assert.Equal(HttpStatusCode.OK, put.StatusCode);
        Assert.Equal(HttpVersion.Version20, put.Version);
        Assert.Equal(content, got);
        Assert.Equal("https", house.Gateway.Address.Scheme);
    }

    [Fact]
    public void Options_tell_all_their_faults()
    {
        using X509Certificate2 certificate = Certificate();
        using X509Certificate2 withoutKey = X509CertificateLoader.LoadCertificate(certificate.Export(X509ContentType.Cert));

        Assert.Empty(new GatewayOptions().Validate());
        Assert.Empty(Open.Validate());
        Assert.Empty((Open with { Insecure = false, Certificate = certificate }).Validate());
        Assert.Equal(2, new GatewayOptions { Address = IPAddress.Any }.Validate().Length);
        Assert.Single((Open with { Tokens = BearerTokens.None }).Validate());
        var three = new GatewayOptions { Port = 70_000, MaxConnections = 0, DrainTimeout = TimeSpan.FromSeconds(-1) };
        Assert.Equal(3, three.Validate().Length);
        Assert.Single(new GatewayOptions { Certificate = withoutKey }.Validate());
        Assert.Single(new GatewayOptions { MaxLargeChangesets = 0 }.Validate());
    }

    [Fact]
    public async Task Bad_options_do_not_start()
    {
        var options = new GatewayOptions { Address = IPAddress.Any, Port = 0 };
        ArgumentException exception = await Assert.ThrowsAsync<ArgumentException>(
            () => HttpGateway.StartAsync(options, new FakeServer(), cancellation: TestContext.Current.CancellationToken));

        Assert.Contains("token", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Port_in_use_is_an_io_error_that_names_it()
    {
        await using GatewayHouse house = await GatewayHouse.StartAsync();
        IOException exception = await Assert.ThrowsAsync<IOException>(() => HttpGateway.StartAsync(
            new GatewayOptions { Port = house.Gateway.Port }, new FakeServer(), cancellation: TestContext.Current.CancellationToken));

        Assert.Contains($"{house.Gateway.Port}", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Stop_lets_requests_in_progress_end_and_refuses_new_ones()
    {
        GatewayHouse house = await GatewayHouse.StartAsync();
        var release = new TaskCompletionSource();
        house.Server.OnSubmit = async request =>
        {
            await release.Task;
            return new Carillon.Protocols.VectorExchange.SubmitOutcome.Accepted(house.Server.NextTag(), false);
        };
        Task<HttpResponseMessage> put = house.PutAsync("/v1/buckets/files/objects/a", [1]);
        await Eventually.Async(() => !house.Server.Submissions.IsEmpty);
        Task stop = house.Gateway.StopAsync(TestContext.Current.CancellationToken);
        Assert.Same(stop, house.Gateway.StopAsync(TestContext.Current.CancellationToken));
        Assert.False(stop.IsCompleted);
        release.SetResult();
        using HttpResponseMessage response = await put;
        await stop.WaitAsync(TimeSpan.FromSeconds(10), TestContext.Current.CancellationToken);

        Assert.Equal(HttpStatusCode.Accepted, response.StatusCode);
        await Assert.ThrowsAnyAsync<HttpRequestException>(() => house.GetAsync("/healthz/live"));
        await house.DisposeAsync();
    }

    [Fact]
    public async Task Stop_cuts_off_what_does_not_end_in_time()
    {
        GatewayHouse house = await GatewayHouse.StartAsync(new GatewayOptions { DrainTimeout = TimeSpan.FromMilliseconds(50) });
        var never = new TaskCompletionSource<Carillon.Protocols.VectorExchange.SubmitOutcome>();
        house.Server.OnSubmit = _ => never.Task;
        Task<HttpResponseMessage> put = house.PutAsync("/v1/buckets/files/objects/a", [1]);
        await Eventually.Async(() => !house.Server.Submissions.IsEmpty);
        Task stop = house.Gateway.StopAsync(TestContext.Current.CancellationToken);
        await Assert.ThrowsAnyAsync<HttpRequestException>(() => put);
        never.SetResult(new Carillon.Protocols.VectorExchange.SubmitOutcome.Unknown(default));
        await stop.WaitAsync(TimeSpan.FromSeconds(20), TestContext.Current.CancellationToken);
        await house.DisposeAsync();
    }

    private static X509Certificate2 Certificate()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=127.0.0.1", key, HashAlgorithmName.SHA256);
        using X509Certificate2 certificate = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
        return X509CertificateLoader.LoadPkcs12(certificate.Export(X509ContentType.Pkcs12), null);
    }
}
