using System.Text.Json;
using Microsoft.AspNetCore.Http;

namespace Carillon.Gateway.Json;

/// <summary>A JSON answer of any length: written straight into the response, and sent on whenever a piece is full.</summary>
internal sealed class JsonStream : IAsyncDisposable
{
    /// <summary>Enough that a system call is worth it, little enough that many listings at once cost no memory.</summary>
    private const int PieceBytes = 32 << 10;

    private readonly HttpResponse _response;
    private readonly CancellationToken _aborted;

    public JsonStream(HttpResponse response, CancellationToken aborted)
    {
        response.StatusCode = StatusCodes.Status200OK;
        response.ContentType = "application/json";
        _response = response;
        _aborted = aborted;
        Writer = new Utf8JsonWriter(response.BodyWriter, JsonBody.Options);
    }

    /// <summary>Where the answer is written.</summary>
    public Utf8JsonWriter Writer { get; }

    /// <summary>To be called between entries: sends what has gathered, if it is a piece.</summary>
    public async ValueTask PieceAsync()
    {
        if (Writer.BytesPending + Writer.BytesCommitted - _sent >= PieceBytes)
        {
            await SendAsync();
        }
    }

    private long _sent;

    /// <summary>Sends the rest.</summary>
    public async ValueTask DisposeAsync()
    {
        await SendAsync();
        await Writer.DisposeAsync();
    }

    private async ValueTask SendAsync()
    {
        Writer.Flush();
        _sent = Writer.BytesCommitted;
        await _response.BodyWriter.FlushAsync(_aborted);
    }
}
