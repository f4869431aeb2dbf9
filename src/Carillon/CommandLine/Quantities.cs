using System.Globalization;

namespace Carillon.CommandLine;

/// <summary>Durations and sizes as people write them.</summary>
internal static class Quantities
{
    private static readonly (string Suffix, double Seconds)[] Durations =
        [("ms", 0.001), ("us", 1e-6), ("s", 1), ("m", 60), ("h", 3600), ("d", 86400)];

    private static readonly (string Suffix, long Bytes)[] Sizes =
    [
        ("KiB", 1L << 10), ("MiB", 1L << 20), ("GiB", 1L << 30), ("TiB", 1L << 40),
        ("KB", 1000), ("MB", 1_000_000), ("GB", 1_000_000_000), ("TB", 1_000_000_000_000),
        ("K", 1L << 10), ("M", 1L << 20), ("G", 1L << 30), ("T", 1L << 40), ("B", 1),
    ];

    /// <summary>Reads <c>500ms</c>, <c>30s</c>, <c>2m</c>, <c>1h</c>, <c>1d</c>; a bare number is seconds.</summary>
    public static bool TryDuration(string text, out TimeSpan duration)
    {
        duration = default;
        text = text.Trim();
        (string suffix, double unit) = Durations.FirstOrDefault(d => text.EndsWith(d.Suffix, StringComparison.Ordinal), ("", 1));
        ReadOnlySpan<char> digits = text.AsSpan(0, text.Length - suffix.Length);
        if (!double.TryParse(digits, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double value)
            || !(value * unit <= TimeSpan.MaxValue.TotalSeconds / 2))
        {
            return false;
        }

        duration = TimeSpan.FromSeconds(value * unit);
        return true;
    }

    /// <summary>Reads <c>64KiB</c>, <c>1MB</c>, <c>1G</c>; a bare number is bytes, K and Ki are 1,024, KB is 1,000.</summary>
    public static bool TrySize(string text, out long bytes)
    {
        bytes = 0;
        text = text.Trim();
        (string suffix, long unit) = Sizes.FirstOrDefault(s => text.EndsWith(s.Suffix, StringComparison.OrdinalIgnoreCase), ("", 1));
        ReadOnlySpan<char> digits = text.AsSpan(0, text.Length - suffix.Length);
        if (!double.TryParse(digits, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double value)
            || !(value * unit < long.MaxValue))
        {
            return false;
        }

        bytes = (long)(value * unit);
        return true;
    }

    /// <summary>Bytes for people.</summary>
    public static string Size(double bytes)
    {
        string[] units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
        int unit = 0;
        while (bytes >= 1024 && unit < units.Length - 1)
        {
            bytes /= 1024;
            unit++;
        }

        return string.Create(CultureInfo.InvariantCulture, $"{bytes:0.#} {units[unit]}");
    }

    /// <summary>A duration for people.</summary>
    public static string Duration(TimeSpan duration) => duration.TotalMilliseconds switch
    {
        < 1 => string.Create(CultureInfo.InvariantCulture, $"{duration.TotalMicroseconds:0} µs"),
        < 1000 => string.Create(CultureInfo.InvariantCulture, $"{duration.TotalMilliseconds:0.##} ms"),
        < 60_000 => string.Create(CultureInfo.InvariantCulture, $"{duration.TotalSeconds:0.##} s"),
        _ when Whole(duration, TimeSpan.FromDays(1)) is { } days => $"{days} d",
        _ when Whole(duration, TimeSpan.FromHours(1)) is { } hours => $"{hours} h",
        _ when Whole(duration, TimeSpan.FromMinutes(1)) is { } minutes => $"{minutes} m",
        _ => duration.ToString("c", CultureInfo.InvariantCulture),
    };

    private static string? Whole(TimeSpan duration, TimeSpan unit) =>
        duration.Ticks % unit.Ticks == 0 ? (duration.Ticks / unit.Ticks).ToString(CultureInfo.InvariantCulture) : null;
}
