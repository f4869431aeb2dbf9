namespace Carillon.Client;

/// <summary>
/// One write, tried at the servers in turn under one idempotency key, each at most once, until its verdict is final. It never
/// sends a request twice to one server by itself: what the first sending left open, an answer to the second would hide.
/// </summary>
/// <typeparam name="T">What a server answers when it accepted.</typeparam>
internal sealed class WriteCall<T>(Transport transport, string key, AnswerReader<T> read)
    where T : class
{
    private AttemptLedger _ledger;
    private T? _answer;
    private Uri? _server;

    /// <summary>False if the body can be sent only once.</summary>
    public bool Replayable { get; init; } = true;

    /// <summary>The request in its direct form, if it has one.</summary>
    public DirectRequest? Direct { get; init; }

    /// <summary>
    /// Makes the request for one server; disposed after the attempt. May throw a <see cref="CarillonException"/> for the
    /// caller's own faults.
    /// </summary>
    public required Func<int, StallGuard, CancellationToken, ValueTask<HttpRequestMessage>> Build { get; init; }

    /// <summary>Tries, and folds the ends of the attempts.</summary>
    public async Task<WriteResult<T>> RunAsync(CancellationToken cancellation)
    {
        CarillonClientOptions options = transport.Options;
        transport.CallBegins();
        var rotation = new Rotation(transport);
        long progress = Environment.TickCount64;
        while (!_ledger.Final && await rotation.NextAsync(cancellation) is var server && server >= 0)
        {
            TimeSpan left = options.Timeout - TimeSpan.FromMilliseconds(Environment.TickCount64 - progress);
            if (left <= TimeSpan.Zero || cancellation.IsCancellationRequested)
            {
                break;
            }

            TimeSpan patience = rotation.IsOver || left < options.AttemptTimeout ? left : options.AttemptTimeout;
            using var guard = new StallGuard(patience, cancellation);
            bool again = Direct is { } direct && transport.Direct(server) is { } pool
                ? await DirectAttemptAsync(pool, direct, server, guard, cancellation)
                : await AttemptAsync(server, guard, cancellation);
            progress = guard.LastProgress ?? progress;
            if (_ledger.Problem is { } problem)
            {
                rotation.Answered(server, problem);
            }

            if (!again)
            {
                break;
            }
        }

        return Result();
    }

    private async Task<bool> AttemptAsync(int server, StallGuard guard, CancellationToken cancellation)
    {
        using HttpRequestMessage request = await Build(server, guard, cancellation);
        var body = request.Content as SourceContent;
        if (body is not null)
        {
            transport.Learn(server);
        }

        try
        {
            using HttpResponseMessage response = await transport.SendAsync(request, guard.Token);
            if (response.IsSuccessStatusCode)
            {
                T answer = read(await Transport.ReadWholeAsync(response, guard.Token));
                Accept(answer, server, body);
                return false;
            }

            Problem problem = await transport.ReadProblemAsync(response, server, guard.Token);
            _ledger.Add(AttemptLedger.EndOf(problem), problem);
        }
        catch (Exception) when (body?.SourceFault is not null)
        {
            // This attempt was never whole; if an earlier one may have been, that is the news.
            if (_ledger.Verdict == Verdict.Unknown)
            {
                return false;
            }

            Exception own = body.SourceFault;
            throw own as CarillonException ?? new CarillonException(Failure.Failed, "the source can't be read: " + own.Message, own);
        }
        catch (Exception fault) when (Transport.IsTransportFault(fault))
        {
            AddFault(fault, server, guard, cancellation);
        }

        return Replayable || body is not { Started: true };
    }

    private async ValueTask<bool> DirectAttemptAsync(
        DirectPool pool, DirectRequest request, int server, StallGuard guard, CancellationToken cancellation)
    {
        try
        {
            (T? answer, Problem? problem) = await pool.SendAsync(
                request,
                raw => raw.IsSuccess ? (read(raw.Body.Span), null) : ((T?)null, transport.ProblemOf(raw, server)),
                guard.Token);
            if (answer is not null)
            {
                Accept(answer, server, null);
                return false;
            }

            _ledger.Add(AttemptLedger.EndOf(problem!), problem);
        }
        catch (Exception fault) when (Transport.IsTransportFault(fault))
        {
            AddFault(fault, server, guard, cancellation);
        }

        return true;
    }

    private void AddFault(Exception fault, int server, StallGuard guard, CancellationToken cancellation)
    {
        AttemptEnd end = Transport.NeverSent(fault, guard) ? AttemptEnd.NeverSent : AttemptEnd.Lost;
        Problem problem = cancellation.IsCancellationRequested
            ? Problem.Own("interrupted", "interrupted before the answer")
            : transport.ProblemOf(fault, server, guard);
        _ledger.Add(end, problem);
    }

    private void Accept(T answer, int server, SourceContent? body)
    {
        if (answer is PutAnswer put && body?.Sha256 is { } sent && !string.Equals(sent, put.Sha256, StringComparison.OrdinalIgnoreCase))
        {
            throw new CarillonException(
                Failure.Integrity, $"the server stored other bytes ({put.Sha256}) than were sent ({sent}) as version {put.Uid}");
        }

        _answer = answer;
        _server = transport.Server(server);
        transport.Preferred = server;
        _ledger.Add(AttemptEnd.Accepted, null);
    }

    private WriteResult<T> Result() => new()
    {
        Verdict = _ledger.Verdict,
        Key = key,
        Answer = _answer,
        Problem = _ledger.Problem ?? (_answer is null ? Problem.Own("unreachable", "no server was asked in time") : null),
        Submission = _ledger.Submission,
        Server = _server,
    };
}
