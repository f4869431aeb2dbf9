using System.Buffers;
using System.Net;
using System.Security.Cryptography;

namespace Carillon.Client;

/// <summary>
/// A request's body that is copied from a source, hashed on the way so that the server's digest can be compared, and reports
/// that it moves. A fault of the source is kept apart from a fault of the connection: a body that was cut short by its own
/// source was never whole at the server, so it can't have been accepted.
/// </summary>
internal sealed class SourceContent : HttpContent
{
    private readonly Stream _stream;
    private readonly long? _length;
    private readonly int _bufferBytes;
    private readonly StallGuard _guard;
    private readonly ITransferObserver? _observer;

    public SourceContent(Stream stream, long? length, int bufferBytes, StallGuard guard, ITransferObserver? observer)
    {
        _stream = stream;
        _length = length;
        _bufferBytes = bufferBytes;
        _guard = guard;
        _observer = observer;
    }

    /// <summary>What went wrong with the source, if it did.</summary>
    public Exception? SourceFault { get; private set; }

    /// <summary>True once a byte was asked for.</summary>
    public bool Started { get; private set; }

    /// <summary>SHA-256 of what was sent, once all of it was.</summary>
    public string? Sha256 { get; private set; }

    protected override bool TryComputeLength(out long length)
    {
        length = _length ?? 0;
        return _length is not null;
    }

    protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context) =>
        SerializeToStreamAsync(stream, context, CancellationToken.None);

    protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context, CancellationToken cancellationToken)
    {
        Started = true;
        _observer?.Started(_length, 0);
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        byte[] buffer = ArrayPool<byte>.Shared.Rent(_bufferBytes);
        try
        {
            long sent = 0;
            while (true)
            {
                int read = await ReadAsync(buffer, cancellationToken);
                if (read == 0)
                {
                    break;
                }

                sent += read;
                if (sent > _length)
                {
                    break;
                }

                hash.AppendData(buffer.AsSpan(0, read));
                await stream.WriteAsync(buffer.AsMemory(0, read), cancellationToken);
                _guard.Progress();
                _observer?.Advanced(read);
            }

            if (_length is { } expected && sent != expected)
            {
                SourceFault = new IOException("it changed while it was read");
                throw SourceFault;
            }

            Sha256 = Convert.ToHexStringLower(hash.GetHashAndReset());
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _stream.Dispose();
        }

        base.Dispose(disposing);
    }

    private async ValueTask<int> ReadAsync(byte[] buffer, CancellationToken cancellationToken)
    {
        try
        {
            if (_length is null)
            {
                // A slow pipe is not a slow server: only waiting for the server counts against the guard.
                _guard.Suspend();
            }

            return await _stream.ReadAsync(buffer, cancellationToken);
        }
        catch (Exception fault) when (fault is IOException or UnauthorizedAccessException or CarillonException)
        {
            SourceFault = fault;
            throw;
        }
        finally
        {
            _guard.Progress();
        }
    }
}
