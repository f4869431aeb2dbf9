using System.Net;
using Carillon.Gateway.Tests.Serving;
using Xunit;

namespace Carillon.Gateway.Tests;

/// <summary>Servers whose addresses lie in different networks; loopback has enough of them.</summary>
public sealed class SeveralNetworksTests
{
    [Fact]
    public async Task Loss_of_a_whole_network_does_not_stop_submissions_VE02()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "only Linux has all of 127.0.0.0/8 on its loopback interface");
        await using RealTrio trio = await RealTrio.StartAsync("127.1.0.1", "127.2.0.1", "127.3.0.1");
        CancellationToken cancellation = TestContext.Current.CancellationToken;
        using var settings = new StringContent("{}");
        using HttpResponseMessage made = await trio.Clients[0].PutAsync("/v1/buckets/files", settings, cancellation);
        Assert.Equal(HttpStatusCode.OK, made.StatusCode);

        await trio.StopAsync(2);
        byte[] content = new byte[200_000];
        new Random(1).NextBytes(content);
        using var body = new ByteArrayContent(content);
        using HttpResponseMessage put = await trio.Clients[0].PutAsync("/v1/buckets/files/objects/a", body, cancellation);
        Assert.Equal(HttpStatusCode.OK, put.StatusCode);
        Assert.Equal(content, await trio.Clients[1].GetByteArrayAsync("/v1/buckets/files/objects/a", cancellation));
    }
}
