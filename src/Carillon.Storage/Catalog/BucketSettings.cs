using System.Buffers;
using System.Diagnostics.CodeAnalysis;
using System.Text.Json;
using Carillon.Protocols.Cluster;
using Carillon.Protocols.Submissions;

namespace Carillon.Storage.Catalogs;

/// <summary>How a bucket's objects are kept: the content of its record in the bucket <c>.system</c>, as JSON.</summary>
/// <remarks>
/// <code>
/// {"replicas":3,"minimum":null,"versions":10,"chunkSize":1048576,"compression":"none","deduplication":"","ackAgreed":true}
/// </code>
/// Written in this order and without spaces, so that equal settings have equal bytes, and two creates of a bucket with the same settings
/// are seen to be the same.
/// </remarks>
public sealed record BucketSettings
{
    /// <summary>The least chunk size, in bytes.</summary>
    public const int MinChunkSize = 4 << 10;

    private const int MaxJsonBytes = 4096;

    /// <summary>Servers that shall hold each chunk; never under <see cref="Minimum"/>. More survives more, and costs as much more
    /// disk.</summary>
    public int Replicas { get; init; } = 3;

    /// <summary>Servers that must have a chunk durably before its submission goes on; null for as many as the entry quorum.</summary>
    public int? Minimum { get; init; }

    /// <summary>Puts kept of each name, from its next put on (<see cref="ObjectManifest.VersionsKept"/>); tombstones don't count.</summary>
    public int Versions { get; init; } = 10;

    /// <summary>Bytes of a chunk before compression, 4 KiB to 64 MiB. Larger: less to keep track of; smaller: more is found
    /// twice.</summary>
    public int ChunkSize { get; init; } = 1 << 20;

    /// <summary>How chunks are compressed; skipped for a chunk that does not shrink.</summary>
    public Compression Compression { get; init; }

    /// <summary>Chunks are shared among the buckets of one domain; empty: the bucket is its own.</summary>
    public string Deduplication { get; init; } = "";

    /// <summary>False: no write is answered before it is sequenced, and a linearizable read asks the sequencer, which is cheaper than a
    /// quorum; both wait where there is none.</summary>
    public bool AckAgreed { get; init; } = true;

    /// <summary>Faults of these values, in plain words; none if they are good.</summary>
    public IEnumerable<string> Validate()
    {
        if (Replicas is < 1 or > ClusterConfiguration.MaxServers)
        {
            yield return $"replicas is 1 to {ClusterConfiguration.MaxServers}, not {Replicas}";
        }

        if (Minimum is { } minimum && (minimum < 1 || minimum > Replicas))
        {
            yield return $"minimum is 1 to replicas ({Replicas}), not {minimum}";
        }

        if (Versions is < 1 or > ObjectManifest.MaxVersionsKept)
        {
            yield return $"versions is 1 to {ObjectManifest.MaxVersionsKept}, not {Versions}";
        }

        if (ChunkSize < MinChunkSize || ChunkSize > ObjectManifest.MaxChunkLength)
        {
            yield return $"chunkSize is {MinChunkSize} to {ObjectManifest.MaxChunkLength} bytes, not {ChunkSize}";
        }

        if (Compression > Compression.Deflate)
        {
            yield return "compression is none, brotli or deflate";
        }

        if (Deduplication.Length > 0 && ObjectName.FaultOfBucket(Deduplication) is { } fault)
        {
            yield return $"deduplication is the name of a domain, made like a bucket's: {fault}";
        }
    }

    /// <summary>The content of the bucket's record.</summary>
    public byte[] Write()
    {
        var buffer = new ArrayBufferWriter<byte>(256);
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteNumber("replicas", Replicas);
            if (Minimum is { } minimum)
            {
                json.WriteNumber("minimum", minimum);
            }
            else
            {
                json.WriteNull("minimum");
            }

            json.WriteNumber("versions", Versions);
            json.WriteNumber("chunkSize", ChunkSize);
            json.WriteString("compression", Compression switch
            {
                Compression.Brotli => "brotli",
                Compression.Deflate => "deflate",
                _ => "none",
            });
            json.WriteString("deduplication", Deduplication);
            json.WriteBoolean("ackAgreed", AckAgreed);
            json.WriteEndObject();
        }

        return buffer.WrittenSpan.ToArray();
    }

    /// <summary>Reads a record's content; a field that is left out has its default. Where it is not one, says why.</summary>
    public static bool TryRead(ReadOnlySpan<byte> json, [NotNullWhen(true)] out BucketSettings? settings, out string fault)
    {
        settings = null;
        if (json.Length > MaxJsonBytes)
        {
            fault = $"bucket settings have at most {MaxJsonBytes} bytes";
            return false;
        }

        try
        {
            var reader = new Utf8JsonReader(json);
            BucketSettings read = Read(ref reader);
            fault = read.Validate().FirstOrDefault("");
            settings = fault.Length == 0 ? read : null;
        }
        catch (JsonException exception)
        {
            fault = exception.Message;
        }
        catch (InvalidOperationException)
        {
            fault = "text is not well-formed UTF-8";
        }

        return settings is not null;
    }

    private static BucketSettings Read(ref Utf8JsonReader reader)
    {
        var settings = new BucketSettings();
        if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject)
        {
            throw new JsonException("bucket settings are a JSON object");
        }

        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string name = reader.GetString()!;
            reader.Read();
            settings = name switch
            {
                "replicas" => settings with { Replicas = Number(ref reader, name) },
                "minimum" => settings with { Minimum = reader.TokenType == JsonTokenType.Null ? null : Number(ref reader, name) },
                "versions" => settings with { Versions = Number(ref reader, name) },
                "chunkSize" => settings with { ChunkSize = Number(ref reader, name) },
                "compression" => settings with { Compression = CompressionOf(Text(ref reader, name)) },
                "deduplication" => settings with { Deduplication = Text(ref reader, name) },
                "ackAgreed" => settings with { AckAgreed = Truth(ref reader, name) },
                _ => throw new JsonException($"there is no bucket setting '{name}'"),
            };
        }

        // The reader itself refuses anything behind the object.
        reader.Read();
        return settings;
    }

    private static int Number(ref Utf8JsonReader reader, string name) =>
        reader.TokenType == JsonTokenType.Number
            && reader.TryGetInt32(out int value) ? value : throw new JsonException($"{name} is a whole number");

    private static bool Truth(ref Utf8JsonReader reader, string name) =>
        reader.TokenType is JsonTokenType.True or JsonTokenType.False
            ? reader.GetBoolean() : throw new JsonException($"{name} is true or false");

    private static string Text(ref Utf8JsonReader reader, string name) =>
        reader.TokenType == JsonTokenType.String ? reader.GetString()! : throw new JsonException($"{name} is a text");

    private static Compression CompressionOf(string text) => text switch
    {
        "none" => Compression.None,
        "brotli" => Compression.Brotli,
        "deflate" => Compression.Deflate,
        _ => throw new JsonException("compression is none, brotli or deflate"),
    };
}
