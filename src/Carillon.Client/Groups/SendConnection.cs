using System.Net;
using System.Net.Http.Headers;
using Carillon.Protocols.AtomicMulticast;

namespace Carillon.Client.Groups;

/// <summary>
/// A connection that was upgraded for sending (docs/formats/group-streams.md): messages one way, answers the other, many in flight.
/// </summary>
internal sealed class SendConnection : IDisposable
{
    private const int BufferBytes = 16 << 10;

    private readonly HttpResponseMessage _response;
    private readonly byte[] _buffer = new byte[BufferBytes];
    private int _start;
    private int _end;
    private bool _begun;

    private SendConnection(HttpResponseMessage response, Stream stream)
    {
        _response = response;
        Stream = stream;
    }

    /// <summary>Where messages are written.</summary>
    public Stream Stream { get; }

    /// <summary>Messages that were written and have no answer, in that order; guarded by the sender's lock.</summary>
    public Queue<Pending> Unanswered { get; } = new();

    /// <summary>Since when the first of them waits, or the last answer came; guarded by the sender's lock.</summary>
    public long WaitingSince { get; set; }

    /// <summary>The group's greatest committed number when it was made, as the server knew it.</summary>
    public ulong Committed { get; private init; }

    /// <summary>The timestamp of the messages that were written last; guarded by the sender's lock.</summary>
    public ulong Timestamp { get; set; }

    /// <summary>Signalled when the connection is to end.</summary>
    public CancellationToken Stopped => _stop.Token;

    private readonly CancellationTokenSource _stop = new();

    /// <summary>Asks the connection to end.</summary>
    public void Stop() => _stop.Cancel();

    /// <summary>The same, on another thread.</summary>
    public Task StopAsync() => _stop.CancelAsync();

    /// <summary>Connects to one server.</summary>
    /// <exception cref="CarillonException">The server says no.</exception>
    public static async Task<SendConnection> OpenAsync(Transport transport, int server, GroupName group, CancellationToken cancellation)
    {
        using HttpRequestMessage request = transport.Request(HttpMethod.Post, server, GroupCalls.Path(group) + "/messages");
        request.Headers.Connection.Add("Upgrade");
        request.Headers.TryAddWithoutValidation("Upgrade", GroupStream.UpgradeName);
        request.Content = new ByteArrayContent([]);
        HttpResponseMessage response = await transport.SendAsync(request, cancellation);
        try
        {
            if (response.StatusCode != HttpStatusCode.SwitchingProtocols)
            {
                throw response.IsSuccessStatusCode
                    ? new InvalidDataException("the connection was not upgraded; is there a proxy between?")
                    : new CarillonException(await transport.ReadProblemAsync(response, server, cancellation));
            }

            Stream stream = await response.Content.ReadAsStreamAsync(cancellation);
            await stream.WriteAsync(GroupStream.SentPreamble.ToArray(), cancellation);
            bool told = response.Headers.NonValidated.TryGetValues("Carillon-Timestamp", out HeaderStringValues committed);
            return new SendConnection(response, stream)
            {
                Committed = told && ulong.TryParse(committed.ToString(), out ulong number) ? number : 0,
            };
        }
        catch (Exception)
        {
            response.Dispose();
            throw;
        }
    }

    /// <summary>The next answer that is here already.</summary>
    /// <exception cref="InvalidDataException">What came is none.</exception>
    public bool TryRead(out GroupAnswer answer)
    {
        answer = default;
        if (!_begun)
        {
            if (_end - _start < GroupStream.PreambleBytes)
            {
                return false;
            }

            if (!_buffer.AsSpan(_start, GroupStream.PreambleBytes).SequenceEqual(GroupStream.AnswersPreamble))
            {
                throw new InvalidDataException("the answer is not a stream of answers that this version understands");
            }

            _begun = true;
            _start += GroupStream.PreambleBytes;
        }

        int read = GroupAnswer.Read(_buffer.AsSpan(_start, _end - _start), out answer);
        if (read < 0)
        {
            throw new InvalidDataException("the stream of answers is garbled");
        }

        _start += read;
        return read > 0;
    }

    /// <summary>Waits for more bytes.</summary>
    /// <exception cref="IOException">The stream ended.</exception>
    public async ValueTask FillAsync(CancellationToken cancellation)
    {
        // What is left is less than one answer.
        _buffer.AsSpan(_start, _end - _start).CopyTo(_buffer);
        _end -= _start;
        _start = 0;
        int read = await Stream.ReadAsync(_buffer.AsMemory(_end), cancellation);
        if (read == 0)
        {
            throw new IOException("the stream of answers ended");
        }

        _end += read;
    }

    public void Dispose()
    {
        // Not disposed of: it has no timer, and who finds the connection silent may still be about to signal it.
        Stream.Dispose();
        _response.Dispose();
    }
}
