using System.Globalization;

namespace Carillon.Protocols;

/// <summary>
/// A hybrid logical timestamp (Kulkarni et al., 2014): 48 bits of milliseconds, 16 bits of counter, so that adding one always
/// gives a greater stamp and the clock's word is only a lower bound.
/// </summary>
public readonly record struct Timestamp(ulong Value) : IComparable<Timestamp>
{
    /// <summary>Milliseconds since 1970.</summary>
    public long Milliseconds => (long)(Value >> 16);

    /// <summary>Place within the millisecond.</summary>
    public int Counter => (int)(Value & 0xFFFF);

    /// <summary>The least stamp above this one.</summary>
    public Timestamp Next => new(Value + 1);

    /// <summary>The first stamp of a wall clock's millisecond; a clock before 1970 counts as 1970.</summary>
    public static Timestamp At(WallTime wall) => new((ulong)Math.Clamp(wall.Milliseconds, 0, (1L << 48) - 1) << 16);

    /// <summary>The greater of two.</summary>
    public static Timestamp Max(Timestamp a, Timestamp b) => a.Value >= b.Value ? a : b;

    /// <inheritdoc/>
    public int CompareTo(Timestamp other) => Value.CompareTo(other.Value);

    /// <summary><c>ms-counter</c>.</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Milliseconds}-{Counter}");

    /// <summary>Reads <c>ms-counter</c>.</summary>
    public static bool TryParse(ReadOnlySpan<char> text, out Timestamp stamp)
    {
        stamp = default;
        int dash = text.IndexOf('-');
        if (dash < 0
            || !long.TryParse(text[..dash], NumberStyles.None, CultureInfo.InvariantCulture, out long ms) || ms >= 1L << 48
            || !ushort.TryParse(text[(dash + 1)..], NumberStyles.None, CultureInfo.InvariantCulture, out ushort counter))
        {
            return false;
        }

        stamp = new Timestamp(((ulong)ms << 16) | counter);
        return true;
    }

    public static bool operator <(Timestamp a, Timestamp b) => a.Value < b.Value;

    public static bool operator >(Timestamp a, Timestamp b) => a.Value > b.Value;

    public static bool operator <=(Timestamp a, Timestamp b) => a.Value <= b.Value;

    public static bool operator >=(Timestamp a, Timestamp b) => a.Value >= b.Value;
}

/// <summary>Identity and order of versions (seed 000, step 300): by timestamp, then by server. Text: <c>ms-counter@server</c>.</summary>
public readonly record struct Uid(Timestamp Stamp, NodeId Server) : IComparable<Uid>
{
    /// <summary>True for <c>default</c>, which is below every UID.</summary>
    public bool IsNone => Server.IsNone;

    /// <summary>The greater of two.</summary>
    public static Uid Max(Uid a, Uid b) => a >= b ? a : b;

    /// <summary>By the stamp alone: two servers rarely take the same one.</summary>
    public override int GetHashCode() => (int)(Stamp.Value ^ (Stamp.Value >> 32));

    /// <inheritdoc/>
    public int CompareTo(Uid other)
    {
        int byStamp = Stamp.CompareTo(other.Stamp);
        return byStamp != 0 ? byStamp : Server.CompareTo(other.Server);
    }

    /// <inheritdoc/>
    public override string ToString() => IsNone ? "none" : $"{Stamp}@{Server}";

    /// <summary>Reads <c>ms-counter@server</c>.</summary>
    public static bool TryParse(ReadOnlySpan<char> text, out Uid uid)
    {
        uid = default;
        int at = text.IndexOf('@');
        if (at < 0 || !Timestamp.TryParse(text[..at], out Timestamp stamp) || !NodeId.TryParse(text[(at + 1)..], out NodeId server))
        {
            return false;
        }

        uid = new Uid(stamp, server);
        return true;
    }

    public static bool operator <(Uid a, Uid b) => a.CompareTo(b) < 0;

    public static bool operator >(Uid a, Uid b) => a.CompareTo(b) > 0;

    public static bool operator <=(Uid a, Uid b) => a.CompareTo(b) <= 0;

    public static bool operator >=(Uid a, Uid b) => a.CompareTo(b) >= 0;
}

/// <summary>
/// The temporary tag of one attempt, and its submission id (seed 000, step 302): the UID and a random number, so that two
/// crashed or retried attempts never collide. Text: <c>ms-counter@server.16 hexadecimal digits</c>.
/// </summary>
public readonly record struct Tag(Uid Uid, ulong Nonce) : IComparable<Tag>
{
    /// <summary>True for <c>default</c>: no tag.</summary>
    public bool IsNone => Uid.IsNone;

    /// <inheritdoc/>
    public int CompareTo(Tag other)
    {
        int byUid = Uid.CompareTo(other.Uid);
        return byUid != 0 ? byUid : Nonce.CompareTo(other.Nonce);
    }

    /// <inheritdoc/>
    public bool Equals(Tag other) => Nonce == other.Nonce && Uid.Stamp.Value == other.Uid.Stamp.Value && Uid.Server == other.Uid.Server;

    /// <summary>The nonce is random: no other field makes the hash better, and tags are looked up several times a message.</summary>
    public override int GetHashCode() => (int)(Nonce ^ (Nonce >> 32));

    /// <inheritdoc/>
    public override string ToString() => IsNone ? "none" : string.Create(CultureInfo.InvariantCulture, $"{Uid}.{Nonce:x16}");

    /// <summary>Reads the text form.</summary>
    public static bool TryParse(ReadOnlySpan<char> text, out Tag tag)
    {
        tag = default;
        int dot = text.IndexOf('.');
        if (dot < 0 || !Uid.TryParse(text[..dot], out Uid uid) || text.Length - dot - 1 != 16
            || !ulong.TryParse(text[(dot + 1)..], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ulong nonce))
        {
            return false;
        }

        tag = new Tag(uid, nonce);
        return true;
    }

    public static bool operator <(Tag a, Tag b) => a.CompareTo(b) < 0;

    public static bool operator >(Tag a, Tag b) => a.CompareTo(b) > 0;

    public static bool operator <=(Tag a, Tag b) => a.CompareTo(b) <= 0;

    public static bool operator >=(Tag a, Tag b) => a.CompareTo(b) >= 0;
}
