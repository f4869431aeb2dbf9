using Carillon.Gateway.Streams;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Runtime.Groups;

namespace Carillon.Gateway.Groups;

/// <summary>A group's messages as a stream's entries.</summary>
/// <param name="subscribe">Begins the subscription, which ends when its token is cancelled.</param>
/// <param name="start">The number that it begins at.</param>
internal sealed class GroupSource(
    Func<CancellationToken, IAsyncEnumerable<ReadOnlyMemory<GroupMessage>>> subscribe, SequenceNumber start) : IStreamSource<GroupMessage>
{
    private readonly CancellationTokenSource _ending = new();
    private IAsyncEnumerator<ReadOnlyMemory<GroupMessage>>? _messages;
    private Task<bool>? _waiting;
    private Action? _wake;

    /// <inheritdoc/>
    public SequenceNumber Position { get; private set; } = new(start.Value - 1);

    /// <inheritdoc/>
    public StreamRead Read(OpenStream stream, out ReadOnlyMemory<GroupMessage> run)
    {
        run = default;
        _messages ??= subscribe(_ending.Token).GetAsyncEnumerator(_ending.Token);
        bool any;
        if (_waiting is { } waiting)
        {
            if (!waiting.IsCompleted)
            {
                return StreamRead.NothingNow;
            }

            _waiting = null;
            any = waiting.GetAwaiter().GetResult();
        }
        else
        {
            ValueTask<bool> next = _messages.MoveNextAsync();
            if (!next.IsCompleted)
            {
                _waiting = next.AsTask();
                _waiting.GetAwaiter().UnsafeOnCompleted(_wake ??= stream.Wake);
                return StreamRead.NothingNow;
            }

            any = next.GetAwaiter().GetResult();
        }

        if (!any)
        {
            return StreamRead.Ended;
        }

        run = _messages.Current;
        Position = run.Span[^1].Number;
        return StreamRead.Entries;
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _ending.CancelAsync();
        if (_waiting is not null)
        {
            // The client went while messages were waited for: an enumerator must not be disposed of in the middle of that.
            await ((Task)_waiting).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }

        if (_messages is not null)
        {
            await _messages.DisposeAsync();
        }

        _ending.Dispose();
    }
}
