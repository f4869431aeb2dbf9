using System.Buffers;
using System.Threading.Channels;
using Carillon.Protocols.AtomicMulticast;

namespace Carillon.Client.Groups;

/// <summary>
/// Sends messages over one connection, many in flight; where it breaks, or its server can't get on, everything that has no answer goes to
/// the next server under the same ids, until each outcome is known or its time is up.
/// </summary>
internal sealed class MessageSender : IAsyncDisposable
{
    /// <summary>Bytes that are written at once: a large write, and no long wait for the first message in it.</summary>
    private const int WriteBytes = 128 << 10;

    /// <summary>Messages that one server is handed and has not answered: as many as it takes of a session (its <c>sessionWindow</c>).
    /// More would be refused, and come again behind others.</summary>
    private const int MostUnanswered = 1024;

    private const int LongestPauseMilliseconds = 1_000;

    /// <summary>A refused message is not sent again with less time than this left: its answer could come too late to be sure of.</summary>
    private const int LastAttemptMilliseconds = 500;

    /// <summary>Numbers after which a newer timestamp is told: far below the least lifetime of sessions.</summary>
    private const ulong FreshTimestamps = 256;

    /// <summary>A server that refuses for so long without a commit between is left for another one.</summary>
    private const int RefusedForMilliseconds = 1_000;

    private readonly Transport _transport;
    private readonly GroupName _group;
    private readonly AtomicGroupOptions _options;
    private readonly TimeSpan _timeout;
    private readonly Lock _gate = new();
    private readonly SemaphoreSlim _window;
    private readonly CancellationTokenSource _end = new();

    // Of _end; can be asked when that is disposed of.
    private readonly CancellationToken _ended;
    private readonly ArrayBufferWriter<byte> _frames = new(WriteBytes);

