using System.IO.Pipelines;

namespace Carillon.Gateway.Streams;

/// <summary>
/// One client's stream of entries. They are asked for only when those before are written, and are written only while the response's buffer
/// has room, so a slow client holds one run of entries and that buffer, and an idle one nothing.
/// </summary>
internal sealed class EntryStream<T>(
    IStreamSource<T> source, PipeWriter output, StreamFormat<T> format, OpenStreams streams, CancellationToken aborted) : OpenStream
{
    /// <summary>
    /// Bytes that gather before they are sent on while more is ready: large writes, but well below the response's buffer.
    /// </summary>
    private const int FlushBytes = 128 << 10;

    private bool _begun;
    private int _unflushed;

    /// <summary>Until the client goes, the entries end, or the gateway stops.</summary>
    /// <exception cref="OperationCanceledException">The client is gone.</exception>
    public async Task RunAsync()
    {
        streams.Add(this);
        try
        {
            await using CancellationTokenRegistration gone = aborted.UnsafeRegister(static stream => ((OpenStream)stream!).Wake(), this);
            while (!streams.IsStopping)
            {
                aborted.ThrowIfCancellationRequested();
                StreamRead read = source.Read(this, out ReadOnlyMemory<T> run);
                Begin();
                if (read == StreamRead.Entries)
                {
                    await WriteAsync(run);
                    continue;
                }

                if (TakeBeat())
                {
                    _unflushed += format.Heartbeat(output, source.Position);
                    HasWritten();
                }

                await FlushAsync();
                if (read == StreamRead.Ended)
                {
                    return;
                }

                await WaitAsync();
            }
        }
        finally
        {
            streams.Remove(this);
            await source.DisposeAsync();
        }
    }

    /// <inheritdoc/>
    public override void Stop()
    {
        Wake();
        output.CancelPendingFlush();
    }

    private void Begin()
    {
        if (!_begun)
        {
            // Even without an entry the headers go out, and the client knows where it stands.
            _begun = true;
            _unflushed = Math.Max(1, format.Begin(output));
        }
    }

    /// <summary>Writes entries, all of them or, where the gateway stops, whole ones as far as it has come: the rest of a run may be more
    /// than a slow client takes in a long time.</summary>
    private async ValueTask WriteAsync(ReadOnlyMemory<T> run)
    {
        for (int i = 0; i < run.Length && !streams.IsStopping;)
        {
            i += format.Write(output, run.Span[i..], FlushBytes - _unflushed, out int bytes);
            _unflushed += bytes;
            if (_unflushed >= FlushBytes)
            {
                await FlushAsync();
            }
        }
    }

    private async ValueTask FlushAsync()
    {
        if (_unflushed == 0)
        {
            return;
        }

        _unflushed = 0;
        HasWritten();
        ValueTask<FlushResult> flushing = output.FlushAsync(aborted);
        bool waits = !flushing.IsCompleted;
        FlushResult flush = await flushing;
        if (flush.IsCompleted)
        {
            throw new OperationCanceledException("The client is gone.");
        }

        if (waits)
        {
            // It goes on where the socket's bytes went out; reading the next entries may take its time, and is no work for there.
            await Task.Yield();
        }
    }
}
