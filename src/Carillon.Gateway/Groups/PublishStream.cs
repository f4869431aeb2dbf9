using System.Buffers;
using System.IO.Pipelines;
using System.Threading.Channels;
using Carillon.Node.Groups;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Runtime.Groups;

namespace Carillon.Gateway.Groups;

/// <summary>
/// Many messages in flight on one connection (docs/formats/group-streams.md): each is handed to the group as it comes, and answered in the
/// order in which they came, as soon as its own outcome and those before it are known. Where too much is in flight it reads no further, so
/// the sender's connection fills up and it waits.
/// </summary>
internal sealed class PublishStream(IGroupGate groups, GroupName group, PipeReader input, PipeWriter output)
{
    /// <summary>Messages that may wait for their outcomes: above what keeps a disk's group commits full.</summary>
    private const int MaxInFlight = 4096;

    /// <summary>Bytes of theirs, which bounds the memory that one connection takes.</summary>
    private const int MaxBytesInFlight = 8 << 20;

    /// <summary>Answers that gather while they come without waiting.</summary>
    private const int FlushBytes = 16 << 10;

    private readonly Channel<InFlight> _queue = Channel.CreateBounded<InFlight>(
        new BoundedChannelOptions(MaxInFlight) { SingleReader = true, SingleWriter = true });