    // Told whenever there is something to send; one word of it is enough.
    private readonly Channel<bool> _work = Channel.CreateBounded<bool>(
        new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });

    // Not handed to the present connection. Guarded by _gate, as the sessions and what is pending.
    private readonly Queue<Pending> _waiting = new();
    private readonly List<Pending> _refused = [];

    // All, in the order of their deadlines; those that are done leave from the front.
    private readonly Queue<Pending> _all = new();
    private SendConnection? _connection;
    private bool _disposed;
    private SenderSession? _session;
    private long _lastSend;
    private int _open;
    private Task? _running;
    private Task? _sweeping;
    private long _lastGood;
    private ulong _known;

    public MessageSender(Transport transport, GroupName group, AtomicGroupOptions options)
    {
        _transport = transport;
        _group = group;
        _options = options;
        _timeout = options.SendTimeout ?? transport.Options.Timeout;
        _window = new SemaphoreSlim(options.Window);
        _ended = _end.Token;
        _session = options.Session.IsNone ? null : new SenderSession(options.Session, options.FirstCounter);
    }

    /// <summary>Sends a message, and waits for its end.</summary>
    public async Task<SentMessage> SendAsync(ReadOnlyMemory<byte> payload, CancellationToken cancellation)
    {
        await EnterAsync(cancellation);
        Pending pending = Add(payload);
        _work.Writer.TryWrite(true);
        if (!cancellation.CanBeCanceled)
        {
            return await pending.Task;
        }

        // Nobody waits for it any more then; it goes on.
        await using CancellationTokenRegistration registration = cancellation.UnsafeRegister(
            static (state, token) => ((Pending)state!).TrySetCanceled(token), pending);
        return await pending.Task;
    }

    /// <summary>Ends it; what has no answer ends unknown.</summary>
    public async ValueTask DisposeAsync()
    {
        Task[] loops;
        lock (_gate)
        {
            if (_disposed)
            {
                return;
            }

            _disposed = true;
        }

        await _end.CancelAsync();
        lock (_gate)
        {
            loops = [_running ?? Task.CompletedTask, _sweeping ?? Task.CompletedTask];
        }

        await Task.WhenAll(loops).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        lock (_gate)
        {
            GiveUp(_ => true, Problem.Own("interrupted", "the sender was closed before the answer"));
        }

        // The window is not disposed of: it holds nothing, and who waits for room may be about to leave it.
        _end.Dispose();
    }

    /// <summary>Waits for room in the window. Who waits when the sender is closed is told so: nobody leaves the window then.</summary>
    private async Task EnterAsync(CancellationToken cancellation)
    {
        if (_window.Wait(0, cancellation))
        {
            return;
        }

        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellation, _ended);
        try
        {
            await _window.WaitAsync(either.Token);
        }
        catch (OperationCanceledException closed)
        {
            cancellation.ThrowIfCancellationRequested();
            throw new ObjectDisposedException("the sender was closed before there was room in its window: nothing was sent", closed);
        }
    }

    private Pending Add(ReadOnlyMemory<byte> payload)
    {
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            long now = Environment.TickCount64;
            if (_session is null || (_options.Session.IsNone && _open == 0 && now - _lastSend > _options.SessionIdle.TotalMilliseconds))
            {
                _session = SenderSession.Draw();
            }

            _lastSend = now;
            _open++;
            Pending pending = _session.Add(payload, now + (long)_timeout.TotalMilliseconds);
            if (pending.Id.Session == _options.Session && pending.Id.Counter == _options.FirstCounter)
            {
                pending.Timestamp = _options.FirstTimestamp;
            }

            _waiting.Enqueue(pending);
            _all.Enqueue(pending);
            _running ??= Task.Run(RunAsync);
            _sweeping ??= Task.Run(SweepAsync);
            return pending;
        }
    }

    /// <summary>Connections one after the other, for as long as there is something to send.</summary>
    private async Task RunAsync()
    {
        int pause = 25;
        while (true)
        {
            await WaitForWorkAsync();
            _transport.CallBegins();
            var rotation = new Rotation(_transport);
            while (await rotation.NextAsync(_end.Token) is var server && server >= 0 && HasWork())
            {
                if (await ConverseAsync(server) is { } problem)
                {
                    rotation.Answered(server, problem);
                }
                else
                {
                    // It was a good connection once: all servers may be asked again, beginning behind that one.
                    pause = 25;
                    _transport.Preferred = (server + 1) % _transport.ServerCount;
                    rotation = new Rotation(_transport);
                }
            }

            await Task.Delay(pause, _end.Token);
            pause = Math.Min(2 * pause, LongestPauseMilliseconds);
        }
    }

    private async Task WaitForWorkAsync()
    {
        while (!HasWork())
        {
            await _work.Reader.ReadAsync(_end.Token);
        }
    }

    private bool HasWork()
    {
        lock (_gate)
        {
            return _open > 0;
        }
    }

    /// <summary>One connection, to its end; null if anything was committed over it, or what was wrong with it.</summary>
    private async Task<Problem?> ConverseAsync(int server)
    {
        Problem problem;
        using var guard = new StallGuard(_transport.Options.AttemptTimeout, _end.Token);
        SendConnection? connection = null;
        long before = Volatile.Read(ref _lastGood);
        try
        {
            connection = await SendConnection.OpenAsync(_transport, server, _group, guard.Token);
            guard.Suspend();
            lock (_gate)
            {
                _connection = connection;
            }

            _transport.Preferred = server;
            _transport.Learn(server);
            await RunBothWaysAsync(connection);
            throw new IOException("the connection ended");
        }
        catch (CarillonException no) when (no.Problem is { } told)
        {
            problem = told;
            if (told.Status is > 0 and < 500)
            {
                // No other server will say anything else.
                lock (_gate)
                {
                    GiveUp(_ => true, told);
                }
            }
        }
        catch (Exception fault) when (Transport.IsTransportFault(fault) && !_end.IsCancellationRequested)
        {
            problem = _transport.ProblemOf(fault, server, guard);
        }
        finally
        {
            Recall(connection);
            connection?.Dispose();
        }

        lock (_gate)
        {
            foreach (Pending pending in _waiting)
            {
                // That a server refused it, and so what to do, says more than that the next one did not answer.
                pending.Problem = pending is { OpenAttempts: 0, Problem.Code: "group-busy" } ? pending.Problem : problem;
            }
        }

        return Volatile.Read(ref _lastGood) == before ? problem : null;
    }

    private async Task RunBothWaysAsync(SendConnection connection)
    {
        await using CancellationTokenRegistration end = _end.Token.UnsafeRegister(state => ((SendConnection)state!).Stop(), connection);
        Task writing = WriteAsync(connection, connection.Stopped);
        Task reading = ReadAsync(connection, connection.Stopped);
        Task first = await Task.WhenAny(writing, reading);
        await connection.StopAsync();
        await Task.WhenAll(writing, reading).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await first;
    }

    private async Task WriteAsync(SendConnection connection, CancellationToken stop)
    {
        while (true)
        {
            // Who was answered just now sends its next message first: under load that brings many into one write.
            await Task.Yield();
            if (!Gather(connection))
            {
                await _work.Reader.ReadAsync(stop);
                continue;
            }

            await connection.Stream.WriteAsync(_frames.WrittenMemory, stop);
        }
    }

    /// <summary>Takes what waits, as much as is written at once.</summary>
    private bool Gather(SendConnection connection)
    {
        _frames.ResetWrittenCount();
        lock (_gate)
        {
            while (_frames.WrittenCount < WriteBytes && connection.Unanswered.Count < MostUnanswered
                && _waiting.TryDequeue(out Pending? pending))
            {
                if (pending.Done)
                {
                    continue;
                }

                pending.OpenAttempts++;
                WriteTimestamp(connection, pending);
                connection.WaitingSince = connection.Unanswered.Count == 0 ? Environment.TickCount64 : connection.WaitingSince;
                connection.Unanswered.Enqueue(pending);
                Span<byte> room = _frames.GetSpan(GroupStreamHeader.Size + pending.Payload.Length);
                new GroupStreamHeader(pending.Payload.Length, pending.Session.Settled, pending.Id).CopyTo(room);
                pending.Payload.Span.CopyTo(room[GroupStreamHeader.Size..]);
                _frames.Advance(GroupStreamHeader.Size + pending.Payload.Length);
            }
        }

        return _frames.WrittenCount > 0;
    }

    // What was known at a message's first sending goes with it whenever it is sent again: by it the group tells whether it may have
    // forgotten the message's session since. An older one than need be does no harm, so that not each message has its own.
    private void WriteTimestamp(SendConnection connection, Pending pending)
    {
        _known = Math.Max(Math.Max(_known, connection.Committed), 1);
        pending.Timestamp ??= _known > connection.Timestamp + FreshTimestamps || connection.Timestamp == 0 ? _known : connection.Timestamp;
        if (pending.Timestamp is { } timestamp && timestamp != connection.Timestamp)
        {
            connection.Timestamp = timestamp;
            new GroupStreamHeader(0, timestamp, default).CopyTo(_frames.GetSpan(GroupStreamHeader.Size));
            _frames.Advance(GroupStreamHeader.Size);
        }
    }

    private async Task ReadAsync(SendConnection connection, CancellationToken stop)
    {
        long refusedSince = 0;
        while (true)
        {
            while (connection.TryRead(out GroupAnswer answer))
            {
                lock (_gate)
                {
                    Take(connection, answer);
                }

                refusedSince = answer.Kind != GroupAnswerKind.Refused ? 0 : refusedSince == 0 ? Environment.TickCount64 : refusedSince;
                if (refusedSince > 0 && Environment.TickCount64 - refusedSince > RefusedForMilliseconds)
                {
                    throw new IOException("the server refuses: " + answer.Why);
                }
            }

            await connection.FillAsync(stop);
        }
    }

    private void Take(SendConnection connection, in GroupAnswer answer)
    {
        if (answer.Kind == GroupAnswerKind.Malformed)
        {
            throw new InvalidDataException("the server does not understand what was sent: " + answer.Why);
        }

        if (!connection.Unanswered.TryDequeue(out Pending? pending))
        {
            throw new InvalidDataException("the server answers what was not sent");
        }

        connection.WaitingSince = Environment.TickCount64;
        if (_waiting.Count > 0)
        {
            _work.Writer.TryWrite(true);
        }

        switch (answer.Kind)
        {
            case GroupAnswerKind.Committed:
                Volatile.Write(ref _lastGood, _lastGood + 1);
                _known = Math.Max(_known, answer.Value);
                if (!pending.Done)
                {
                    Finish(pending);
                    pending.TrySetResult(new SentMessage(new SequenceNumber(answer.Value), pending.Id));
                }

                break;
            case GroupAnswerKind.Refused:
                pending.OpenAttempts--;
                pending.Problem = Problem.Own("group-busy", answer.Why) with { Status = 503, Retryable = true };
                pending.NotBefore = Environment.TickCount64 + (long)Math.Min(answer.Value, int.MaxValue);
                if (pending.NotBefore + LastAttemptMilliseconds < pending.Deadline)
                {
                    _refused.Add(pending);
                }
                else
                {
                    // It would be too late then: better told now, while it is sure.
                    Fail(pending, pending.Problem);
                }

                break;
            case GroupAnswerKind.Settled:
                Fail(pending, Problem.Own("message-settled", answer.Why) with { Status = 409 });
                break;
            case GroupAnswerKind.Conflict:
                // Where the other one stands at a number, this one never will, whatever became of earlier attempts.
                pending.OpenAttempts = answer.Value != 0 ? 0 : pending.OpenAttempts - 1;
                Fail(pending, Problem.Own("message-mismatch", answer.Why) with { Status = 409 });
                break;
            case GroupAnswerKind.Overtaken:
                // For good, whatever became of earlier attempts.
                pending.OpenAttempts = 0;
                Fail(pending, Problem.Own("message-overtaken", answer.Why) with { Status = 409 });
                break;
            case GroupAnswerKind.Expired:
                _session = _session == pending.Session && _options.Session.IsNone ? null : _session;
                Fail(pending, Problem.Own("message-expired", answer.Why));
                break;
            default:
                // It can't get on: another server may.
                connection.Unanswered.Enqueue(pending);
                throw new IOException("the server does not know the outcome: " + answer.Why);
        }
    }

    /// <summary>What has no answer goes to the front again, in the order of its sending.</summary>
    private void Recall(SendConnection? connection)
    {
        lock (_gate)
        {
            _connection = null;
            PutInFront([.. connection?.Unanswered ?? [], .. _refused]);
            _refused.Clear();
        }
    }

    private void PutInFront(Pending[] again)
    {
        Pending[] later = [.. _waiting];
        _waiting.Clear();
        foreach (Pending pending in again.OrderBy(p => p.Id.Counter).Concat(later).Where(p => !p.Done))
        {
            _waiting.Enqueue(pending);
        }
    }

    /// <summary>Lets those whose time is up end, those that were refused go again, and a connection without answers break.</summary>
    private async Task SweepAsync()
    {
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(Math.Clamp(_timeout.TotalMilliseconds / 50, 10, 100)));
        while (await timer.WaitForNextTickAsync(_end.Token))
        {
            SendConnection? silent;
            lock (_gate)
            {
                silent = Sweep(Environment.TickCount64);
            }

            if (silent is not null)
            {
                await silent.StopAsync();
            }
        }
    }

    private SendConnection? Sweep(long now)
    {
        while (_all.TryPeek(out Pending? front) && (front.Done || front.Deadline <= now))
        {
            Fail(_all.Dequeue(), front.Problem ?? Problem.Own("timeout", "no answer in time"));
        }

        if (_refused.Count > 0)
        {
            PutInFront([.. _refused.Where(p => p.NotBefore <= now)]);
            _refused.RemoveAll(p => p.NotBefore <= now);
            _work.Writer.TryWrite(true);
        }

        return _connection is { Unanswered.Count: > 0 } connection
            && now - connection.WaitingSince > _transport.Options.AttemptTimeout.TotalMilliseconds ? connection : null;
    }

    private void GiveUp(Predicate<Pending> which, Problem problem)
    {
        foreach (Pending pending in _all.Where(p => which(p)))
        {
            Fail(pending, pending.Problem ?? problem);
        }
    }

    private void Fail(Pending pending, Problem problem)
    {
        if (pending.Done)
        {
            return;
        }

        Finish(pending);
        bool unknown = pending.OpenAttempts > 0;
        string detail = unknown ? $"outcome unknown, message {pending.Id}: {problem.Message}" : problem.Message;
        pending.TrySetException(new CarillonException(problem with
        {
            Code = unknown && problem.Failure != Failure.OutcomeUnknown ? "outcome-unknown" : problem.Code,
            Detail = detail, MessageId = pending.Id.ToString(), Timestamp = pending.Timestamp,
        }));
    }

    private void Finish(Pending pending)
    {
        pending.Session.End(pending);
        _open--;
        _window.Release();
    }
}
