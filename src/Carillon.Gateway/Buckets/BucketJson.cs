using Carillon.Protocols;
using System.Text.Json;
using Carillon.Gateway.Json;
using Carillon.Protocols.Submissions;
using Carillon.Storage.Catalogs;

namespace Carillon.Gateway.Buckets;

/// <summary>A request's settings: what is given; the rest stays as it is, or as it is by default.</summary>
internal sealed record BucketChange
{
    public int? Replicas { get; set; }

    public int? Minimum { get; set; }

    public int? Versions { get; set; }

    public int? ChunkSize { get; set; }

    public Compression? Compression { get; set; }

    public string? Deduplication { get; set; }

    /// <summary>False: acknowledge by the feed only.</summary>
    public bool? AckAgreed { get; set; }

    /// <summary>The settings that come out over those before.</summary>
    public BucketSettings Over(BucketSettings before) => new()
    {
        Replicas = Replicas ?? before.Replicas,
        Minimum = Minimum ?? before.Minimum,
        Versions = Versions ?? before.Versions,
        ChunkSize = ChunkSize ?? before.ChunkSize,
        Compression = Compression ?? before.Compression,
        Deduplication = Deduplication ?? before.Deduplication,
        AckAgreed = AckAgreed ?? before.AckAgreed,
    };
}

/// <summary>Buckets as JSON, in and out.</summary>
internal static class BucketJson
{
    private static readonly string[] KnownFields =
        ["replicas", "minimum", "versions", "chunkSize", "compression", "deduplication", "ackAgreed"];

    /// <summary>Reads settings; null with the reason where they are not right. No body at all means the defaults.</summary>
    public static BucketChange? Read(ReadOnlySpan<byte> json, out string fault)
    {
        fault = "";
        return json.IsEmpty ? new BucketChange() : JsonInput.Read(json, Parse, out fault);
    }

    /// <summary>Writes one bucket, with how many servers its contents survive the loss of.</summary>
    public static void Write(Utf8JsonWriter writer, string name, BucketSettings settings, int quorum)
    {
        writer.WriteStartObject();
        WriteFields(writer, name, settings, quorum);
        writer.WriteEndObject();
    }

    /// <summary>The same without the object around it.</summary>
    public static void WriteFields(Utf8JsonWriter writer, string name, BucketSettings settings, int quorum)
    {
        writer.WriteString("name", name);
        writer.WriteNumber("replicas", settings.Replicas);
        if (settings.Minimum is { } minimum)
        {
            writer.WriteNumber("minimum", minimum);
        }
        else
        {
            writer.WriteNull("minimum");
        }

        writer.WriteNumber("versions", settings.Versions);
        writer.WriteNumber("chunkSize", settings.ChunkSize);
        writer.WriteString("compression", NameOf(settings.Compression));
        writer.WriteString("deduplication", settings.Deduplication);
        writer.WriteBoolean("ackAgreed", settings.AckAgreed);
        writer.WriteNumber("survives", Math.Min(settings.Minimum ?? quorum, quorum) - 1);
    }

    private static BucketChange Parse(ref Utf8JsonReader reader)
    {
        JsonInput.Expect(ref reader, JsonTokenType.StartObject, "it");
        var change = new BucketChange();
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

            switch (field)
            {
                case "replicas":
                    change.Replicas = JsonInput.Number(ref reader, field);
                    break;
                case "minimum":
                    change.Minimum = JsonInput.Number(ref reader, field);
                    break;
                case "versions":
                    change.Versions = JsonInput.Number(ref reader, field);
                    break;
                case "chunkSize":
                    change.ChunkSize = JsonInput.Number(ref reader, field);
                    break;
                case "compression":
                    change.Compression = CompressionOf(JsonInput.Text(ref reader, field));
                    break;
                case "deduplication":
                    change.Deduplication = JsonInput.Text(ref reader, field);
                    break;
                case "ackAgreed":
                    change.AckAgreed = JsonInput.Truth(ref reader, field);
                    break;
                default:
                    throw JsonInput.Unknown(field, string.Join(", ", KnownFields));
            }
        }

        return change;
    }

    private static Compression CompressionOf(string text) => text switch
    {
        "none" => Compression.None,
        "brotli" => Compression.Brotli,
        "deflate" => Compression.Deflate,
        _ => throw new JsonInputException($"'compression' is 'none', 'brotli' or 'deflate', not '{Shown.Text(text)}'"),
    };

    private static string NameOf(Compression compression) => compression switch
    {
        Compression.Brotli => "brotli",
        Compression.Deflate => "deflate",
        _ => "none",
    };
}
