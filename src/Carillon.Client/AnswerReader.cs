using System.Text.Json;
using System.Text.Json.Serialization.Metadata;

namespace Carillon.Client;

/// <summary>Reads one kind of answer.</summary>
/// <exception cref="InvalidDataException">It is not one.</exception>
internal delegate T AnswerReader<out T>(ReadOnlySpan<byte> json)
    where T : class;

/// <summary>
/// Readers of answers. The put's is written out: it is read tens of thousands of times a second, or once by a command whose whole
/// life is shorter than the generated reader's first use.
/// </summary>
internal static class AnswerReaders
{
    public static readonly AnswerReader<PutAnswer> Put = ReadPut;

    /// <summary>The generated reader of a type.</summary>
    public static AnswerReader<T> Of<T>(JsonTypeInfo<T> type)
        where T : class => json => Transport.Parse(json, type);

    private static PutAnswer ReadPut(ReadOnlySpan<byte> json)
    {
        try
        {
            return ReadPut(new Utf8JsonReader(json));
        }
        catch (Exception fault) when (fault is JsonException or InvalidOperationException or FormatException)
        {
            throw new InvalidDataException("the server's answer is not what this version understands: " + fault.Message, fault);
        }
    }

    private static PutAnswer ReadPut(Utf8JsonReader reader)
    {
        string uid = "";
        string sha256 = "";
        string submission = "";
        long? sequence = null;
        long size = 0;
        reader.Read();
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            if (reader.ValueTextEquals("uid"u8))
            {
                uid = Text(ref reader);
            }
            else if (reader.ValueTextEquals("sha256"u8))
            {
                sha256 = Text(ref reader);
            }
            else if (reader.ValueTextEquals("submission"u8))
            {
                submission = Text(ref reader);
            }
            else if (reader.ValueTextEquals("size"u8))
            {
                reader.Read();
                size = reader.GetInt64();
            }
            else if (reader.ValueTextEquals("sequence"u8))
            {
                reader.Read();
                sequence = reader.TokenType == JsonTokenType.Null ? null : reader.GetInt64();
            }
            else
            {
                reader.Skip();
            }
        }

        return reader.TokenType == JsonTokenType.EndObject && uid.Length > 0
            ? new PutAnswer { Uid = uid, Sequence = sequence, Size = size, Sha256 = sha256, Submission = submission }
            : throw new InvalidDataException("the server's answer to a put has no UID");
    }

    private static string Text(ref Utf8JsonReader reader)
    {
        reader.Read();
        return reader.GetString() ?? "";
    }
}
