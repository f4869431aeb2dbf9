using System.Buffers;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Carillon.Runtime;

namespace Carillon.CommandLine;

/// <summary>Writes one thing of a stream as one or more lines; the writer is for JSON, and is to be flushed.</summary>
internal delegate void LineWriter<T>(ArrayBufferWriter<byte> lines, Utf8JsonWriter json, in T item);

/// <summary>Prints a stream for as long as it goes on: what is here already in large pieces, and the last line at once.</summary>
internal static class LinePrinter
{
    /// <summary>Lines that gather while more is here already.</summary>
    private const int PieceBytes = 64 << 10;

    private static readonly JsonWriterOptions Json = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Until the stream ends, so many things were printed, or nobody reads them any more.</summary>
    public static async Task RunAsync<T>(CommandContext context, IAsyncEnumerable<T> stream, ulong most, LineWriter<T> write)
    {
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(context.Cancellation);
        Task printing = PrintAsync(context, stream, most, write, ended.Token);
        bool isPipe = ReferenceEquals(context.Out, Console.Out) && Console.IsOutputRedirected;
        Task gone = isPipe ? StandardOutput.ReaderGoneAsync() : printing;
        if (await Task.WhenAny(printing, gone) != printing)
        {
            // As in `subscribe … | head`: there is nobody to print for.
            await ended.CancelAsync();
            await printing.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            return;
        }

        await printing;
    }

    private static async Task PrintAsync<T>(
        CommandContext context, IAsyncEnumerable<T> stream, ulong most, LineWriter<T> write, CancellationToken ended)
    {
        var lines = new ArrayBufferWriter<byte>();
        await using var writer = new Utf8JsonWriter(lines, Json);
        await using IAsyncEnumerator<T> enumerator = stream.GetAsyncEnumerator(ended);
        for (ulong i = 0; i < most; i++)
        {
            ValueTask<bool> next = enumerator.MoveNextAsync();
            if (!next.IsCompleted || lines.WrittenCount > PieceBytes)
            {
                Flush(context, lines);
            }

            if (!await next)
            {
                break;
            }

            write(lines, writer, enumerator.Current);
        }

        Flush(context, lines);
    }

    private static void Flush(CommandContext context, ArrayBufferWriter<byte> lines)
    {
        if (lines.WrittenCount > 0)
        {
            context.Out.Write(Encoding.UTF8.GetString(lines.WrittenSpan));
            context.Out.Flush();
            lines.ResetWrittenCount();
        }
    }
}
