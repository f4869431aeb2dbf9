using System.Text.Json;

namespace Carillon.Gateway.Problems;

/// <summary>The body of a problem (application/problem+json).</summary>
internal static class ProblemJson
{
    /// <summary>Writes it, with the request's id and the key that a retry must use.</summary>
    public static void Write(Utf8JsonWriter writer, Problem problem, Exchange exchange)
    {
        writer.WriteStartObject();
        writer.WriteString("type", string.Concat("urn:carillon:problem:", problem.Type.Code));
        writer.WriteString("title", problem.Type.Title);
        writer.WriteNumber("status", problem.Type.Status);
        writer.WriteString("detail", problem.Detail);
        writer.WriteString("code", problem.Type.Code);
        writer.WriteString("requestId", exchange.RequestId);
        writer.WriteString("server", exchange.Server.Name.Name);
        writer.WriteBoolean("retryable", problem.Type.Retryable);
        WriteIfGiven(writer, "submission", problem.Submission);
        WriteIfGiven(writer, "key", exchange.Key);
        WriteIfGiven(writer, "winner", problem.Winner);
        WriteIfGiven(writer, "tombstone", problem.Tombstone);
        if (!problem.Sequence.IsNone)
        {
            writer.WriteNumber("sequence", problem.Sequence.Value);
        }

        WriteIfGiven(writer, "messageId", problem.MessageId);
        if (problem.Timestamp is { } timestamp)
        {
            writer.WriteNumber("timestamp", timestamp);
        }

        if (problem.First is { } first)
        {
            writer.WriteNumber("first", first);
        }

        if (problem.Checkpoint is { } checkpoint)
        {
            writer.WriteNumber("checkpoint", checkpoint);
        }

        writer.WriteEndObject();
    }

    private static void WriteIfGiven(Utf8JsonWriter writer, string name, string? value)
    {
        if (value is not null)
        {
            writer.WriteString(name, value);
        }
    }
}
