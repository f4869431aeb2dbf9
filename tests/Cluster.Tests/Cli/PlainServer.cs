using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Cluster.Tests.Cli;

/// <summary>Answers whatever comes with the same bytes, and closes the connection.</summary>
internal sealed class PlainServer : IAsyncDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly Task _serving;

    private PlainServer(string answer)
    {
        _listener.Start();
        _serving = ServeAsync(Encoding.ASCII.GetBytes(answer));
    }

    public int Port => ((IPEndPoint)_listener.LocalEndpoint).Port;

    public static PlainServer Start(string answer) => new(answer);

    public async ValueTask DisposeAsync()
    {
        _listener.Stop();
        await _serving;
    }

    private async Task ServeAsync(byte[] answer)
    {
        while (true)
        {
            try
            {
                using TcpClient client = await _listener.AcceptTcpClientAsync();
                await using NetworkStream stream = client.GetStream();
                _ = await stream.ReadAsync(new byte[4096]);
                await stream.WriteAsync(answer);
                // What is closed with bytes unread is reset, and the answer may be lost with it.
                client.Client.Shutdown(SocketShutdown.Send);
                while (await stream.ReadAsync(new byte[4096]) > 0)
                {
                }
            }
            catch (Exception end) when (end is SocketException or InvalidOperationException)
            {
                return;
            }
            catch (IOException)
            {
                // This client went away.
            }
        }
    }
}
