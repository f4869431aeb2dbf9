using Carillon.Protocols.AtomicMulticast;

namespace Carillon.Client.Groups;

/// <summary>
/// One subscription, over as many connections as it takes: each begins behind the last message that was delivered, and what comes again is
/// left out. Messages are read in place: one buffer for many, none for each.
/// </summary>
internal sealed class Delivery(Transport transport, GroupName group, AtomicGroupOptions options, FeedStart from) : IDisposable
{
    /// <summary>Below what the garbage collector counts as large, and many messages all the same.</summary>
    private const int BufferBytes = 64 << 10;

    /// <summary>Less room than this is not worth a read.</summary>
    private const int WorthReadingBytes = 4 << 10;

    private const int LongestPauseMilliseconds = 1_000;

    private static readonly TimeSpan FruitlessPause = TimeSpan.FromMilliseconds(100);

    private readonly List<DeliveredMessage> _run = [];
    private ulong _next;

    // Which group of that name it began in; empty before it did.
    private string _id = "";
    private HttpResponseMessage? _response;
    private Stream? _stream;
    private StallGuard? _guard;
    private int _server;
    private byte[] _buffer = [];
    private int _start;
    private int _end;
    private bool _begun;

    // Whether anything came over this connection, and how many in a row brought nothing.
    private bool _came;
    private int _fruitless;

    /// <summary>The messages that came last, valid until the next are asked for.</summary>
    public IReadOnlyList<DeliveredMessage> Run => _run;

    /// <summary>Waits for the next messages: one or more.</summary>
    /// <exception cref="CarillonException">There will be none.</exception>
    public async ValueTask NextAsync(CancellationToken cancellation)
    {
        _run.Clear();
        while (_run.Count == 0)
        {
            cancellation.ThrowIfCancellationRequested();
            if (_stream is null)
            {
                await ConnectAsync(cancellation);
            }

            try
            {
                await ReadAsync();
            }
            catch (Exception fault) when (Transport.IsTransportFault(fault))
            {
                // What came whole before it is good; another server goes on behind it.
                Problem problem = transport.ProblemOf(fault, _server, _guard!);
                Close();
                transport.Preferred = (_server + 1) % transport.ServerCount;
                await PauseAsync(problem, cancellation);
            }
        }
    }

    public void Dispose() => Close();

    /// <summary>A server whose stream gives nothing at all is not asked again at once, and not for ever.</summary>
    private async ValueTask PauseAsync(Problem problem, CancellationToken cancellation)
    {
        _fruitless = _came ? 0 : _fruitless + 1;
        if (_fruitless * FruitlessPause > transport.Options.Timeout)
        {
            throw new CarillonException(problem);
        }

        if (_fruitless > 1)
        {
            await Task.Delay(FruitlessPause, cancellation);
        }
    }

    private async Task ReadAsync()
    {
        if (_buffer.Length - _end < WorthReadingBytes)
        {
            Renew(BufferBytes);
        }

        int read = await _stream!.ReadAsync(_buffer.AsMemory(_end), _guard!.Token);
        if (read == 0)
        {
            throw new IOException("the stream ended");
        }

        _guard.Progress();
        _end += read;
        Take();
    }

    private void Take()
    {
        if (!_begun)
        {
            if (_end - _start < GroupStream.PreambleBytes)
            {
                return;
            }

            if (!_buffer.AsSpan(_start, GroupStream.PreambleBytes).SequenceEqual(GroupStream.DeliveredPreamble))
            {
                throw new InvalidDataException("the answer is not a stream of messages that this version understands");
            }

            _begun = true;
            _start += GroupStream.PreambleBytes;
        }

        while (_end - _start >= GroupStreamHeader.Size)
        {
            if (!GroupStreamHeader.TryRead(_buffer.AsSpan(_start), out GroupStreamHeader header))
            {
                throw new InvalidDataException("the stream of messages is garbled");
            }

            _came = true;
            int size = GroupStreamHeader.Size + header.Length;
            if (_end - _start < size)
            {
                if (_buffer.Length - _start < size)
                {
                    Renew(size);
                }

                return;
            }

            if (!header.IsHeartbeat && header.Number >= _next)
            {
                ReadOnlyMemory<byte> payload = _buffer.AsMemory(_start + GroupStreamHeader.Size, header.Length);
                _run.Add(new DeliveredMessage(new SequenceNumber(header.Number), header.Id, payload));
                _next = header.Number + 1;
            }

            _start += size;
        }
    }

