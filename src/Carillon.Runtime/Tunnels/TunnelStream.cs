using System.IO.Pipelines;
using System.Net;
using Microsoft.AspNetCore.Http;

namespace Carillon.Runtime.Tunnels;

/// <summary>One full-duplex HTTP/2 stream of a tunnel, the same at both ends.</summary>
/// <param name="Input">What the peer sends.</param>
/// <param name="Output">What goes to the peer.</param>
internal sealed record TunnelStream(TunnelInput Input, ITunnelOutput Output);

/// <summary>The receiving half of a stream.</summary>
internal readonly struct TunnelInput(Stream stream)
{
    /// <summary>Reads what has come, at least one byte; zero at the end.</summary>
    public async ValueTask<int> ReadAsync(Memory<byte> buffer)
    {
        try
        {
            return await stream.ReadAsync(buffer).ConfigureAwait(false);
        }
        catch (InvalidOperationException broken)
        {
            throw TunnelFailure.Broken(broken);
        }
    }
}

/// <summary>The sending half of a stream; one writer at a time.</summary>
internal interface ITunnelOutput
{
    /// <summary>Sends bytes; they leave at once if <paramref name="flush"/>. The memory is free again when this ends.</summary>
    ValueTask WriteAsync(ReadOnlyMemory<byte> bytes, bool flush);

    /// <summary>Ends this half: the peer reads to the end.</summary>
    ValueTask CompleteAsync();
}

/// <summary>The dialler's half: a request body.</summary>
internal sealed class RequestOutput : HttpContent, ITunnelOutput
{
    // The client library cuts bodies into frames of this size.
    private const int FrameBytes = 16 << 10;

    private readonly TaskCompletionSource _opened = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _closed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Stream? _body;

    /// <summary>Ends when the request has begun and its body can be written.</summary>
    public Task Opened => _opened.Task;

    /// <inheritdoc/>
    public async ValueTask WriteAsync(ReadOnlyMemory<byte> bytes, bool flush)
    {
        Stream body = _body!;
        if (!flush)
        {
            await body.WriteAsync(bytes).ConfigureAwait(false);
            return;
        }

        // A write ends when its last frame is in the connection's buffer, two changes of threads later. So that a small message
        // need not wait for that, its flush is queued right behind it. Where the write had to wait for a window, that flush came
        // too early: hence the second one, which finds nothing to do in all other cases.
        ValueTask write = body.WriteAsync(bytes);
        Task early = bytes.Length <= FrameBytes ? body.FlushAsync() : Task.CompletedTask;
        try
        {
            await write.ConfigureAwait(false);
        }
        finally
        {
            await early.ConfigureAwait(false);
        }

        await body.FlushAsync().ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public ValueTask CompleteAsync()
    {
        _closed.TrySetResult();
        return ValueTask.CompletedTask;
    }

    /// <summary>Ends the request if it still runs.</summary>
    public void Abandon()
    {
        _opened.TrySetCanceled();
        _closed.TrySetResult();
    }

    /// <inheritdoc/>
    protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context)
    {
        _body = stream;
        await stream.FlushAsync().ConfigureAwait(false); // or the request's head would wait for the first message
        _opened.TrySetResult();
        await _closed.Task.ConfigureAwait(false);
    }

    /// <inheritdoc/>
    protected override bool TryComputeLength(out long length)
    {
        length = 0;
        return false;
    }
}

/// <summary>The listener's half: a response body.</summary>
internal sealed class ResponseOutput(HttpResponse response) : ITunnelOutput
{
    /// <summary>
    /// A write is copied into the server's buffers whole, so it is made in slices that these hold; large enough that copying and
    /// encrypting overlap.
    /// </summary>
    public const int SliceBytes = 256 << 10;

    /// <inheritdoc/>
    public async ValueTask WriteAsync(ReadOnlyMemory<byte> bytes, bool flush)
    {
        // Every write of this server is flushed; there is no other way to learn when it has room again.
        PipeWriter body = response.BodyWriter;
        while (!bytes.IsEmpty)
        {
            int size = Math.Min(bytes.Length, SliceBytes);
            FlushResult result = await WriteAsync(body, bytes[..size]).ConfigureAwait(false);
            if (result.IsCompleted || result.IsCanceled)
            {
                throw new IOException("The peer ended the stream.");
            }

            bytes = bytes[size..];
        }
    }

    private static ValueTask<FlushResult> WriteAsync(PipeWriter body, ReadOnlyMemory<byte> bytes)
    {
        try
        {
            return body.WriteAsync(bytes);
        }
        catch (InvalidOperationException broken)
        {
            throw TunnelFailure.Broken(broken);
        }
    }

    /// <inheritdoc/>
    public ValueTask CompleteAsync() => new(response.CompleteAsync());
}
