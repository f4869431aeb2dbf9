using System.Buffers;
using System.Diagnostics;
using System.Net;
using System.Net.Http.Headers;
using System.Security.Cryptography;
using Carillon.Protocols.Submissions;

namespace Carillon.Client;

/// <summary>
/// One download. It begins with the current version (or the one asked for), keeps to that version whichever server it moves to,
/// goes on from the byte where the last one stopped, and compares the whole with its SHA-256 before it hands it over. It never
/// mixes two versions: what a former run left is gone on with only under <c>If-Match</c>.
/// </summary>
internal sealed class Download : IDisposable
{
    // Small objects are read in one piece: two threads would only take turns.
    private const long PipelineBytes = 1 << 20;
    private const int MaxRestarts = 3;

    private readonly Transport _transport;
    private readonly GetOptions _options;
    private readonly DownloadTarget _target;
    private readonly string _path;
    private readonly List<Uri> _servers = [];
    private readonly long _start = Stopwatch.GetTimestamp();
    private readonly IncrementalHash _hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
    private ObjectStat? _version;
    private long _offset;
    private long _lastByte;
    private TimeSpan _longestStall;
    private bool _moving;
    private int _migrations;
    private int _restarts;
    private int _refusals;

    public Download(Transport transport, ObjectName source, GetOptions options, DownloadTarget target)
    {
        _transport = transport;
        _options = options;
        _target = target;
        _path = Paths.Object(source);
        _lastByte = _start;
    }

    /// <summary>What an attempt at one server came to.</summary>
    private enum AttemptEnd
    {
        /// <summary>Every byte is here.</summary>
        Complete,

        /// <summary>The partial bytes are of no use: begin anew, at the same server.</summary>
        Restart,

        /// <summary>This server can't go on: the next one.</summary>
        Next,
    }

    public void Dispose() => _hash.Dispose();

    /// <summary>Runs it to its end.</summary>
    /// <exception cref="CarillonException">It could not be read, or its bytes are wrong.</exception>
    public async Task<GetResult> RunAsync(CancellationToken cancellation)
    {
        long resumed = _target.PresentBytes;
        _transport.CallBegins();
        await HashPresentAsync(cancellation);
        int server = _transport.Preferred;
        Problem? problem = null;
        while (true)
        {
            (AttemptEnd end, Problem? found) = await AttemptAsync(server, cancellation);
            switch (end)
            {
                case AttemptEnd.Complete when await VerifyAsync(cancellation):
                    _transport.Preferred = server;
                    return Result(resumed);
                case AttemptEnd.Complete or AttemptEnd.Restart:
                    resumed = 0;
                    Restart(found);
                    break;
                default:
                    // Of what was said since the last byte, an answer says more than a silence.
                    problem = found is { Status: > 0 } || problem is null or { Status: 0 } || _refusals == 0 ? found : problem;
                    await MoveOnAsync(problem!, cancellation);
                    server = (server + 1) % _transport.ServerCount;
                    break;
            }
        }
    }

    private async Task HashPresentAsync(CancellationToken cancellation)
    {
        _offset = _target.PresentBytes;
        if (_offset > 0)
        {
            await _target.HashPresentAsync(_hash, cancellation);
        }
    }

    private void Restart(Problem? problem)
    {
        if (++_restarts > MaxRestarts || !_target.CanRestart)
        {
            throw problem is null
                ? new CarillonException(Failure.Integrity, "the bytes that came do not have the version's hash")
                : new CarillonException(problem);
        }

        _target.Restart();
        _hash.GetHashAndReset();
        _offset = 0;
        _version = null;
    }

    private async Task<bool> VerifyAsync(CancellationToken cancellation)
    {
        string digest = Convert.ToHexStringLower(_hash.GetHashAndReset());
        if (!string.Equals(digest, _version!.Sha256, StringComparison.OrdinalIgnoreCase))
        {
            return false;
        }

        await _target.CommitAsync(_version, cancellation);
        return true;
    }

