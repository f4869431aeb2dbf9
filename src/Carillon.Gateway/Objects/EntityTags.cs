using Microsoft.Extensions.Primitives;

namespace Carillon.Gateway.Objects;

/// <summary>
/// The lists of <c>If-Match</c> and <c>If-None-Match</c> (RFC 9110 section 13.1). A version's entity tag is its UID in quotes; a UID has no
/// quote, comma or space in it.
/// </summary>
internal static class EntityTags
{
    /// <summary>True if the list is <c>*</c> or has the tag. <paramref name="weakToo"/> as <c>If-None-Match</c> compares.</summary>
    public static bool Match(StringValues list, string tag, bool weakToo)
    {
        foreach (string? line in list)
        {
            foreach (Range part in line.AsSpan().Split(','))
            {
                ReadOnlySpan<char> one = line.AsSpan()[part].Trim(" \t");
                if (one is "*")
                {
                    return true;
                }

                if (weakToo && one.StartsWith("W/", StringComparison.Ordinal))
                {
                    one = one[2..];
                }

                if (one.SequenceEqual(tag))
                {
                    return true;
                }
            }
        }

        return false;
    }
}
