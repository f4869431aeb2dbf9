using System.Globalization;
using System.Net;
using Carillon.CommandLine;
using Carillon.Protocols;

namespace Carillon.Options;

/// <summary>
/// Values of options as text: in the environment, on the command line, and in listings. A file's JSON is read the same way.
/// </summary>
internal static class OptionText
{
    /// <summary>True for types that one text can stand for.</summary>
    public static bool IsScalar(Type type)
    {
        Type plain = Nullable.GetUnderlyingType(type) ?? type;
        return plain.IsEnum || plain == typeof(string) || plain == typeof(bool) || plain == typeof(int) || plain == typeof(uint)
            || plain == typeof(long)
            || plain == typeof(ulong) || plain == typeof(double) || plain == typeof(TimeSpan) || plain == typeof(IPAddress);
    }

    /// <summary>Reads a value, or tells in a few words what it should be.</summary>
    public static bool TryParse(Type type, string text, out object? value, out string expected)
    {
        Type plain = Nullable.GetUnderlyingType(type) ?? type;
        value = null;
        expected = "";
        if (plain != type && text is "" or "null")
        {
            return true;
        }

        (value, expected) = plain switch
        {
            _ when plain == typeof(string) => (text, ""),
            _ when plain == typeof(bool) => (Bool(text), "true or false"),
            _ when plain == typeof(TimeSpan) => (Quantities.TryDuration(text, out TimeSpan span)
                ? span
                : null, "a duration such as 500ms, 30s or 1h"),
            _ when plain == typeof(double) => (Number<double>(text, NumberStyles.Float), "a number"),
            _ when plain == typeof(IPAddress) => (IPAddress.TryParse(text, out IPAddress? address) ? address : null, "an IP address"),
            _ when plain.IsEnum => (EnumValue(plain, text), "one of " + string.Join(", ", Enum.GetNames(plain).Select(CamelCase))),
            _ => (Whole(plain, text), "a whole number, or a size such as 64KiB"),
        };
        return value is not null;
    }

    /// <summary>Writes a value as it would be read.</summary>
    public static string Format(object? value) => value switch
    {
        null => "",
        bool flag => flag ? "true" : "false",
        TimeSpan span => Duration(span),
        Enum word => CamelCase(word.ToString()),
        DiskId disk => disk.ToString(),
        IFormattable number => number.ToString(null, CultureInfo.InvariantCulture),
        _ => value.ToString() ?? "",
    };

    /// <summary>An identifier as it is written in files.</summary>
    public static string CamelCase(string name) => name.Length == 0 ? name : char.ToLowerInvariant(name[0]) + name[1..];

    private static string Duration(TimeSpan span)
    {
        double ms = span.TotalMilliseconds;
        return ms switch
        {
            _ when ms % 3_600_000 == 0 && ms != 0 => string.Create(CultureInfo.InvariantCulture, $"{span.TotalHours}h"),
            _ when ms % 60_000 == 0 && ms != 0 => string.Create(CultureInfo.InvariantCulture, $"{span.TotalMinutes}m"),
            _ when ms % 1000 == 0 => string.Create(CultureInfo.InvariantCulture, $"{span.TotalSeconds}s"),
            _ => string.Create(CultureInfo.InvariantCulture, $"{ms}ms"),
        };
    }

    private static object? Bool(string text) => text.ToLowerInvariant() switch
    {
        "true" or "on" or "yes" or "1" => true,
        "false" or "off" or "no" or "0" => false,
        _ => null,
    };

    private static object? EnumValue(Type type, string text) =>
        Enum.GetNames(type).FirstOrDefault(n => string.Equals(n, text, StringComparison.OrdinalIgnoreCase)) is { } name
            ? Enum.Parse(type, name)
            : null;

    private static object? Whole(Type type, string text)
    {
        bool good = long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long number)
            || Quantities.TrySize(text, out number);
        if (!good)
        {
            return type == typeof(ulong) && ulong.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out ulong large)
                ? large
                : null;
        }

        return type switch
        {
            _ when type == typeof(int) => number is >= int.MinValue and <= int.MaxValue ? (int)number : null,
            _ when type == typeof(uint) => number is >= 0 and <= uint.MaxValue ? (uint)number : null,
            _ when type == typeof(ulong) => number >= 0 ? (ulong)number : null,
            _ => number,
        };
    }

    private static object? Number<T>(string text, NumberStyles style)
        where T : struct, System.Numerics.INumber<T> =>
        T.TryParse(text, style, CultureInfo.InvariantCulture, out T number) ? number : null;
}
