using System.Text;

namespace Carillon.Protocols;

/// <summary>A server's name, from its configuration: 1–32 characters of a-z, 0-9 and '-'. Ordered by its bytes.</summary>
public readonly record struct NodeId : IComparable<NodeId>
{
    /// <summary>The longest name, in bytes.</summary>
    public const int MaxLength = 32;

    // Names repeat endlessly on the wire; a small table per thread spares a string for each message read.
    [ThreadStatic] private static NodeId[]? _seen;

    private readonly string? _name;

    private NodeId(string name) => _name = name;

    /// <summary>The name; empty for <c>default</c>, which is no server.</summary>
    public string Name => _name ?? "";

    /// <summary>True for <c>default</c>.</summary>
    public bool IsNone => _name is null;

    /// <summary>Reads a name, or says no where it breaks the rule.</summary>
    public static bool TryParse(ReadOnlySpan<char> text, out NodeId id)
    {
        id = default;
        if (text.Length is 0 or > MaxLength)
        {
            return false;
        }

        foreach (char c in text)
        {
            if (!IsAllowed(c))
            {
                return false;
            }
        }

        id = new NodeId(text.ToString());
        return true;
    }

    /// <summary>Reads a name that is known to be right, for literals and tests.</summary>
    /// <exception cref="FormatException">The name breaks the rule.</exception>
    public static NodeId Parse(string text) =>
        TryParse(text, out NodeId id) ? id : throw new FormatException($"'{text}' is not a server name: use 1-{MaxLength} of a-z 0-9 -.");

    /// <summary>Reads a name from the wire.</summary>
    public static bool TryParse(ReadOnlySpan<byte> utf8, out NodeId id)
    {
        id = default;
        if (utf8.Length is 0 or > MaxLength)
        {
            return false;
        }

        uint hash = 2166136261;
        foreach (byte b in utf8)
        {
            if (!IsAllowed((char)b))
            {
                return false;
            }

            hash = (hash ^ b) * 16777619;
        }

        NodeId[] seen = _seen ??= new NodeId[256];
        ref NodeId slot = ref seen[(hash ^ (hash >> 16)) & 255];
        if (slot._name is null || !Ascii.Equals(utf8, slot._name))
        {
            slot = new NodeId(Encoding.ASCII.GetString(utf8));
        }

        id = slot;
        return true;
    }

    /// <inheritdoc/>
    public int CompareTo(NodeId other) => string.CompareOrdinal(Name, other.Name);

    /// <inheritdoc/>
    public override string ToString() => Name;

    private static bool IsAllowed(char c) => c is (>= 'a' and <= 'z') or (>= '0' and <= '9') or '-';

    public static bool operator <(NodeId a, NodeId b) => a.CompareTo(b) < 0;

    public static bool operator >(NodeId a, NodeId b) => a.CompareTo(b) > 0;

    public static bool operator <=(NodeId a, NodeId b) => a.CompareTo(b) <= 0;

    public static bool operator >=(NodeId a, NodeId b) => a.CompareTo(b) >= 0;
}