    // Set when bytes in flight got fewer; the reader of messages waits for it.
    private readonly Channel<bool> _room = Channel.CreateBounded<bool>(
        new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite, SingleReader = true });

    // What the sender knew when it first sent the messages that come now.
    private ulong? _timestamp;
    private long _bytesInFlight;
    private int _unflushed;
    private bool _begun;
    private bool _gathered;

    /// <summary>Until the sender ends its stream and all is answered, or what comes is no message.</summary>
    public async Task RunAsync(CancellationToken ended)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(ended);
        Task reading = ReadAsync(stop.Token);
        try
        {
            await AnswerAsync(stop.Token);
        }
        finally
        {
            await stop.CancelAsync();
            await reading.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private async Task ReadAsync(CancellationToken ended)
    {
        try
        {
            if (await TryTakeAllAsync(ended) is { } fault)
            {
                await _queue.Writer.WriteAsync(new InFlight(null, 0, new GroupAnswer(GroupAnswerKind.Malformed, 0, fault)), ended);
            }
        }
        finally
        {
            _queue.Writer.Complete();
        }
    }

    /// <summary>Takes messages until the stream ends or breaks; null, or what was wrong with it.</summary>
    private async Task<string?> TryTakeAllAsync(CancellationToken ended)
    {
        try
        {
            return await TakeAllAsync(ended);
        }
        catch (Exception broken) when (!ended.IsCancellationRequested)
        {
            // What came whole is answered all the same, as far as there is somebody to answer.
            return "the stream broke off: " + broken.Message;
        }
        finally
        {
            groups.Send();
        }
    }

    /// <summary>Takes messages until the stream ends.</summary>
    private async Task<string?> TakeAllAsync(CancellationToken ended)
    {
        bool begun = false;
        while (true)
        {
            ReadResult read = await input.ReadAsync(ended);
            ReadOnlySequence<byte> left = read.Buffer;
            if (!begun && left.Length >= GroupStream.PreambleBytes)
            {
                if (FaultOfPreamble(left) is { } unknown)
                {
                    input.AdvanceTo(left.End);
                    return unknown;
                }

                left = left.Slice(GroupStream.PreambleBytes);
                begun = true;
            }

            while (begun && left.Length >= GroupStreamHeader.Size)
            {
                if (FaultOfHeader(left, out GroupStreamHeader header) is { } wrong)
                {
                    input.AdvanceTo(left.End);
                    return wrong;
                }

                if (header.IsHeartbeat)
                {
                    left = left.Slice(GroupStreamHeader.Size);
                    if (header.Number == 0)
                    {
                        // The sender has no more to say, and waits for its answers.
                        input.AdvanceTo(left.End);
                        return null;
                    }

                    _timestamp = header.Number;
                    continue;
                }

                if (left.Length < GroupStreamHeader.Size + header.Length)
                {
                    break;
                }

                Memory<byte> payload = MessageMemory.Take(header.Length);
                left.Slice(GroupStreamHeader.Size, header.Length).CopyTo(payload.Span);
                left = left.Slice(GroupStreamHeader.Size + header.Length);
                await SendAsync(header, payload, ended);
            }

            groups.Send();
            bool whole = left.IsEmpty;
            input.AdvanceTo(left.Start, left.End);
            if (read.IsCompleted)
            {
                return whole ? null : "the stream ends in the middle of a message";
            }
        }
    }

    private static string? FaultOfPreamble(ReadOnlySequence<byte> left)
    {
        Span<byte> preamble = stackalloc byte[GroupStream.PreambleBytes];
        left.Slice(0, GroupStream.PreambleBytes).CopyTo(preamble);
        return preamble.SequenceEqual(GroupStream.SentPreamble) ? null
            : preamble[..3].SequenceEqual(GroupStream.SentPreamble[..3]) ? $"its version is {preamble[3]}, and 1 is known here"
            : "it does not begin as a stream of messages does";
    }

    private static string? FaultOfHeader(ReadOnlySequence<byte> left, out GroupStreamHeader header)
    {
        Span<byte> bytes = stackalloc byte[GroupStreamHeader.Size];
        left.Slice(0, GroupStreamHeader.Size).CopyTo(bytes);
        return !GroupStreamHeader.TryRead(bytes, out header)
                ? header.Length > GroupSettings.MaxPayloadBytes
                    ? $"a message has at most {GroupSettings.MaxPayloadBytes} bytes" : "a message's beginning is not right"
            : !header.IsHeartbeat && header.Number >= header.Id.Counter ? "a message's settled counter is not less than its own" : null;
    }

    private async ValueTask SendAsync(GroupStreamHeader header, ReadOnlyMemory<byte> payload, CancellationToken ended)
    {
        Interlocked.Add(ref _bytesInFlight, payload.Length);

        // A sender that goes does not call back what is in flight, which is bounded: it is committed as if nobody had gone. To watch over
        // each message by itself costs as much as to take it.
        Task<PublishOutcome> outcome = groups.PublishAsync(
            group, header.Id, header.Number, _timestamp, payload, CancellationToken.None);
        if (!_queue.Writer.TryWrite(new InFlight(outcome, payload.Length, default)))
        {
            groups.Send();
            await _queue.Writer.WriteAsync(new InFlight(outcome, payload.Length, default), ended);
        }

        while (Interlocked.Read(ref _bytesInFlight) > MaxBytesInFlight)
        {
            groups.Send();
            await _room.Reader.ReadAsync(ended);
        }
    }

    private async Task AnswerAsync(CancellationToken ended)
    {
        while (true)
        {
            if (!_queue.Reader.TryRead(out InFlight next))
            {
                if (await GatherAsync())
                {
                    continue;
                }

                await FlushAsync(ended);
                if (!await _queue.Reader.WaitToReadAsync(ended))
                {
                    return;
                }

                continue;
            }

            if (next.Outcome is not { } outcome)
            {
                Write(next.Answer);
                continue;
            }

            if (_unflushed >= FlushBytes || (!outcome.IsCompleted && !(await GatherAsync() && outcome.IsCompleted)))
            {
                await FlushAsync(ended);
            }

            Write(await OutcomeAsync(outcome, ended));
            Interlocked.Add(ref _bytesInFlight, -next.Bytes);
            _room.Writer.TryWrite(true);
        }
    }

    /// <summary>
    /// Lets what is ready to run go first, once before each flush: under load that brings many answers into one, and idle it costs next to
    /// nothing.
    /// </summary>
    private async ValueTask<bool> GatherAsync()
    {
        if (_unflushed == 0 || _gathered)
        {
            return false;
        }

        _gathered = true;
        await Task.Yield();
        return true;
    }

    private static async ValueTask<GroupAnswer> OutcomeAsync(Task<PublishOutcome> outcome, CancellationToken ended)
    {
        try
        {
            return AnswerOf(outcome.IsCompletedSuccessfully ? outcome.Result : await outcome.WaitAsync(ended));
        }
        catch (Exception fault) when (!ended.IsCancellationRequested)
        {
            return new GroupAnswer(GroupAnswerKind.Unknown, 0, "this server could not see it through: " + fault.Message);
        }
    }

    private static GroupAnswer AnswerOf(PublishOutcome outcome) => outcome switch
    {
        PublishOutcome.Committed committed => new GroupAnswer(GroupAnswerKind.Committed, committed.Number.Value, ""),
        PublishOutcome.Refused refused => new GroupAnswer(
            GroupAnswerKind.Refused, (ulong)Math.Max(0, Math.Ceiling(refused.RetryAfter.TotalMilliseconds)), refused.Why),
        PublishOutcome.Expired => new GroupAnswer(GroupAnswerKind.Expired, 0, "the session was idle for longer than the group's lifetime"),
        PublishOutcome.Overtaken => new GroupAnswer(
            GroupAnswerKind.Overtaken, 0, "a later message of its session has its number already"),
        PublishOutcome.Settled => new GroupAnswer(GroupAnswerKind.Settled, 0, "its sender has said that it knows the outcome"),
        PublishOutcome.Conflict conflict => new GroupAnswer(GroupAnswerKind.Conflict, conflict.Number.Value, conflict.Why),
        PublishOutcome.Unknown unknown => new GroupAnswer(GroupAnswerKind.Unknown, 0, unknown.Why),
        _ => throw new ArgumentOutOfRangeException(nameof(outcome), outcome, "an outcome without an answer"),
    };

    private void Write(in GroupAnswer answer)
    {
        Span<byte> room = output.GetSpan(GroupStream.PreambleBytes + GroupAnswer.MaxSize);
        int bytes = 0;
        if (!_begun)
        {
            _begun = true;
            GroupStream.AnswersPreamble.CopyTo(room);
            bytes = GroupStream.PreambleBytes;
        }

        bytes += answer.CopyTo(room[bytes..]);
        output.Advance(bytes);
        _unflushed += bytes;
    }

    private async ValueTask FlushAsync(CancellationToken ended)
    {
        if (_unflushed > 0)
        {
            _unflushed = 0;
            _gathered = false;
            FlushResult flush = await output.FlushAsync(ended);
            if (flush.IsCompleted)
            {
                throw new OperationCanceledException("The sender is gone.");
            }
        }
    }

    /// <summary>A message whose outcome is waited for, or an answer that is known.</summary>
    private readonly record struct InFlight(Task<PublishOutcome>? Outcome, int Bytes, GroupAnswer Answer);
}
