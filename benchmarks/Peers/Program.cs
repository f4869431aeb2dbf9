using System.Buffers.Binary;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Text;

// Load against an etcd cluster, so that a peer is measured in the same run: peers etcd URL[,URL…] CLIENTS SECONDS BYTES
// Each client has a connection of its own, as `carillon bench put` gives each of its clients, and puts new keys one after the other by
// etcdserverpb.KV/Put (https://etcd.io/docs/v3.4/dev-guide/api_reference_v3/), the call that etcd's own client makes.
if (args is not ["etcd", var urls, var clientsText, var secondsText, var bytesText])
{
    Console.Error.WriteLine("peers etcd URL[,URL…] CLIENTS SECONDS BYTES");
    return 2;
}

int clients = int.Parse(clientsText, CultureInfo.InvariantCulture);
var duration = TimeSpan.FromSeconds(double.Parse(secondsText, CultureInfo.InvariantCulture));
byte[] value = new byte[int.Parse(bytesText, CultureInfo.InvariantCulture)];
Random.Shared.NextBytes(value);
string[] servers = urls.Split(',');
var latencies = new List<double>[clients];
var watch = Stopwatch.StartNew();
await Task.WhenAll(Enumerable.Range(0, clients).Select(client => Task.Run(async () =>
{
    latencies[client] = await PutAsync(new Uri(servers[client % servers.Length]), client, value, duration);
})));
double seconds = watch.Elapsed.TotalSeconds;
double[] all = [.. latencies.SelectMany(l => l).Order()];
Console.WriteLine(string.Create(
    CultureInfo.InvariantCulture,
    $"etcd clients {clients} ops {all.Length} ops/s {all.Length / seconds:F0} p50 {all[all.Length / 2]:F2} ms p99 {all[all.Length * 99 / 100]:F2} ms"));
return 0;

static async Task<List<double>> PutAsync(Uri server, int client, byte[] value, TimeSpan duration)
{
    using var handler = new SocketsHttpHandler { EnableMultipleHttp2Connections = false };
    using var http = new HttpMessageInvoker(handler);
    var uri = new Uri(server, "/etcdserverpb.KV/Put");
    var latencies = new List<double>(100_000);
    var watch = Stopwatch.StartNew();
    for (int i = 0; watch.Elapsed < duration; i++)
    {
        long begin = Stopwatch.GetTimestamp();
        using var request = new HttpRequestMessage(HttpMethod.Post, uri)
        {
            Version = HttpVersion.Version20, VersionPolicy = HttpVersionPolicy.RequestVersionExact,
            Content = new ByteArrayContent(Frame($"bench/{client}/{i}", value)),
        };
        request.Content.Headers.ContentType = new("application/grpc");
        request.Headers.TE.Add(new("trailers"));
        using HttpResponseMessage response = await http.SendAsync(request, CancellationToken.None);
        await response.Content.ReadAsByteArrayAsync();
        string status = response.TrailingHeaders.TryGetValues("grpc-status", out IEnumerable<string>? values) ? values.First() : "missing";
        if (status != "0")
        {
            throw new InvalidOperationException($"etcd answered grpc-status {status}");
        }

        latencies.Add(Stopwatch.GetElapsedTime(begin).TotalMilliseconds);
    }

    return latencies;
}

// A PutRequest { bytes key = 1; bytes value = 2; } behind gRPC's five bytes: not compressed, length.
static byte[] Frame(string key, byte[] value)
{
    byte[] keyBytes = Encoding.ASCII.GetBytes(key);
    using var message = new MemoryStream();
    Field(message, 1, keyBytes);
    Field(message, 2, value);
    byte[] frame = new byte[5 + message.Length];
    BinaryPrimitives.WriteInt32BigEndian(frame.AsSpan(1), (int)message.Length);
    message.ToArray().CopyTo(frame, 5);
    return frame;
}

static void Field(MemoryStream message, int number, byte[] bytes)
{
    message.WriteByte((byte)((number << 3) | 2));
    uint length = (uint)bytes.Length;
    while (length >= 0x80)
    {
        message.WriteByte((byte)(length | 0x80));
        length >>= 7;
    }

    message.WriteByte((byte)length);
    message.Write(bytes);
}
