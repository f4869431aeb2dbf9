namespace Carillon.Protocols.AtomicMulticast;

/// <summary>
/// An ordered multicast domain's name: 1–36 characters of a-z, 0-9, '-' and '.', the first a letter or digit. With <c>sequencer.</c> in
/// front it is the name of the service that orders the group. Ordered by its bytes.
/// </summary>
public readonly record struct GroupName : IComparable<GroupName>
{
    /// <summary>The longest name, in bytes: what <see cref="Primacy.ServiceName"/> allows without the service's prefix.</summary>
    public const int MaxLength = 36;

    /// <summary>The system's own group, whose sequence is the feed of accepted submissions.</summary>
    public static readonly GroupName Catalog = new("catalog");

    private readonly string? _name;

    private GroupName(string name) => _name = name;

    /// <summary>The name; empty for <c>default</c>, which is no group.</summary>
    public string Name => _name ?? "";

    /// <summary>True for <c>default</c>.</summary>
    public bool IsNone => _name is null;

    /// <summary>Reads a name, or says no where it breaks the rule.</summary>
    public static bool TryParse(ReadOnlySpan<char> text, out GroupName group)
    {
        group = default;
        if (text.Length is 0 or > MaxLength || text[0] is '-' or '.')
        {
            return false;
        }

        foreach (char c in text)
        {
            if (c is not ((>= 'a' and <= 'z') or (>= '0' and <= '9') or '-' or '.'))
            {
                return false;
            }
        }

        group = new GroupName(text.ToString());
        return true;
    }

    /// <summary>Reads a name that is known to be right, for literals and tests.</summary>
    /// <exception cref="FormatException">The name breaks the rule.</exception>
    public static GroupName Parse(string text) =>
        TryParse(text, out GroupName group)
            ? group
            : throw new FormatException($"'{text}' is not a group's name: use 1-{MaxLength} of a-z 0-9 - . and begin with a letter or digit.");

    /// <inheritdoc/>
    public int CompareTo(GroupName other) => string.CompareOrdinal(Name, other.Name);

    /// <inheritdoc/>
    public override string ToString() => Name;

    public static bool operator <(GroupName a, GroupName b) => a.CompareTo(b) < 0;

    public static bool operator >(GroupName a, GroupName b) => a.CompareTo(b) > 0;

    public static bool operator <=(GroupName a, GroupName b) => a.CompareTo(b) <= 0;

    public static bool operator >=(GroupName a, GroupName b) => a.CompareTo(b) >= 0;
}
