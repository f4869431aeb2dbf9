using System.Net.Http.Headers;
using Carillon.Client.Groups;
using Carillon.Protocols.AtomicMulticast;

namespace Carillon.Client;

/// <summary>
/// One stream of numbered entries, over as many connections as it takes: each begins behind the last entry that was given, and what comes
/// again is left out. Bytes are read in place: one buffer for many entries.
/// </summary>
internal abstract class ResumingStream(Transport transport, TimeSpan silence, FeedStart from) : IDisposable
{
    /// <summary>Below what the garbage collector counts as large, and many entries all the same.</summary>
    private const int BufferBytes = 64 << 10;

    /// <summary>Less room than this is not worth a read.</summary>
    private const int WorthReadingBytes = 4 << 10;

    private const int LongestPauseMilliseconds = 1_000;

    private static readonly TimeSpan FruitlessPause = TimeSpan.FromMilliseconds(100);

    private HttpResponseMessage? _response;
    private Stream? _stream;
    private StallGuard? _guard;
    private int _server;
    private byte[] _buffer = [];
    private int _start;
    private int _end;

    // Connections in a row that brought nothing.
    private int _fruitless;

    /// <summary>The first number that was not given yet; 0 while the servers have not told what "begin" or "now" is.</summary>
    protected ulong Next { get; set; }

    /// <summary>Whether anything good came over this connection.</summary>
    protected bool Came { get; set; }

    /// <summary>The media type that is asked for.</summary>
    protected abstract string MediaType { get; }

    /// <summary>True once entries are there to be given.</summary>
    protected abstract bool HasAny { get; }

    /// <summary>What came and was not taken yet. It is nobody else's: who keeps a part of it may.</summary>
    protected ReadOnlyMemory<byte> Unread => _buffer.AsMemory(_start, _end - _start);

    /// <summary>Waits for the next entries: one or more.</summary>
    /// <exception cref="CarillonException">There will be none.</exception>
    public async ValueTask NextAsync(CancellationToken cancellation)
    {
        Forget();
        while (!HasAny)
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

    /// <summary>The request's path and query, to start at a number, "begin" or "now".</summary>
    protected abstract string PathFrom(string start);

    /// <summary>A new connection: its bytes begin anew, behind these headers.</summary>
    protected abstract void Begin(HttpResponseHeaders headers);

    /// <summary>The entries that came last were given.</summary>
    protected abstract void Forget();

    /// <summary>Takes whole entries from what came.</summary>
    /// <exception cref="InvalidDataException">It is not what was asked for.</exception>
    protected abstract void Take();

    /// <summary>So much of what came is taken.</summary>
    protected void Advance(int bytes) => _start += bytes;

    /// <summary>Makes room for so many bytes, those that came already included.</summary>
    protected void MakeRoom(int bytes)
    {
        if (_buffer.Length - _start < bytes)
        {
            Renew(bytes);
        }
    }

    /// <summary>A server whose stream gives nothing at all is not asked again at once, and not for ever.</summary>
    private async ValueTask PauseAsync(Problem problem, CancellationToken cancellation)
    {
        _fruitless = Came ? 0 : _fruitless + 1;
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

    /// <summary>A fresh buffer, to which what is not taken yet moves: the old one belongs to the entries in it.</summary>
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

                // Another server may have kept more, or may know of a group's removal already, or not yet.
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
        string start = Next > 0 ? FeedStart.At(new SequenceNumber(Next)).ToString() : from.ToString();
        using HttpRequestMessage request = transport.Request(HttpMethod.Get, server, PathFrom(start));
        request.Headers.TryAddWithoutValidation("Accept", MediaType);
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

    private void Begin(HttpResponseMessage response, StallGuard guard, int server)
    {
        _response = response;
        _guard = guard;
        _server = server;
        transport.Preferred = server;
        transport.Learn(server);
        guard.Span = silence;
        guard.Progress();
        Came = false;
        _start = 0;
        _end = 0;
        _buffer = [];
        Begin(response.Headers);
        if (Next == 0 && response.Headers.NonValidated.TryGetValues("Carillon-Next", out var told)
            && ulong.TryParse(told.ToString(), out ulong next))
        {
            // From here on "begin" and "now" are this number, or what comes while servers change would be missed.
            Next = next;
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
