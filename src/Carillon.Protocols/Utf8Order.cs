namespace Carillon.Protocols;

/// <summary>
/// The order of texts by their UTF-8 bytes, as SQLite has it, without encoding them. It is that of code points; UTF-16's is too, but for
/// surrogates: they stand for the greatest code points and yet are less than the last 8,192 of the others.
/// </summary>
public static class Utf8Order
{
    /// <summary>Less than zero, zero or greater, as <paramref name="a"/> is before, the same as or behind <paramref name="b"/>.</summary>
    public static int Compare(string a, string b)
    {
        int same = a.AsSpan().CommonPrefixLength(b);
        if (same == a.Length || same == b.Length)
        {
            return a.Length.CompareTo(b.Length);
        }

        char left = a[same];
        char right = b[same];
        return char.IsSurrogate(left) == char.IsSurrogate(right) ? left.CompareTo(right) : char.IsSurrogate(left) ? 1 : -1;
    }
}
