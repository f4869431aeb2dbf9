namespace Carillon.Protocols.Primacy;

/// <summary>A service's name: 1–48 characters of a-z, 0-9, '-' and '.', the first a letter or digit. Ordered by its bytes.</summary>
public readonly record struct ServiceName : IComparable<ServiceName>
{
    /// <summary>The longest name, in bytes.</summary>
    public const int MaxLength = 48;

    /// <summary>The service that keeps the table of the others (seed 002, 206 in figure 2); the servers provide it.</summary>
    public static readonly ServiceName ReplicaManager = new("replica-manager");

    /// <summary>The service whose primary gives the feed's numbers.</summary>
    public static readonly ServiceName CatalogSequencer = new(SequencerPrefix + "catalog");

    private const string SequencerPrefix = "sequencer.";

    private readonly string? _name;

    private ServiceName(string name) => _name = name;

    /// <summary>The name; empty for <c>default</c>, which is no service.</summary>
    public string Name => _name ?? "";

    /// <summary>True for <c>default</c>.</summary>
    public bool IsNone => _name is null;

    /// <summary>True for a service that the servers themselves provide: it is selected directly and is not in the table.</summary>
    public bool IsCore => this == ReplicaManager;

    /// <summary>True for a group's sequencer: the servers provide it too, and no operator defines it; it has an order of
    /// preference.</summary>
    public bool IsSequencer => Name.StartsWith(SequencerPrefix, StringComparison.Ordinal);

    /// <summary>True for what the servers themselves provide: no program is run for it, and the table does not name it.</summary>
    public bool IsOwn => IsCore || IsSequencer;

    /// <summary>The service whose primary numbers a group's messages.</summary>
    public static ServiceName OfSequencer(string group) => Parse(SequencerPrefix + group);

    /// <summary>Reads a name, or says no where it breaks the rule.</summary>
    public static bool TryParse(ReadOnlySpan<char> text, out ServiceName service)
    {
        service = default;
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

        service = new ServiceName(text.ToString());
        return true;
    }

    /// <summary>Reads a name that is known to be right, for literals and tests.</summary>
    /// <exception cref="FormatException">The name breaks the rule.</exception>
    public static ServiceName Parse(string text) =>
        TryParse(text, out ServiceName service)
            ? service
            : throw new FormatException($"'{text}' is not a service's name: use 1-{MaxLength} of a-z 0-9 - . and begin with a letter or digit.");

    /// <inheritdoc/>
    public int CompareTo(ServiceName other) => string.CompareOrdinal(Name, other.Name);

    /// <inheritdoc/>
    public override string ToString() => Name;

    public static bool operator <(ServiceName a, ServiceName b) => a.CompareTo(b) < 0;

    public static bool operator >(ServiceName a, ServiceName b) => a.CompareTo(b) > 0;

    public static bool operator <=(ServiceName a, ServiceName b) => a.CompareTo(b) <= 0;

    public static bool operator >=(ServiceName a, ServiceName b) => a.CompareTo(b) >= 0;
}
