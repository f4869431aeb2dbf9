using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Carillon.Client;

namespace Carillon.CommandLine;

/// <summary>One failure as it is told: one line of text, or one JSON object where results are JSON; always on standard error.</summary>
internal sealed record ErrorReport
{
    private const string ReadHint = "try again when more servers are up, or read what one server has: --consistency local";

    /// <summary>What the program ends with.</summary>
    public required int ExitCode { get; init; }

    /// <summary>What failed and why.</summary>
    public required string Message { get; init; }

    /// <summary>The stable word for it.</summary>
    public string Code { get; init; } = "";

    /// <summary>The server that said so.</summary>
    public Uri? Server { get; init; }

    public string RequestId { get; init; } = "";

    /// <summary>What to do.</summary>
    public string Advice { get; init; } = "";

    /// <summary>The key to ask about.</summary>
    public string? Key { get; init; }

    public string? Submission { get; init; }

    public string? Winner { get; init; }

    /// <summary>Id under which a message may be sent again.</summary>
    public string? MessageId { get; init; }

    /// <summary>The report of a failed read or step.</summary>
    public static ErrorReport Of(CarillonException fault, string subject = "") => fault.Problem is { } problem
        ? Of(problem, fault.Failure, subject, null) with
        {
            Advice = fault.Failure != Failure.NoQuorum || problem.Code == "group-busy" ? Hint(problem, fault.Failure)
                : problem.Code == "read-unavailable" ? ReadHint
                : problem.Code == "no-quorum" ? "try again when more servers are up: carillon cluster status" : "",
        }
        : new ErrorReport
        {
            ExitCode = Carillon.CommandLine.ExitCode.Of(fault.Failure), Message = Join(subject, fault.Message), Code = Word(fault.Failure),
        };

    /// <summary>The report of a write that was not accepted.</summary>
    public static ErrorReport Of<T>(WriteResult<T> result, string subject)
        where T : class
    {
        Problem problem = result.Problem ?? Problem.Own("failed", "no reason was given");
        if (result.Verdict != Verdict.Unknown)
        {
            return Of(problem, result.Failure, subject, result.Key);
        }

        return Of(problem, Failure.OutcomeUnknown, subject, result.Key) with
        {
            Message = Join(subject, $"outcome unknown: {problem.Message}"),
            Submission = result.Submission,
            Advice = $"ask with: carillon submission show --key {result.Key}",
        };
    }

    /// <summary>Writes it.</summary>
    public void Write(TextWriter error, bool json)
    {
        if (json)
        {
            error.WriteLine(ToJson());
            return;
        }

        var line = new StringBuilder("carillon: ").Append(Message);
        string where = string.Join(
            ", ", new[] { Server?.GetLeftPart(UriPartial.Authority), RequestId.Length > 0 ? "request " + RequestId : null }
            .Where(part => part is not null));
        if (where.Length > 0)
        {
            line.Append(" (").Append(where).Append(')');
        }

        if (Advice.Length > 0)
        {
            line.Append("; ").Append(Advice);
        }

        error.WriteLine(line.ToString().ReplaceLineEndings(" "));
    }

    private static ErrorReport Of(Problem problem, Failure failure, string subject, string? key) => new()
    {
        ExitCode = Carillon.CommandLine.ExitCode.Of(failure),
        Message = Join(subject, problem.Message),
        Code = problem.Code,
        Server = problem.Server,
        RequestId = problem.RequestId,
        Key = problem.Key ?? key,
        Submission = problem.Submission,
        Winner = problem.Winner,
        MessageId = problem.MessageId,
        Advice = Hint(problem, failure),
    };

    private static string Join(string subject, string message)
    {
        string trimmed = message.TrimEnd('.', ' ');
        bool isNamed = subject.Length == 0 || trimmed.StartsWith($"'{subject}' ", StringComparison.Ordinal);
        return isNamed ? trimmed : $"{subject}: {trimmed}";
    }

    private static string Hint(Problem problem, Failure failure) => problem.Code switch
    {
        "bucket-not-found" => "",
        "key-mismatch" => "use another --key",
        "key-rejected" => "put again under a new key",
        "unreachable" => "is a server running there? --server URL[,URL…] names others",
        "tls" => "--ca-file FILE names the authority that vouches for it",
        "no-tls" => "is it a plain server? --server http://HOST:PORT",
        "group-lost" or "group-replaced" => "see docs/operations/groups.md",
        "group-not-found" => "make it with: carillon group create NAME",
        "group-reserved" => "choose another name",
        "group-busy" => "nothing was sent; try again when more servers are up: carillon cluster status",
        "message-mismatch" => "use another message id: this one is another message's",
        "message-overtaken" => "send it again under a new id: it comes behind what was delivered meanwhile",
        "message-settled" or "message-expired" => "read the group to find out whether it is there",
        "feed-too-old" when problem.Checkpoint is { } checkpoint => "list what is there, and go on with --from "
            + (checkpoint + 1).ToString(CultureInfo.InvariantCulture),
        "feed-too-old" => "start with --from begin",
        _ => failure switch
        {
            Failure.NoQuorum => "nothing was stored; try again when more servers are up: carillon cluster status",
            Failure.OutcomeUnknown when problem.MessageId is { } id =>
                $"send it again under its id, it is not there twice then: --message-id {id}{TimestampOf(problem)}",
            Failure.Denied => "give a token that allows it: --token-file FILE",
            Failure.Full => "free space, or put less",
            Failure.TimedOut => "try again, with a longer --timeout or another --server",
            _ => "",
        },
    };

    private static string TimestampOf(Problem problem) =>
        problem.Timestamp is { } number ? string.Create(CultureInfo.InvariantCulture, $" --timestamp {number}") : "";

    private static string Word(Failure failure) => failure switch
    {
        Failure.NotFound => "not-found",
        Failure.NoQuorum => "no-quorum",
        Failure.OutcomeUnknown => "outcome-unknown",
        Failure.TimedOut => "timeout",
        _ => failure.ToString().ToLowerInvariant(),
    };

    private string ToJson()
    {
        var bytes = new System.Buffers.ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(bytes, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            writer.WriteStartObject();
            writer.WriteString("error", Message);
            writer.WriteString("code", Code);
            writer.WriteNumber("exitCode", ExitCode);
            WriteIfGiven(writer, "server", Server?.GetLeftPart(UriPartial.Authority));
            WriteIfGiven(writer, "requestId", RequestId);
            WriteIfGiven(writer, "key", Key);
            WriteIfGiven(writer, "submission", Submission);
            WriteIfGiven(writer, "winner", Winner);
            WriteIfGiven(writer, "messageId", MessageId);
            WriteIfGiven(writer, "advice", Advice);
            writer.WriteEndObject();
        }

        return Encoding.UTF8.GetString(bytes.WrittenSpan);
    }

    private static void WriteIfGiven(Utf8JsonWriter writer, string name, string? value)
    {
        if (!string.IsNullOrEmpty(value))
        {
            writer.WriteString(name, value);
        }
    }
}
