using System.Text;

namespace Carillon.Gateway.Metrics;

/// <summary>
/// How instruments are called in Prometheus: words joined by underscores, then the unit in full, then <c>_total</c> for counters.
/// </summary>
internal static class PrometheusNames
{
    /// <summary>The name of an instrument's metric.</summary>
    public static string Of(string instrument, string? unit, bool counter)
    {
        string name = Sanitized(instrument);
        string suffix = UnitOf(unit);
        if (suffix.Length > 0 && !name.EndsWith(suffix, StringComparison.Ordinal))
        {
            name += suffix;
        }

        return counter && !name.EndsWith("_total", StringComparison.Ordinal) ? name + "_total" : name;
    }

    /// <summary>Only what a name may have.</summary>
    public static string Sanitized(string name)
    {
        var clean = new StringBuilder(name.Length);
        foreach (char c in name)
        {
            bool allowed = char.IsAsciiLetterOrDigit(c) || c == '_';
            clean.Append(allowed && !(clean.Length == 0 && char.IsAsciiDigit(c)) ? c : '_');
        }

        return clean.ToString();
    }

    private static string UnitOf(string? unit) => unit switch
    {
        null or "" => "",
        "s" => "_seconds",
        "ms" => "_milliseconds",
        "us" => "_microseconds",
        "By" => "_bytes",
        "1" => "_ratio",
        _ when unit[0] == '{' => "",
        _ => "_" + Sanitized(unit),
    };
}
