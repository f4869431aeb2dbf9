using System.Collections.Concurrent;
using Carillon.Node;
using Carillon.Node.Groups;
using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Runtime.Serving;

namespace Carillon.Runtime.Groups;

/// <summary>
/// Messages on their way to the node's loop, and their outcomes on the way back. One item of the loop's queue carries all that came since
/// the last, and one item of the pool's all outcomes, so that a message costs neither of them a turn.
/// </summary>
internal sealed class PublishQueue(RealWorld world, TimeSpan retryAfter) : IThreadPoolWorkItem
{
    // What one turn of the loop takes at most, so that nothing else waits long behind it.
    private const int MostInTurn = 1024;

    private readonly ConcurrentQueue<PublishCall> _calls = new();
    private readonly ConcurrentQueue<PublishCall> _ended = new();
    private int _isPosted;
    private int _isEnding;

    /// <summary>What a sender is told that was refused.</summary>
    public TimeSpan RetryAfter => retryAfter;

    /// <summary>Queues a message for the loop; <see cref="Send"/> must follow.</summary>
    public void Add(PublishCall call)
    {
        _calls.Enqueue(call);
        Queue();
    }

    /// <summary>Lets the loop have what was queued.</summary>
    public void Send() => world.Loop.Drive();

    /// <summary>An outcome is known; on the loop.</summary>
    public void End(PublishCall call)
    {
        _ended.Enqueue(call);
        if (Interlocked.Exchange(ref _isEnding, 1) == 0)
        {
            ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
        }
    }

    /// <summary>Tells outcomes to those who wait.</summary>
    void IThreadPoolWorkItem.Execute()
    {
        // Cleared first, with a fence: what is added after this is found here, or begins another.
        Interlocked.Exchange(ref _isEnding, 0);
        while (_ended.TryDequeue(out PublishCall? call))
        {
            call.Tell();
        }
    }

    private void Queue()
    {
        if (Interlocked.Exchange(ref _isPosted, 1) != 0)
        {
            return;
        }

        LoopWork work = LoopWork.Call(Run, _ => Abandon());
        if (!world.Loop.TryQueue(work))
        {
            // Not on the loop's thread, which may be this one.
            _ = Task.Run(() => PostLaterAsync(work));
        }
    }

    private async Task PostLaterAsync(LoopWork work)
    {
        if (!await world.Loop.PostAsync(work))
        {
            Abandon();
        }
    }

    private void Run(ServerNode node, Moment now)
    {
        // With a fence, as above.
        Interlocked.Exchange(ref _isPosted, 0);
        int taken = 0;
        while (taken++ < MostInTurn && _calls.TryDequeue(out PublishCall? call))
        {
            call.Run(node, now);
        }

        if (!_calls.IsEmpty)
        {
            Queue();
        }
    }

    private void Abandon()
    {
        // With a fence, as above: what comes after the loop's end is posted again, refused, and abandoned here as well.
        Interlocked.Exchange(ref _isPosted, 0);
        while (_calls.TryDequeue(out PublishCall? call))
        {
            ((IPublishCall)call).Ended(PublishEnd.Unknown, default, "the server is stopping");
        }
    }
}

/// <summary>One message that somebody waits for.</summary>
internal sealed class PublishCall(
    PublishQueue queue, GroupName group, MessageId id, ulong settled, ulong? timestamp, ReadOnlyMemory<byte> payload) : IPublishCall
{
    // Continuations run on the pool's thread that tells outcomes: it has nothing else to do.
    private readonly TaskCompletionSource<PublishOutcome> _outcome = new();
    private PublishOutcome? _end;

    public Task<PublishOutcome> Outcome => _outcome.Task;

    public void Run(ServerNode node, Moment now) => node.Publish(group, id, settled, timestamp, payload, this, now);

    /// <summary>The caller waits no longer.</summary>
    public void Abandon(ServerNode node, Moment now) => node.AbandonPublish(group, id, this, now);

    public void Tell() => _outcome.TrySetResult(_end!);

    /// <summary>The caller gave up.</summary>
    public void Cancel(CancellationToken token) => _outcome.TrySetCanceled(token);

    void IPublishCall.Ended(PublishEnd end, SequenceNumber number, string why)
    {
        _end = end switch
        {
            PublishEnd.Committed => new PublishOutcome.Committed(number),
            PublishEnd.Refused => new PublishOutcome.Refused(why, queue.RetryAfter),
            PublishEnd.Expired => new PublishOutcome.Expired(),
            PublishEnd.Overtaken => new PublishOutcome.Overtaken(),
            PublishEnd.Settled => new PublishOutcome.Settled(),
            PublishEnd.Conflict => new PublishOutcome.Conflict(number, why),
            _ => new PublishOutcome.Unknown(why),
        };
        queue.End(this);
    }
}
