using System.IO.Pipelines;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Runtime.Groups;

namespace Carillon.Gateway.Groups;

/// <summary>
/// One subscriber's stream. Messages are asked for only when those before are written, and are written only while the response's buffer
/// has room, so a slow subscriber holds one run of messages and that buffer, and an idle one nothing but a timer.
/// </summary>
internal sealed class Subscription(
    IAsyncEnumerable<ReadOnlyMemory<GroupMessage>> messages, PipeWriter output, MessageFormat format, TimeSpan heartbeat)
{
    /// <summary>
    /// Bytes that gather before they are sent on while more is ready: large writes, but well below the response's buffer.
    /// </summary>
    private const int FlushBytes = 128 << 10;

    private Task _waiting = Task.CompletedTask;
    private SequenceNumber _last;
    private int _unflushed;

    /// <summary>Until the subscriber goes, or the subscription is ended.</summary>
    public async Task RunAsync(CancellationToken ended)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(ended);
        IAsyncEnumerator<ReadOnlyMemory<GroupMessage>> enumerator = messages.GetAsyncEnumerator(stop.Token);
        try
        {
            bool begun = false;
            while (true)
            {
                ValueTask<bool> next = enumerator.MoveNextAsync();
                if (!next.IsCompleted)
                {
                    begun = begun || Begin();
                    Task<bool> waiting = next.AsTask();
                    _waiting = waiting;
                    next = new ValueTask<bool>(await WaitAsync(waiting, ended));
                }

                if (!await next)
                {
                    return;
                }

                begun = begun || Begin();
                ReadOnlyMemory<GroupMessage> run = enumerator.Current;
                for (int i = 0; i < run.Length;)
                {
                    i += Write(run.Span[i..]);
                    if (_unflushed >= FlushBytes)
                    {
                        await FlushAsync(ended);
                    }
                }
            }
        }
        finally
        {
            // Where the subscriber went while messages were waited for: an enumerator must not be disposed of in the middle of that.
            await stop.CancelAsync();
            await _waiting.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            await enumerator.DisposeAsync();
        }
    }

    private bool Begin()
    {
        // Even without a message the headers go out, and the subscriber knows where it stands.
        _unflushed = Math.Max(1, format.Begin(output));
        return true;
    }

    /// <summary>As many messages as may gather; gives how many.</summary>
    private int Write(ReadOnlySpan<GroupMessage> run)
    {
        int written = 0;
        while (written < run.Length && _unflushed < FlushBytes)
        {
            written += format.Write(output, run[written..], FlushBytes, out int bytes);
            _unflushed += bytes;
        }

        _last = run[written - 1].Number;
        return written;
    }

    /// <summary>Waits for the next messages, and lets the subscriber know meanwhile that the connection is alive.</summary>
    private async Task<bool> WaitAsync(Task<bool> next, CancellationToken ended)
    {
        await FlushAsync(ended);
        while (!next.IsCompleted)
        {
            _beat ??= Task.Delay(heartbeat, ended);
            if (await Task.WhenAny(next, _beat) == _beat)
            {
                if (_beat.IsCanceled)
                {
                    break;
                }

                _beat = null;
                _unflushed += format.Heartbeat(output, _last);
                await FlushAsync(ended);
            }
        }

        return await next;
    }

    // Kept over several waits, so that a subscriber that gets a message now and then has one timer and not one for each.
    private Task? _beat;

    private async ValueTask FlushAsync(CancellationToken ended)
    {
        if (_unflushed > 0)
        {
            _unflushed = 0;
            FlushResult flush = await output.FlushAsync(ended);
            if (flush.IsCompleted)
            {
                throw new OperationCanceledException("The subscriber is gone.");
            }
        }
    }
}