    // Before the first byte each server is asked once; after it, as long as the time-out allows, since servers come back.
    private async Task MoveOnAsync(Problem problem, CancellationToken cancellation)
    {
        _refusals++;
        await _transport.WaitForLearningAsync();
        if (_refusals < _transport.ServerCount)
        {
            return;
        }

        if (!_moving)
        {
            throw new CarillonException(problem);
        }

        if (problem.Status == 404 && _refusals >= 2 * _transport.ServerCount)
        {
            Restart(Problem.Own("not-found", "the version that was being read is not kept any more"));
            _moving = false;
            _refusals = 0;
            return;
        }

        if (Stopwatch.GetElapsedTime(_lastByte) > _transport.Options.Timeout)
        {
            throw new CarillonException(
                Problem.Own("timeout", $"no server went on with the download in time; the last one: {problem.Message}"));
        }

        if (_refusals % _transport.ServerCount == 0)
        {
            int pause = Math.Min(1000, 50 << Math.Min(5, _refusals / _transport.ServerCount));
            await Task.Delay(pause, cancellation);
        }
    }

    private async Task<(AttemptEnd End, Problem? Problem)> AttemptAsync(int server, CancellationToken cancellation)
    {
        CarillonClientOptions options = _transport.Options;
        bool others = _transport.ServerCount > 1;
        using var guard = new StallGuard(others ? options.AttemptTimeout : options.Timeout, cancellation);
        try
        {
            using HttpRequestMessage request = Request(server);
            using HttpResponseMessage response = await _transport.SendAsync(request, guard.Token);
            if (!response.IsSuccessStatusCode)
            {
                return Refused(await _transport.ReadProblemAsync(response, server, guard.Token));
            }

            if (Accept(response, server) is { } end)
            {
                return end;
            }

            guard.Span = others ? options.StallTimeout : options.Timeout;
            await using Stream body = await response.Content.ReadAsStreamAsync(guard.Token);
            await CopyAsync(body, guard);
            return (AttemptEnd.Complete, null);
        }
        catch (Exception fault) when (Transport.IsTransportFault(fault) && !cancellation.IsCancellationRequested)
        {
            return (AttemptEnd.Next, _transport.ProblemOf(fault, server, guard));
        }
    }

    private HttpRequestMessage Request(int server)
    {
        // Once it is known which version comes, every server is asked for that one, current or not.
        string? version = _options.Version ?? _version?.Uid;
        HttpRequestMessage request = _transport.Request(HttpMethod.Get, server, _path + VersionHeaders.Query(version, _options.Local));
        if (_offset > 0)
        {
            request.Headers.Range = new RangeHeaderValue(_offset, null);
            request.Headers.TryAddWithoutValidation("If-Match", $"\"{_version?.Uid ?? _target.PresentUid}\"");
        }

        return request;
    }

    private (AttemptEnd End, Problem? Problem) Refused(Problem problem)
    {
        switch (problem.Status)
        {
            case 412 or 416 when _offset > 0:
                // The partial bytes are of a version that is not the current one any more.
                return (AttemptEnd.Restart, problem);
            case 404 when _moving:
                // The next server may not have applied it yet, or this one may be behind.
                return (AttemptEnd.Next, problem);
            case >= 500 and not 501:
                return (AttemptEnd.Next, problem);
            default:
                throw new CarillonException(problem);
        }
    }

    // Null: the body goes on where the bytes here end.
    private (AttemptEnd End, Problem? Problem)? Accept(HttpResponseMessage response, int server)
    {
        ObjectStat version = VersionHeaders.Read(response);
        string? expected = _version?.Uid ?? (_offset > 0 ? _target.PresentUid : null);
        long? from = response.StatusCode == HttpStatusCode.PartialContent ? response.Content.Headers.ContentRange?.From : 0;
        if (expected is not null && version.Uid != expected)
        {
            return (AttemptEnd.Restart, Problem.Own("bad-answer", "the server sent another version than was asked for"));
        }

        if (from != _offset)
        {
            return _target.CanRestart
                ? (AttemptEnd.Restart, Problem.Own("bad-answer", "the server does not go on from the byte that was asked for"))
                : (AttemptEnd.Next, Problem.Own("bad-answer", "the server does not go on from the byte that was asked for"));
        }

        if (_version is null)
        {
            _target.Begin(version);
            _options.Observer?.Started(version.Size, _offset);
        }

        if (version.Size > PipelineBytes)
        {
            _transport.Learn(server);
        }

        _version = version;
        Uri address = _transport.Server(server);
        if (_servers.Count == 0 || _servers[^1] != address)
        {
            _migrations += _moving ? 1 : 0;
            _servers.Add(address);
        }

        return null;
    }

