using System.Text.Json;
using Carillon.Client;
using Carillon.Protocols.Submissions;

namespace Carillon.CommandLine;

/// <summary>Tells how a write ended, and gives its exit code.</summary>
internal static class WriteReport
{
    /// <summary>A put: the UID, or the contract's object.</summary>
    public static int Put(CommandContext context, WriteResult<PutAnswer> result, ObjectName target, string? ack)
    {
        if (result.Answer is not { } answer || result.Verdict != Verdict.Accepted)
        {
            return Fail(context, result, target.ToString());
        }

        if (Unnumbered(context, result, answer.Sequence, ack, target.ToString()) is not ExitCode.Ok and var code)
        {
            return code;
        }

        switch (context.Format)
        {
            case OutputFormat.Table:
                context.Out.WriteLine(answer.Uid);
                break;
            case OutputFormat.Name:
                context.Out.WriteLine(target.ToString());
                break;
            default:
                context.WriteJson(writer => WriteAnswer(writer, answer));
                break;
        }

        return ExitCode.Ok;
    }

    /// <summary>A write that was not accepted.</summary>
    public static int Fail<T>(CommandContext context, WriteResult<T> result, string subject)
        where T : class
    {
        ErrorReport report = ErrorReport.Of(result, subject);
        report = report with { ExitCode = context.Interruption ?? report.ExitCode };
        report.Write(context.Error, context.IsJson);
        return report.ExitCode;
    }

    /// <summary>A write whose number was asked for, and did not come in time: agreed, so it will not be lost, but nobody knows yet where it
    /// will stand. Ok in all other cases.</summary>
    public static int Unnumbered<T>(CommandContext context, WriteResult<T> result, long? sequence, string? ack, string subject)
        where T : class
    {
        if (ack != "sequenced" || sequence is not null)
        {
            return ExitCode.Ok;
        }

        var report = new ErrorReport
        {
            ExitCode = ExitCode.OutcomeUnknown, Code = "not-sequenced", Server = result.Server, Key = result.Key,
            Message = $"{subject}: agreed, but it has no number in the feed yet",
            Advice = $"ask with: carillon submission show --key {result.Key}",
        };
        report.Write(context.Error, context.IsJson);
        return report.ExitCode;
    }

    /// <summary>A number that may not be there yet.</summary>
    public static void WriteSequence(Utf8JsonWriter writer, long? sequence)
    {
        if (sequence is { } number)
        {
            writer.WriteNumber("sequence", number);
        }
        else
        {
            writer.WriteNull("sequence");
        }
    }

    private static void WriteAnswer(Utf8JsonWriter writer, PutAnswer answer)
    {
        writer.WriteStartObject();
        writer.WriteString("uid", answer.Uid);
        WriteSequence(writer, answer.Sequence);
        writer.WriteNumber("size", answer.Size);
        writer.WriteString("sha256", answer.Sha256);
        writer.WriteString("submission", answer.Submission);
        writer.WriteEndObject();
    }
}
