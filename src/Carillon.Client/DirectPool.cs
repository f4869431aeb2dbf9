using System.Collections.Concurrent;
using System.Text;

namespace Carillon.Client;

/// <summary>The direct connections to one server; the one that was used last is used first, so that the others can grow old.</summary>
internal sealed class DirectPool : IDisposable
{
    private readonly ConcurrentStack<DirectConnection> _idle = new();
    private readonly Uri _server;
    private readonly TimeSpan _connectTimeout;
    private readonly byte[] _fixedHead;
    private volatile bool _disposed;

    public DirectPool(Uri server, string? authorization, TimeSpan connectTimeout)
    {
        _server = server;
        _connectTimeout = connectTimeout;
        _fixedHead = Encoding.ASCII.GetBytes(
            $"Host: {server.Authority}\r\n{(authorization is null ? "" : $"Authorization: {authorization}\r\n")}\r\n");
    }

    /// <summary>Sends a request and reads its answer. The answer's body is good until the next await of the caller's own.</summary>
    public async ValueTask<T> SendAsync<T>(DirectRequest request, Func<RawAnswer, T> read, CancellationToken cancellation)
    {
        DirectConnection connection = Take() ?? await DirectConnection.ConnectAsync(_server, _connectTimeout, cancellation);
        bool good = false;
        try
        {
            T value = read(await connection.SendAsync(request, _fixedHead, cancellation));
            good = connection.IsKept && !_disposed;
            return value;
        }
        catch (System.Net.Sockets.SocketException fault)
        {
            throw new IOException(fault.Message, fault);
        }
        finally
        {
            if (good)
            {
                _idle.Push(connection);
            }
            else
            {
                connection.Dispose();
            }
        }
    }

    public void Dispose()
    {
        _disposed = true;
        while (_idle.TryPop(out DirectConnection? connection))
        {
            connection.Dispose();
        }
    }

    private DirectConnection? Take()
    {
        while (_idle.TryPop(out DirectConnection? connection))
        {
            if (connection.IsUsable)
            {
                return connection;
            }

            connection.Dispose();
        }

        return null;
    }
}
