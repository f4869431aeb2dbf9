using System.Buffers;
using System.Text.Encodings.Web;
using System.Text.Json;
using Microsoft.AspNetCore.Http;

namespace Carillon.Gateway.Json;

/// <summary>
/// A small JSON answer, written into memory and sent with its length in one piece. One is kept per thread, so that the answer to a
/// put allocates neither a document nor a buffer.
/// </summary>
internal sealed class JsonBody
{
    /// <summary>A buffer that grew beyond this is not kept.</summary>
    private const int MaxKeptBytes = 64 << 10;

    /// <summary>The answers are read by programs and by people at terminals, never put into a page unescaped: names stay legible.</summary>
    public static readonly JsonWriterOptions Options = new()
    {
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, SkipValidation = true,
    };

    [ThreadStatic] private static JsonBody? _idle;

    private readonly ArrayBufferWriter<byte> _bytes = new(512);

    private JsonBody() => Writer = new Utf8JsonWriter(_bytes, Options);

    /// <summary>Where the answer is written.</summary>
    public Utf8JsonWriter Writer { get; }

    /// <summary>Takes an empty one; <see cref="SendAsync"/> gives it back.</summary>
    public static JsonBody Rent()
    {
        JsonBody body = _idle ?? new JsonBody();
        _idle = null;
        return body;
    }

    /// <summary>Sends what was written, and gives this body back.</summary>
    public async Task SendAsync(HttpResponse response, int status, string contentType = "application/json")
    {
        Writer.Flush();
        response.StatusCode = status;
        response.ContentType = contentType;
        response.ContentLength = _bytes.WrittenCount;
        await response.BodyWriter.WriteAsync(_bytes.WrittenMemory);
        if (_bytes.Capacity <= MaxKeptBytes)
        {
            _bytes.ResetWrittenCount();
            Writer.Reset();
            _idle = this;
        }
    }
}
