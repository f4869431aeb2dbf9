using System.Globalization;
using System.Text.Json;
using Carillon.Gateway.Json;
using Carillon.Gateway.Services;
using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Runtime.Groups;

namespace Carillon.Gateway.Groups;

/// <summary>Groups as JSON, in and out.</summary>
internal static class GroupJson
{
    /// <summary>Ten years: what a field of seconds may say at most, far below what a span of time can hold.</summary>
    private const ulong MaxRetainSeconds = 315_360_000;

    private const string KnownFields = "durability, retainTime, retainBytes, lifetime, fifo";

    /// <summary>Reads settings over the defaults; null with the reason where they are not right.</summary>
    public static GroupSettings? Read(ReadOnlySpan<byte> json, out string fault)
    {
        fault = "";
        GroupSettings? settings = json.IsEmpty ? new GroupSettings() : JsonInput.Read(json, Parse, out fault);
        if (settings?.Validate() is { Count: > 0 } faults)
        {
            fault = string.Join(" ", faults).TrimEnd('.');
            return null;
        }

        return settings;
    }

    /// <summary>Writes what this server knows of a group.</summary>
    public static void Write(Utf8JsonWriter writer, GroupStatus status)
    {
        writer.WriteStartObject();
        WriteFields(writer, status.Name, status.Settings);
        ServiceJson.WriteNode(writer, "sequencer", status.Sequencer);
        writer.WriteNumber("epoch", status.Epoch);
        writer.WriteNumber("committed", status.Committed.Value);
        writer.WriteNumber("first", status.First.Value);
        if (status.Memory is { } memory)
        {
            writer.WriteNumber("memoryBytes", memory.Bytes);
            writer.WriteNumber("memoryMessages", memory.Messages);
        }

        writer.WriteString("id", IdOf(status));
        if (status.Trouble.Length > 0)
        {
            writer.WriteString("trouble", status.Trouble);
        }

        writer.WriteEndObject();
    }

    /// <summary>A group's identity as text: 16 hexadecimal digits.</summary>
    public static string IdOf(GroupStatus status) => status.Id.ToString("x16", CultureInfo.InvariantCulture);

    /// <summary>Writes name and settings into an object that is open.</summary>
    public static void WriteFields(Utf8JsonWriter writer, GroupName name, GroupSettings settings)
    {
        writer.WriteString("name", name.Name);
        writer.WriteString("durability", settings.Durability == GroupDurability.Memory ? "memory" : "durable");
        writer.WriteNumber("retainTime", settings.RetainTime.TotalSeconds);
        writer.WriteNumber("retainBytes", settings.RetainBytes);
        writer.WriteNumber("lifetime", settings.Lifetime);
        writer.WriteBoolean("fifo", settings.Fifo);
    }

    private static GroupSettings Parse(ref Utf8JsonReader reader)
    {
        JsonInput.Expect(ref reader, JsonTokenType.StartObject, "it");
        var settings = new GroupSettings();
        var seen = new HashSet<string>(StringComparer.Ordinal);
        while (JsonInput.NextField(ref reader, out string field))
        {
            if (!seen.Add(field))
            {
                throw new JsonInputException($"the field '{Shown.Text(field)}' is given twice");
            }

            settings = field switch
            {
                "durability" => settings with { Durability = Durability(JsonInput.Text(ref reader, field)) },
                "retainTime" => settings with { RetainTime = TimeSpan.FromSeconds(Count(ref reader, field, MaxRetainSeconds)) },
                "retainBytes" => settings with { RetainBytes = (long)Count(ref reader, field, long.MaxValue) },
                "lifetime" => settings with { Lifetime = JsonInput.Count(ref reader, field) },
                "fifo" => settings with { Fifo = JsonInput.Truth(ref reader, field) },
                _ => throw JsonInput.Unknown(field, KnownFields),
            };
        }

        return settings;
    }

    private static ulong Count(ref Utf8JsonReader reader, string field, ulong most)
    {
        ulong value = JsonInput.Count(ref reader, field);
        return value <= most ? value : throw new JsonInputException($"'{field}' is at most {most}");
    }

    private static GroupDurability Durability(string text) => text switch
    {
        "durable" => GroupDurability.Durable,
        "memory" => GroupDurability.Memory,
        _ => throw new JsonInputException($"'durability' is durable or memory, not '{Shown.Text(text)}'"),
    };
}