    /// <summary>A fresh buffer, to which what is not taken yet moves: the old one belongs to the messages in it.</summary>
    private void Renew(int needed)
    {
        byte[] fresh = GC.AllocateUninitializedArray<byte>(Math.Max(BufferBytes, Math.Max(needed, _end - _start + WorthReadingBytes)));
        _buffer.AsSpan(_start, _end - _start).CopyTo(fresh);
        _end -= _start;
        _start = 0;
        _buffer = fresh;
    }

    private async Task ConnectAsync(CancellationToken cancellation)
    {
        long start = Environment.TickCount64;
        Problem? worst = null;
        for (int pause = 25; ; pause = Math.Min(2 * pause, LongestPauseMilliseconds))
        {
            transport.CallBegins();
            var rotation = new Rotation(transport);
            Problem? gone = null;
            while (await rotation.NextAsync(cancellation) is var server && server >= 0)
            {
                if (await TryConnectAsync(server, cancellation) is not { } problem)
                {
                    return;
                }

                // Another server may have kept more, or may know of the group's removal already, or not yet.
                bool mayBeElsewhere = problem.Code is "feed-too-old" or "group-replaced";
                gone = mayBeElsewhere && (gone is null || problem.First < gone.First) ? problem : gone;
                if (problem.Status is > 0 and < 500 && !mayBeElsewhere)
                {
                    throw new CarillonException(problem);
                }

                worst = worst is null || worst.Status == 0 ? problem : worst;
                rotation.Answered(server, problem);
            }

            if (gone is not null)
            {
                throw new CarillonException(gone);
            }

            if (Environment.TickCount64 - start > transport.Options.Timeout.TotalMilliseconds)
            {
                throw new CarillonException(worst ?? Problem.Own("timeout", "no answer in time"));
            }

            await Task.Delay(pause, cancellation);
        }
    }

    /// <summary>Null once connected, or why this server is not the one.</summary>
    private async Task<Problem?> TryConnectAsync(int server, CancellationToken cancellation)
    {
        string start = _next > 0 ? FeedStart.At(new SequenceNumber(_next)).ToString() : from.ToString();
        using HttpRequestMessage request = transport.Request(HttpMethod.Get, server, $"{GroupCalls.Path(group)}/messages?from={start}{Group}");
        request.Headers.TryAddWithoutValidation("Accept", GroupStream.MessagesType);
        var guard = new StallGuard(transport.Options.AttemptTimeout, cancellation);
        HttpResponseMessage? response = null;
        try
        {
            response = await transport.SendAsync(request, guard.Token);
            if (!response.IsSuccessStatusCode)
            {
                return await transport.ReadProblemAsync(response, server, guard.Token);
            }

            _stream = await response.Content.ReadAsStreamAsync(guard.Token);
            Begin(response, guard, server);
            return null;
        }
        catch (Exception fault) when (Transport.IsTransportFault(fault) && !cancellation.IsCancellationRequested)
        {
            return transport.ProblemOf(fault, server, guard);
        }
        finally
        {
            if (_response is null)
            {
                response?.Dispose();
                guard.Dispose();
            }
        }
    }

    private string Group => _id.Length > 0 ? "&id=" + _id : "";

    private void Begin(HttpResponseMessage response, StallGuard guard, int server)
    {
        _response = response;
        _guard = guard;
        _server = server;
        transport.Preferred = server;
        transport.Learn(server);
        guard.Span = options.Silence;
        guard.Progress();
        _begun = false;
        _came = false;
        _start = 0;
        _end = 0;
        _buffer = [];
        if (_id.Length == 0 && response.Headers.NonValidated.TryGetValues("Carillon-Group-Id", out var id))
        {
            _id = id.ToString();
        }

        if (_next == 0 && response.Headers.NonValidated.TryGetValues("Carillon-Next", out var told)
            && ulong.TryParse(told.ToString(), out ulong next))
        {
            // From here on "begin" and "now" are this number, or what comes while servers change would be missed.
            _next = next;
        }
    }

    private void Close()
    {
        _response?.Dispose();
        _guard?.Dispose();
        _response = null;
        _guard = null;
        _stream = null;
    }
}
