using System.Buffers;
using System.Globalization;
using System.Text.Json;
using System.Text.Unicode;
using Carillon.Gateway.Json;
using Carillon.Protocols.AtomicMulticast;

namespace Carillon.Gateway.Streams;

/// <summary>How entries are written. Nothing in it changes: one object serves any number of streams.</summary>
internal abstract class StreamFormat<T>
{
    /// <summary>The media type.</summary>
    public abstract string ContentType { get; }

    /// <summary>What stands in front of all entries; gives its bytes.</summary>
    public virtual int Begin(IBufferWriter<byte> output) => 0;

    /// <summary>
    /// Writes entries from the first on, at least one and no more than about <paramref name="enough"/> bytes; gives how many.
    /// </summary>
    public abstract int Write(IBufferWriter<byte> output, ReadOnlySpan<T> run, int enough, out int bytes);

    /// <summary>What says that the connection is alive, and that everything up to a number was sent or is not wanted; gives its bytes, 0
    /// where the form has nothing for it.</summary>
    public virtual int Heartbeat(IBufferWriter<byte> output, SequenceNumber position) => 0;
}

/// <summary>How an entry is told in JSON: as one object or several.</summary>
internal interface IStreamJson<T>
{
    /// <summary>The entry's number.</summary>
    static abstract SequenceNumber NumberOf(in T entry);

    /// <summary>How many objects it is.</summary>
    static abstract int ObjectsOf(in T entry);

    /// <summary>Writes one of them.</summary>
    static abstract void Write(Utf8JsonWriter writer, in T entry, int index);
}

/// <summary>One JSON object a line.</summary>
internal class LineFormat<T, TJson> : StreamFormat<T>
    where TJson : IStreamJson<T>
{
    // A writer that belongs to no stream: between two entries it holds nothing.
    private static readonly ArrayBufferWriter<byte> Nothing = new(1);
    [ThreadStatic] private static Utf8JsonWriter? _writer;

    public override string ContentType => "application/jsonl";

    public sealed override int Write(IBufferWriter<byte> output, ReadOnlySpan<T> run, int enough, out int bytes)
    {
        bytes = 0;
        int written = 0;
        while (written < run.Length && bytes < enough)
        {
            bytes += WriteOne(output, run[written]);
            written++;
        }

        return written;
    }

    /// <summary>Writes one entry in its place; gives its bytes.</summary>
    protected virtual int WriteOne(IBufferWriter<byte> output, in T entry)
    {
        int bytes = 0;
        for (int i = 0; i < TJson.ObjectsOf(entry); i++)
        {
            bytes += WriteJson(output, entry, i) + 1;
            output.Write("\n"u8);
        }

        return bytes;
    }

    /// <summary>Writes one of an entry's objects; gives its bytes.</summary>
    protected static int WriteJson(IBufferWriter<byte> output, in T entry, int index)
    {
        Utf8JsonWriter writer = _writer ??= new Utf8JsonWriter(Nothing, JsonBody.Options);
        writer.Reset(output);
        TJson.Write(writer, entry, index);
        writer.Flush();
        int bytes = (int)writer.BytesCommitted;
        writer.Reset(Nothing);
        return bytes;
    }
}

/// <summary>
/// Server-sent events, one for an entry, with a line of data for each of its objects: so an entry comes whole or not at all. Its number is
/// the event's id, and that of what was left out is told with each heartbeat: a browser resumes by itself, and behind what it did not
/// want.
/// </summary>
/// <param name="prefix">What stands in front of each id's number: whose it is, where something else may come to have the address.</param>
internal sealed class EventFormat<T, TJson>(string prefix = "") : LineFormat<T, TJson>
    where TJson : IStreamJson<T>
{
    // The greatest number has 20 digits, and a group's identity 16.
    private const int MaxIdBytes = 64;

    public override string ContentType => "text/event-stream";

    public override int Heartbeat(IBufferWriter<byte> output, SequenceNumber position)
    {
        Span<byte> text = stackalloc byte[MaxIdBytes];
        Utf8.TryWrite(text, CultureInfo.InvariantCulture, $":\nid: {prefix}{position.Value}\n\n", out int length);
        output.Write(text[..length]);
        return length;
    }

    protected override int WriteOne(IBufferWriter<byte> output, in T entry)
    {
        Span<byte> text = stackalloc byte[MaxIdBytes];
        Utf8.TryWrite(text, CultureInfo.InvariantCulture, $"id: {prefix}{TJson.NumberOf(entry).Value}\n", out int bytes);
        output.Write(text[..bytes]);
        for (int i = 0; i < TJson.ObjectsOf(entry); i++)
        {
            output.Write("data: "u8);
            bytes += WriteJson(output, entry, i) + "data: \n".Length;
            output.Write("\n"u8);
        }

        output.Write("\n"u8);
        return bytes + 1;
    }
}
