using System.Net;
using System.Net.Sockets;
using System.Text;
using Carillon.Client;
using Carillon.Protocols.Submissions;
using Xunit;

namespace Gateway.Tests.Client;

/// <summary>The short way of small puts, against servers that answer byte by byte, wrongly, or not at all.</summary>
public sealed class DirectConnectionTests : IDisposable
{
    private const string Json = """{"uid":"1-0@s1","size":5,"sha256":"x","submission":"t"}""";

    private static readonly ObjectName Name = new("files", "a");
    private static readonly PutOptions Unverified = new() { Verify = false, Key = "k" };

    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);

    public DirectConnectionTests() => _listener.Start();

    private static string Good => $"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {Json.Length}\r\n\r\n{Json}";

    public void Dispose() => _listener.Dispose();

    [Fact]
    public async Task Answer_that_comes_byte_by_byte_is_put_together()
    {
        WriteResult<PutAnswer> result = await PutAsync(async stream =>
        {
            foreach (byte b in Encoding.ASCII.GetBytes(Good))
            {
                await stream.WriteAsync(new[] { b });
            }
        });
        Assert.Equal("1-0@s1", result.Answer!.Uid);
    }

    [Fact]
    public async Task Request_is_one_that_any_server_understands()
    {
        string? seen = null;
        await PutAsync(stream => stream.WriteAsync(Encoding.ASCII.GetBytes(Good)).AsTask(), request => seen = request);
        string port = ((IPEndPoint)_listener.LocalEndpoint).Port.ToString(System.Globalization.CultureInfo.InvariantCulture);
        Assert.Equal(
            $"PUT /v1/buckets/files/objects/a HTTP/1.1\r\nIdempotency-Key: k\r\nContent-Length: 5\r\nHost: 127.0.0.1:{port}\r\n\r\nhello",
                seen);
    }

    [Theory]
    [InlineData("SSH-2.0-nonsense\r\n\r\n")]
    [InlineData("HTTP/1.1 200 OK\r\n\r\n")]
    [InlineData("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")]
    [InlineData("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n")]
    [InlineData("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")]
    [InlineData("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"uid\"")]
    [InlineData("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Type: application/json\r\n\r\n{x}")]
    [InlineData("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}surplus")]
    [InlineData("")]
    public async Task Answer_that_is_none_leaves_the_outcome_unknown(string answer)
    {
        WriteResult<PutAnswer> result = await PutAsync(stream => stream.WriteAsync(Encoding.ASCII.GetBytes(answer)).AsTask());
        Assert.Equal(Verdict.Unknown, result.Verdict);
        Assert.Equal("k", result.Key);
    }

    [Fact]
    public async Task Head_without_an_end_is_not_read_for_ever()
    {
        WriteResult<PutAnswer> result = await PutAsync(async stream =>
        {
            try
            {
                byte[] more = Encoding.ASCII.GetBytes("X-Header: y\r\n");
                await stream.WriteAsync("HTTP/1.1 200 OK\r\n"u8.ToArray());
                while (true)
                {
                    await stream.WriteAsync(more);
                }
            }
            catch (IOException)
            {
                // The client has had enough.
            }
        });
        Assert.Equal(Verdict.Unknown, result.Verdict);
    }

    [Fact]
    public async Task Connection_that_the_server_closed_while_idle_is_not_used_again()
    {
        using CarillonClient client = Client();
        for (int i = 0; i < 3; i++)
        {
            Task serving = ServeOnceAsync(stream => stream.WriteAsync(Encoding.ASCII.GetBytes(Good)).AsTask(), null);
            WriteResult<PutAnswer> result = await client.PutAsync(Name, PutSource.FromBytes("hello"u8.ToArray()), Unverified);
            Assert.Equal(Verdict.Accepted, result.Verdict);
            await serving;
        }
    }

    [Theory]
    [InlineData("k\r\nX-Evil: 1")]
    [InlineData("schlüssel")]
    public void Key_that_a_header_can_not_hold_takes_the_ordinary_way(string key) =>
        Assert.Null(DirectRequest.Of("/v1/buckets/files/objects/a", key, "x"u8.ToArray(), new PutOptions()));

    [Fact]
    public void Metadata_can_not_break_out_of_its_header()
    {
        var options = new PutOptions { Metadata = [new("color", "a\r\nX-Evil: 1")] };
        Assert.DoesNotContain("\r\nX-Evil", DirectRequest.Of("/a", "k", "x"u8.ToArray(), options)!.Head, StringComparison.Ordinal);
        Assert.Null(DirectRequest.Of("/a", "k", "x"u8.ToArray(), new PutOptions { Metadata = [new("a: b", "c")] }));
        Assert.Null(DirectRequest.Of("/a", "k", new byte[DirectRequest.MaxBodyBytes + 1], new PutOptions()));
    }

    private CarillonClient Client() => FakeServer.ClientOf(new Uri($"http://{_listener.LocalEndpoint}"));

    private async Task<WriteResult<PutAnswer>> PutAsync(Func<NetworkStream, Task> answer, Action<string>? request = null)
    {
        using CarillonClient client = Client();
        Task serving = ServeOnceAsync(answer, request);
        WriteResult<PutAnswer> result = await client.PutAsync(Name, PutSource.FromBytes("hello"u8.ToArray()), Unverified);
        await serving;
        return result;
    }

    // One connection: reads the request to the end of its body, answers, and closes.
    private async Task ServeOnceAsync(Func<NetworkStream, Task> answer, Action<string>? request)
    {
        using TcpClient connection = await _listener.AcceptTcpClientAsync();
        NetworkStream stream = connection.GetStream();
        byte[] buffer = new byte[4096];
        int filled = 0;
        while (!Encoding.ASCII.GetString(buffer, 0, filled).EndsWith("\r\n\r\nhello", StringComparison.Ordinal))
        {
            filled += await stream.ReadAsync(buffer.AsMemory(filled));
        }

        request?.Invoke(Encoding.ASCII.GetString(buffer, 0, filled));
        await answer(stream);
    }
}