    private async Task CopyAsync(Stream body, StallGuard guard)
    {
        if (_version!.Size - _offset > PipelineBytes)
        {
            await CopyPipelinedAsync(body, guard);
            return;
        }

        byte[] buffer = ArrayPool<byte>.Shared.Rent((int)Math.Max(1, _version.Size - _offset));
        try
        {
            while (_offset < _version.Size)
            {
                int read = await ReadSomeAsync(body, buffer.AsMemory(0, (int)Math.Min(buffer.Length, _version.Size - _offset)), guard);
                _hash.AppendData(buffer.AsSpan(0, read));
                await WriteAsync(buffer.AsMemory(0, read));
                _offset += read;
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    // While one buffer is hashed and written, the other one fills.
    private async Task CopyPipelinedAsync(Stream body, StallGuard guard)
    {
        byte[] filling = ArrayPool<byte>.Shared.Rent(_transport.Options.BufferBytes);
        byte[] emptying = ArrayPool<byte>.Shared.Rent(_transport.Options.BufferBytes);
        Task written = Task.CompletedTask;
        try
        {
            while (_offset < _version!.Size)
            {
                int filled = 0;
                try
                {
                    int wanted = (int)Math.Min(filling.Length, _version.Size - _offset);
                    while (filled < wanted)
                    {
                        filled += await ReadSomeAsync(body, filling.AsMemory(filled, wanted - filled), guard);
                    }
                }
                finally
                {
                    // Also when the connection breaks: what came is kept, and the next server goes on behind it.
                    await written;
                    (filling, emptying) = (emptying, filling);
                    written = HashAndWriteAsync(emptying.AsMemory(0, filled));
                    _offset += filled;
                }
            }
        }
        finally
        {
            await written;
            ArrayPool<byte>.Shared.Return(filling);
            ArrayPool<byte>.Shared.Return(emptying);
        }
    }

    private Task HashAndWriteAsync(ReadOnlyMemory<byte> bytes) => bytes.Length == 0
        ? Task.CompletedTask
        : Task.Run(async () =>
        {
            _hash.AppendData(bytes.Span);
            await WriteAsync(bytes);
        });

    // A full disk here is no server's fault: it must not look like a broken connection, or the download would wander.
    private async ValueTask WriteAsync(ReadOnlyMemory<byte> bytes)
    {
        try
        {
            await _target.WriteAsync(bytes, CancellationToken.None);
        }
        catch (IOException fault)
        {
            throw new CarillonException(Failure.Failed, "can't write here: " + fault.Message, fault);
        }
    }

    private async ValueTask<int> ReadSomeAsync(Stream body, Memory<byte> buffer, StallGuard guard)
    {
        int read = await body.ReadAsync(buffer, guard.Token);
        if (read == 0)
        {
            throw new HttpIOException(HttpRequestError.ResponseEnded, "the body ended early");
        }

        long now = Stopwatch.GetTimestamp();
        TimeSpan gap = Stopwatch.GetElapsedTime(_lastByte, now);
        _longestStall = _moving && gap > _longestStall ? gap : _longestStall;
        _lastByte = now;
        _moving = true;
        _refusals = 0;
        guard.Progress();
        _options.Observer?.Advanced(read);
        return read;
    }

    private GetResult Result(long resumed) => new()
    {
        Uid = _version!.Uid,
        Bytes = _version.Size,
        Resumed = resumed,
        Sha256 = _version.Sha256,
        Elapsed = Stopwatch.GetElapsedTime(_start),
        Migrations = _migrations,
        LongestStall = _longestStall,
        Servers = [.. _servers.Distinct()],
        ContentType = _version.ContentType,
        Metadata = _version.Metadata,
    };
}
