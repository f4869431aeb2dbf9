using System.CommandLine;
using System.Text.Json;
using Carillon.Client;
using Carillon.CommandLine;

namespace Carillon.Commands;

/// <summary><c>carillon explain</c>: everything that one server knows about a name.</summary>
internal static class ExplainCommand
{
    public static Command Create(CommandRunner runner)
    {
        var target = new Argument<string>("BUCKET/NAME") { Description = "What to explain" };
        var command = new DocumentedCommand(
            "explain", "Show everything known about a name: versions, vectors and rounds of those still open, who holds its chunks")
        {
            Examples = ["carillon explain files/a.txt", "carillon explain files/a.txt -o json"],
        };
        command.Add(target);
        runner.Run(command, async context =>
        {
            using CarillonClient client = context.CreateClient();
            string name = context.Parse.GetRequiredValue(target);
            byte[] json = await client.ExplainAsync(CommandContext.Target(name), context.Cancellation);
            using var document = JsonDocument.Parse(json);
            if (context.IsJson)
            {
                context.WriteJson(json);
            }
            else
            {
                WriteTree(context.Out, document.RootElement, 0);
            }

            bool isKnown = document.RootElement.TryGetProperty("versions", out JsonElement versions) && versions.GetArrayLength() > 0;
            return isKnown ? ExitCode.Ok : throw new ExitException(ExitCode.NotFound, $"nothing is known of {name}");
        });
        return command;
    }

    /// <summary>Any JSON as an indented tree, so that what a newer server knows more is shown too.</summary>
    internal static void WriteTree(TextWriter output, JsonElement element, int depth)
    {
        string indent = new(' ', depth * 2);
        switch (element.ValueKind)
        {
            case JsonValueKind.Object:
                foreach (JsonProperty property in element.EnumerateObject())
                {
                    WriteBranch(output, indent + property.Name, property.Value, depth);
                }

                break;
            case JsonValueKind.Array:
                foreach (JsonElement item in element.EnumerateArray())
                {
                    WriteBranch(output, indent + "-", item, depth);
                }

                break;
            default:
                output.WriteLine(indent + Inline(element));
                break;
        }
    }

    private static void WriteBranch(TextWriter output, string label, JsonElement value, int depth)
    {
        if (Flat(value) is { } flat)
        {
            output.WriteLine($"{label}: {flat}");
            return;
        }

        output.WriteLine(label + ":");
        WriteTree(output, value, depth + 1);
    }

    // Lists and objects of plain values stay on one line, as vectors are read.
    private static string? Flat(JsonElement value)
    {
        switch (value.ValueKind)
        {
            case JsonValueKind.Object when value.EnumerateObject().All(p => IsPlain(p.Value)):
                string pairs = string.Join(' ', value.EnumerateObject().Select(p => $"{p.Name}={Inline(p.Value)}"));
                return pairs.Length < 100 ? pairs : null;
            case JsonValueKind.Array when value.EnumerateArray().All(IsPlain):
                return string.Join(' ', value.EnumerateArray().Select(Inline));
            case JsonValueKind.Object or JsonValueKind.Array:
                return null;
            default:
                return Inline(value);
        }
    }

    private static bool IsPlain(JsonElement value) => value.ValueKind is not (JsonValueKind.Object or JsonValueKind.Array);

    private static string Inline(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.String => value.GetString()!,
        JsonValueKind.Null => "-",
        JsonValueKind.True => "yes",
        JsonValueKind.False => "no",
        _ => value.GetRawText(),
    };
}
