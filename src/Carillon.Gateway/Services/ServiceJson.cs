using System.Collections.Immutable;
using System.Text.Json;
using Carillon.Gateway.Json;
using Carillon.Protocols;
using Carillon.Protocols.Primacy;
using Carillon.Runtime.Services;

namespace Carillon.Gateway.Services;

/// <summary>Services as JSON, in and out.</summary>
internal static class ServiceJson
{
    private const int MaxArguments = 1000;
    private const int MaxArgumentsBytes = 64 << 10;
    private const int MaxGraceMilliseconds = 600_000;

    private static readonly string[] KnownFields =
        ["providers", "prefer", "secondaries", "with", "command", "secondaryCommand", "checkpointFile", "graceMs"];

    /// <summary>Reads a definition; null with the reason where it is not right.</summary>
    public static ServiceDefinition? Read(ReadOnlySpan<byte> json, ServiceName name, out string fault) =>
        JsonInput.Read(json, (ref Utf8JsonReader reader) => Parse(ref reader, name), out fault);

    /// <summary>Reads where a service is to be moved: <c>{"target":"s2"}</c>, or nothing at all.</summary>
    public static Target? ReadTarget(ReadOnlySpan<byte> json, out string fault)
    {
        fault = "";
        return json.IsEmpty ? new Target(default) : JsonInput.Read(json, ParseTarget, out fault);
    }

    /// <summary>Writes what this server knows of a service.</summary>
    public static void Write(Utf8JsonWriter writer, ServiceStatus status)
    {
        ServiceDefinition definition = status.Definition;
        writer.WriteStartObject();
        writer.WriteString("name", definition.Name.Name);
        WriteNode(writer, "primary", status.Primary);
        writer.WriteNumber("epoch", status.Epoch.Value);
        writer.WriteString("state", status.State);
        writer.WriteStartArray("roles");
        foreach ((NodeId node, ServiceRole role) in status.Roles)
        {
            writer.WriteStartObject();
            writer.WriteString("node", node.Name);
            writer.WriteString("role", NameOf(role));
            writer.WriteEndObject();
        }

        writer.WriteEndArray();
        WriteDefinition(writer, definition);
        writer.WriteStartArray("history");
        foreach (PrimaryChange change in status.History)
        {
            Write(writer, change);
        }

        writer.WriteEndArray();
        writer.WriteEndObject();
    }

    /// <summary>A role's word.</summary>
    public static string NameOf(ServiceRole role) => role switch
    {
        ServiceRole.Primary => "primary",
        ServiceRole.Secondary => "secondary",
        _ => "spare",
    };

    private static void WriteDefinition(Utf8JsonWriter writer, ServiceDefinition definition)
    {
        writer.WriteStartArray("providers");
        foreach (NodeId provider in definition.Providers)
        {
            writer.WriteStringValue(provider.Name);
        }

        writer.WriteEndArray();
        WriteNode(writer, "prefer", definition.Preferred);
        writer.WriteNumber("secondaries", definition.WantedSecondaries);
        if (definition.With.IsNone)
        {
            writer.WriteNull("with");
        }
        else
        {
            writer.WriteString("with", definition.With.Name);
        }

        WriteTexts(writer, "command", definition.Command.Arguments);
        WriteTexts(writer, "secondaryCommand", definition.Command.Secondary);
        writer.WriteString("checkpointFile", definition.Command.CheckpointFile);
        writer.WriteNumber("graceMs", (long)definition.Command.Grace.TotalMilliseconds);
    }

    private static void Write(Utf8JsonWriter writer, PrimaryChange change)
    {
        writer.WriteStartObject();
        writer.WriteNumber("epoch", change.Epoch.Value);
        WriteNode(writer, "primary", change.Primary);
        writer.WriteString("at", DateTimeOffset.FromUnixTimeMilliseconds(change.At.Milliseconds).UtcDateTime);
        writer.WriteString("reason", change.Reason);
        if (change.Gap is { } gap)
        {
            writer.WriteNumber("gapMs", Math.Round(gap.TotalMilliseconds));
        }
        else
        {
            writer.WriteNull("gapMs");
        }

        writer.WriteEndObject();
    }

    public static void WriteNode(Utf8JsonWriter writer, string name, NodeId node)
    {
        if (node.IsNone)
        {
            writer.WriteNull(name);
        }
        else
        {
            writer.WriteString(name, node.Name);
        }
    }

    private static void WriteTexts(Utf8JsonWriter writer, string name, ImmutableArray<string> texts)
    {
        writer.WriteStartArray(name);
        foreach (string text in texts)
        {
            writer.WriteStringValue(text);
        }

        writer.WriteEndArray();
    }

