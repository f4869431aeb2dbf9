using Carillon.Protocols;
using System.Text.Json;

namespace Carillon.Gateway.Json;

/// <summary>A JSON text from outside that is not what it should be; thrown and caught within the parser of one text.</summary>
internal sealed class JsonInputException : Exception
{
    public JsonInputException()
    {
    }

    public JsonInputException(string message) : base(message)
    {
    }

    public JsonInputException(string message, Exception inner) : base(message, inner)
    {
    }

    /// <summary>True where a limit is exceeded, and the text is not otherwise wrong.</summary>
    public bool Exceeds { get; init; }
}

/// <summary>
/// Steps of reading JSON by hand, where an error must name the field that it is about. Each method is called on a value's first token and
/// leaves the reader on its last.
/// </summary>
internal static class JsonInput
{
    /// <summary>Nesting beyond what any request here has.</summary>
    private static readonly JsonReaderOptions Options = new() { MaxDepth = 8 };

    /// <summary>What a parser does with a text.</summary>
    public delegate T Parser<out T>(ref Utf8JsonReader reader);

    /// <summary>Runs a parser over a whole text; null with the reason where the text is not right.</summary>
    public static T? Read<T>(ReadOnlySpan<byte> json, Parser<T> parser, out string fault)
        where T : class => Read(json, parser, out fault, out _);

    /// <summary>The same, and whether the reason is a limit.</summary>
    public static T? Read<T>(ReadOnlySpan<byte> json, Parser<T> parser, out string fault, out bool exceeds)
        where T : class
    {
        fault = "";
        exceeds = false;
        try
        {
            ReadOnlySpan<byte> mark = [0xEF, 0xBB, 0xBF];
            var reader = new Utf8JsonReader(json.StartsWith(mark) ? json[mark.Length..] : json, Options);
            reader.Read();
            T value = parser(ref reader);
            return reader.Read() ? throw new JsonInputException("there is more behind its end") : value;
        }
        catch (JsonInputException wrong)
        {
            fault = wrong.Message;
            exceeds = wrong.Exceeds;
        }
        catch (JsonException wrong)
        {
            fault = $"it is not JSON (line {wrong.LineNumber + 1}, byte {wrong.BytePositionInLine + 1})";
        }
        catch (InvalidOperationException)
        {
            // What the reader says where an escape or a byte sequence in a string is half a character.
            fault = "a string in it is not well-formed Unicode";
        }

        return null;
    }

    /// <summary>The object's or array's start, or an error.</summary>
    public static void Expect(ref Utf8JsonReader reader, JsonTokenType type, string what)
    {
        if (reader.TokenType != type)
        {
            throw new JsonInputException($"{what} is not {(type == JsonTokenType.StartObject ? "an object" : "an array")}");
        }
    }

    /// <summary>Goes on to the next field of an object; false at its end.</summary>
    public static bool NextField(ref Utf8JsonReader reader, out string field)
    {
        reader.Read();
        if (reader.TokenType == JsonTokenType.EndObject)
        {
            field = "";
            return false;
        }

        field = reader.GetString()!;
        reader.Read();
        return true;
    }

    /// <summary>A string.</summary>
    public static string Text(ref Utf8JsonReader reader, string field) => reader.TokenType == JsonTokenType.String
        ? reader.GetString()! : throw new JsonInputException($"'{Shown.Text(field)}' is not a string");

    /// <summary>A whole number; its bounds are its owner's to check.</summary>
    public static int Number(ref Utf8JsonReader reader, string field) =>
        reader.TokenType == JsonTokenType.Number && reader.TryGetInt32(out int value)
        ? value : throw new JsonInputException($"'{field}' is not a whole number, or is far too large");

    /// <summary>A whole number of any size from 0 on; its bounds are its owner's to check.</summary>
    public static ulong Count(ref Utf8JsonReader reader, string field) =>
        reader.TokenType == JsonTokenType.Number && reader.TryGetUInt64(out ulong value)
        ? value : throw new JsonInputException($"'{field}' is not a whole number from 0 on");

    /// <summary>True or false.</summary>
    public static bool Truth(ref Utf8JsonReader reader, string field) => reader.TokenType is JsonTokenType.True or JsonTokenType.False
        ? reader.GetBoolean() : throw new JsonInputException($"'{field}' is neither true nor false");

    /// <summary>The error about a field that nobody knows.</summary>
    public static JsonInputException Unknown(string field, string known) =>
        new($"the field '{Shown.Text(field)}' is not known; known are {known}");
}
