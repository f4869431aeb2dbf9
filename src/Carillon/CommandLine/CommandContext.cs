using System.CommandLine;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Carillon.Client;
using Carillon.Protocols;
using Carillon.Protocols.Submissions;

namespace Carillon.CommandLine;

/// <summary>One run of a command: what was asked for, where results and errors go, and when to stop.</summary>
internal sealed class CommandContext
{
    private static readonly JsonWriterOptions Compact = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private readonly GlobalOptions _global;
    private readonly Func<int?>? _interruption;

    public CommandContext(GlobalOptions global, ParseResult parse, CancellationToken cancellation, Func<int?>? interruption)
    {
        _global = global;
        _interruption = interruption;
        Parse = parse;
        Cancellation = cancellation;
        Out = parse.InvocationConfiguration.Output;
        Error = parse.InvocationConfiguration.Error;
        Format = global.Format(parse);
        Progress = global.ProgressMode(parse);
        Quiet = global.IsQuiet(parse);
        Colorless = global.IsColorless(parse);
        Timeout = global.TimeoutSpan(parse);
    }

    public ParseResult Parse { get; }

    public CancellationToken Cancellation { get; }

    /// <summary>The exit code that a signal asks for, once one came: it takes the place of what the interrupted work says.</summary>
    public int? Interruption => _interruption?.Invoke();

    public TextWriter Out { get; }

    public TextWriter Error { get; }

    public OutputFormat Format { get; }

    public ProgressMode Progress { get; }

    public bool Quiet { get; }

    public bool Colorless { get; }

    public TimeSpan Timeout { get; }

    /// <summary>True where results are JSON.</summary>
    public bool IsJson => Format is OutputFormat.Json or OutputFormat.JsonLines;

    /// <summary>A client of the cluster that the options name.</summary>
    public CarillonClient CreateClient() => new(ClientOptions());

    public CarillonClientOptions ClientOptions() => _global.ClientOptions(Parse);

    /// <summary>A line for people, on standard error, unless they want quiet.</summary>
    public void Say(string line)
    {
        if (!Quiet)
        {
            Error.WriteLine(line);
        }
    }

    /// <summary>Writes one JSON document on a line.</summary>
    public void WriteJson(Action<Utf8JsonWriter> write)
    {
        var bytes = new System.Buffers.ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(bytes, Compact))
        {
            write(writer);
        }

        Out.WriteLine(Encoding.UTF8.GetString(bytes.WrittenSpan));
    }

    /// <summary>Writes a server's JSON as it came.</summary>
    public void WriteJson(ReadOnlyMemory<byte> json) => Out.WriteLine(Encoding.UTF8.GetString(json.Span).Trim());

    /// <summary>Reads BUCKET/NAME.</summary>
    /// <exception cref="UsageException">It is none.</exception>
    public static ObjectName Target(string text)
    {
        ObjectName target = Prefix(text);
        if (target.Name.Length == 0)
        {
            throw new UsageException($"'{Shown.Text(text)}': use BUCKET/NAME");
        }

        return ObjectName.FaultOfName(target.Name) is { } fault ? throw new UsageException($"'{Shown.Text(text)}': {fault}") : target;
    }

    /// <summary>Reads BUCKET or BUCKET/PREFIX; a slash at the end counts as part of the prefix.</summary>
    /// <exception cref="UsageException">The bucket breaks the rules.</exception>
    public static ObjectName Prefix(string text)
    {
        int slash = text.IndexOf('/');
        string bucket = slash < 0 ? text : text[..slash];
        return ObjectName.FaultOfBucket(bucket) is { } fault
            ? throw new UsageException($"'{Shown.Text(text)}': {fault}")
            : new ObjectName(bucket, slash < 0 ? "" : text[(slash + 1)..]);
    }
}