    private static ServiceDefinition Parse(ref Utf8JsonReader reader, ServiceName name)
    {
        JsonInput.Expect(ref reader, JsonTokenType.StartObject, "it");
        var definition = new ServiceDefinition { Name = name, Providers = [] };
        var seen = new HashSet<string>(StringComparer.Ordinal);
        while (JsonInput.NextField(ref reader, out string field))
        {
            if (!seen.Add(field))
            {
                throw new JsonInputException($"the field '{Shown.Text(field)}' is given twice");
            }

            if (reader.TokenType == JsonTokenType.Null && KnownFields.Contains(field))
            {
                continue;
            }

            definition = With(definition, ref reader, field);
        }

        return FaultOf(definition) is { } fault ? throw new JsonInputException(fault) : definition;
    }

    private static ServiceDefinition With(ServiceDefinition definition, ref Utf8JsonReader reader, string field)
    {
        ServiceCommand command = definition.Command;
        return field switch
        {
            "providers" => definition with { Providers = [.. Texts(ref reader, field).Select(Node)] },
            "prefer" => definition with { Preferred = Node(JsonInput.Text(ref reader, field)) },
            "secondaries" => definition with { WantedSecondaries = JsonInput.Number(ref reader, field) },
            "with" => definition with { With = Service(JsonInput.Text(ref reader, field)) },
            "command" => definition with { Command = command with { Arguments = Texts(ref reader, field) } },
            "secondaryCommand" => definition with { Command = command with { Secondary = Texts(ref reader, field) } },
            "checkpointFile" => definition with { Command = command with { CheckpointFile = JsonInput.Text(ref reader, field) } },
            "graceMs" => definition with
            {
                Command = command with { Grace = TimeSpan.FromMilliseconds(JsonInput.Number(ref reader, field)) },
            },
            _ => throw JsonInput.Unknown(field, string.Join(", ", KnownFields)),
        };
    }

    private static string? FaultOf(ServiceDefinition definition)
    {
        ServiceCommand command = definition.Command;
        return definition.Providers.Length is 0 or > ServiceDefinition.MaxProviders
                ? $"'providers' has 1 to {ServiceDefinition.MaxProviders} servers"
            : definition.Providers.Distinct().Count() < definition.Providers.Length ? "'providers' names a server twice"
            : !definition.Preferred.IsNone && !definition.Providers.Contains(definition.Preferred)
                ? "'prefer' is not one of 'providers'"
            : definition.WantedSecondaries < 0 || definition.WantedSecondaries >= definition.Providers.Length
                ? "'secondaries' is at least 0 and less than the providers"
            : definition.With == definition.Name ? "'with' names the service itself"
            : command.Arguments.IsEmpty && !(command.Secondary.IsEmpty && command.CheckpointFile.Length == 0)
                ? "'secondaryCommand' and 'checkpointFile' go with a 'command'"
            : command.Grace < TimeSpan.Zero || command.Grace > TimeSpan.FromMilliseconds(MaxGraceMilliseconds)
                ? $"'graceMs' is from 0 to {MaxGraceMilliseconds}"
            : FaultOf(command.Arguments) ?? FaultOf(command.Secondary) ?? CheckpointFileName.FaultOf(command.CheckpointFile);
    }

    private static string? FaultOf(ImmutableArray<string> command) =>
        command.Length > MaxArguments || command.Sum(text => text.Length) > MaxArgumentsBytes
            ? $"a command has at most {MaxArguments} arguments of {MaxArgumentsBytes} characters in all"
        : command.Any(text => text.Contains('\0')) ? "a command's arguments have no null character"
        : !command.IsEmpty && command[0].Length == 0 ? "a command's program has a name"
        : null;

    private static Target ParseTarget(ref Utf8JsonReader reader)
    {
        JsonInput.Expect(ref reader, JsonTokenType.StartObject, "it");
        NodeId target = default;
        while (JsonInput.NextField(ref reader, out string field))
        {
            if (field != "target")
            {
                throw JsonInput.Unknown(field, "target");
            }

            target = reader.TokenType == JsonTokenType.Null ? default : Node(JsonInput.Text(ref reader, field));
        }

        return new Target(target);
    }

    private static ImmutableArray<string> Texts(ref Utf8JsonReader reader, string field)
    {
        JsonInput.Expect(ref reader, JsonTokenType.StartArray, $"'{field}'");
        var texts = ImmutableArray.CreateBuilder<string>();
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            texts.Add(JsonInput.Text(ref reader, field));
            if (texts.Count > MaxArguments)
            {
                throw new JsonInputException($"'{field}' has more than {MaxArguments} entries");
            }
        }

        return texts.DrainToImmutable();
    }

    private static NodeId Node(string text) => NodeId.TryParse(text.AsSpan(), out NodeId node)
        ? node : throw new JsonInputException($"'{Shown.Text(text)}' is not a server's name");

    private static ServiceName Service(string text) => ServiceName.TryParse(text, out ServiceName service)
        ? service : throw new JsonInputException($"'{Shown.Text(text)}' is not a service's name");

    /// <summary>Where a service is to be moved; none: to the best of the others.</summary>
    internal sealed record Target(NodeId Node);
}
