using System.Diagnostics;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;

namespace Runtime.Benchmarks;

/// <summary>What the machine can do without a tunnel: awaited sockets on loopback, with and without TLS.</summary>
internal static class BareSockets
{
    /// <summary>Median of a round trip of 100 bytes, in microseconds.</summary>
    public static async Task<double> RoundTripAsync()
    {
        const int Count = 4000;
        (Socket client, Socket server) = await ConnectAsync();
        using (client)
        using (server)
        {
            Task echo = Task.Run(async () =>
            {
                byte[] buffer = new byte[100];
                for (int i = 0; i < Count; i++)
                {
                    int length = await server.ReceiveAsync(buffer.AsMemory());
                    await server.SendAsync(buffer.AsMemory(0, length));
                }
            });
            byte[] bytes = new byte[100];
            double[] times = new double[Count];
            for (int i = 0; i < Count; i++)
            {
                long start = Stopwatch.GetTimestamp();
                await client.SendAsync(bytes.AsMemory());
                await client.ReceiveAsync(bytes.AsMemory());
                times[i] = Stopwatch.GetElapsedTime(start).TotalMicroseconds;
            }

            await echo;
            Array.Sort(times);
            return times[Count / 2];
        }
    }

    /// <summary>MB/s of writes of 64 KiB, encrypted if there is a certificate.</summary>
    public static async Task<double> TransferAsync(X509Certificate2? certificate, int mebibytes)
    {
        (Socket client, Socket server) = await ConnectAsync();
        Stream sending = new NetworkStream(client, ownsSocket: true);
        Stream receiving = new NetworkStream(server, ownsSocket: true);
        if (certificate is not null)
        {
            SslStream secureSending = new(sending);
            SslStream secureReceiving = new(receiving);
            await Task.WhenAll(
                secureSending.AuthenticateAsClientAsync(
                    new SslClientAuthenticationOptions { TargetHost = "x", RemoteCertificateValidationCallback = (_, _, _, _) => true }),
                secureReceiving.AuthenticateAsServerAsync(new SslServerAuthenticationOptions { ServerCertificate = certificate }));
            (sending, receiving) = (secureSending, secureReceiving);
        }

        await using (sending)
        await using (receiving)
        {
            long total = (long)mebibytes << 20;
            long start = Stopwatch.GetTimestamp();
            Task send = Task.Run(async () =>
            {
                byte[] block = new byte[65_536];
                for (long sent = 0; sent < total; sent += block.Length)
                {
                    await sending.WriteAsync(block);
                }
            });
            byte[] buffer = new byte[1 << 20];
            for (long received = 0; received < total;)
            {
                received += await receiving.ReadAsync(buffer);
            }

            await send;
            return total / Stopwatch.GetElapsedTime(start).TotalSeconds / 1e6;
        }
    }

    private static async Task<(Socket Client, Socket Server)> ConnectAsync()
    {
        using Socket listening = new(SocketType.Stream, ProtocolType.Tcp);
        listening.Bind(new IPEndPoint(IPAddress.IPv6Loopback, 0));
        listening.Listen();
        Socket client = new(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        await client.ConnectAsync(listening.LocalEndPoint!);
        Socket server = await listening.AcceptAsync();
        server.NoDelay = true;
        return (client, server);
    }
}
