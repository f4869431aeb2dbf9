using System.Globalization;

namespace Carillon.Gateway.Objects;

/// <summary>What a <c>Range</c> header means for a content of some size.</summary>
internal enum RangeVerdict
{
    /// <summary>All of it: no range, one that is not understood, or several (RFC 9110 section 14.2 lets a server do so).</summary>
    Whole,

    /// <summary>One part of it.</summary>
    Part,

    /// <summary>Nothing of it: the range starts behind its end.</summary>
    NotSatisfiable,
}

/// <summary>A run of bytes.</summary>
/// <param name="Offset">The first byte.</param>
/// <param name="Length">How many.</param>
internal readonly record struct ByteRange(long Offset, long Length)
{
    private const string Unit = "bytes=";

    /// <summary>Reads a header against a content's size.</summary>
    public static RangeVerdict Of(string? header, long size, out ByteRange range)
    {
        range = new ByteRange(0, size);
        if (header is null || !header.StartsWith(Unit, StringComparison.OrdinalIgnoreCase))
        {
            return RangeVerdict.Whole;
        }

        ReadOnlySpan<char> spec = header.AsSpan(Unit.Length).Trim(" \t");
        int dash = spec.IndexOf('-');
        if (dash < 0 || spec.Contains(','))
        {
            return RangeVerdict.Whole;
        }

        ReadOnlySpan<char> first = spec[..dash].Trim(" \t");
        ReadOnlySpan<char> last = spec[(dash + 1)..].Trim(" \t");
        if (first.IsEmpty)
        {
            return TryNumber(last, out long suffix) ? OfSuffix(suffix, size, out range) : RangeVerdict.Whole;
        }

        long end = long.MaxValue;
        if (!TryNumber(first, out long start) || (!last.IsEmpty && !TryNumber(last, out end)) || end < start)
        {
            return RangeVerdict.Whole;
        }

        if (start >= size)
        {
            return RangeVerdict.NotSatisfiable;
        }

        range = new ByteRange(start, Math.Min(end, size - 1) - start + 1);
        return RangeVerdict.Part;
    }

    /// <summary>The value of <c>Content-Range</c>.</summary>
    public string ContentRange(long size) => string.Create(CultureInfo.InvariantCulture, $"bytes {Offset}-{Offset + Length - 1}/{size}");

    private static RangeVerdict OfSuffix(long suffix, long size, out ByteRange range)
    {
        long length = Math.Min(suffix, size);
        range = new ByteRange(size - length, length);
        return length == 0 ? RangeVerdict.NotSatisfiable : RangeVerdict.Part;
    }

    /// <summary>A number of any length: what no content can have counts as the greatest.</summary>
    private static bool TryNumber(ReadOnlySpan<char> text, out long number)
    {
        number = long.MaxValue;
        if (text.IsEmpty || text.ContainsAnyExceptInRange('0', '9'))
        {
            return false;
        }

        if (long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out long small))
        {
            number = small;
        }

        return true;
    }
}
