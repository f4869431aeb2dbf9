using System.Buffers.Binary;
using System.Globalization;

namespace Carillon.Protocols.AtomicMulticast;

/// <summary>
/// One sender's life: 16 random bytes, drawn anew by each process (so it stands for the seed's process identifier and for the incarnation
/// together). In the catalog's group it is the accepting server's disk id, whose counters, the tags' timestamps, are never used twice.
/// Text: 32 hexadecimal digits.
/// </summary>
public readonly record struct SessionId(ulong High, ulong Low) : IComparable<SessionId>
{
    /// <summary>Bytes on the wire and on disk.</summary>
    public const int Size = 16;

    /// <summary>True for <c>default</c>: no session.</summary>
    public bool IsNone => (High | Low) == 0;

    /// <summary>Reads 16 bytes, the more significant first.</summary>
    public static SessionId From(ReadOnlySpan<byte> bytes) =>
        new(BinaryPrimitives.ReadUInt64BigEndian(bytes), BinaryPrimitives.ReadUInt64BigEndian(bytes[8..]));

    /// <summary>Writes 16 bytes, the more significant first.</summary>
    public void CopyTo(Span<byte> into)
    {
        BinaryPrimitives.WriteUInt64BigEndian(into, High);
        BinaryPrimitives.WriteUInt64BigEndian(into[8..], Low);
    }

    /// <summary>Reads the text form.</summary>
    public static bool TryParse(ReadOnlySpan<char> text, out SessionId session)
    {
        session = default;
        if (text.Length != 2 * Size
            || !ulong.TryParse(text[..16], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ulong high)
            || !ulong.TryParse(text[16..], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ulong low))
        {
            return false;
        }

        session = new SessionId(high, low);
        return true;
    }

    /// <inheritdoc/>
    public int CompareTo(SessionId other)
    {
        int byHigh = High.CompareTo(other.High);
        return byHigh != 0 ? byHigh : Low.CompareTo(other.Low);
    }

    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{High:x16}{Low:x16}");

    public static bool operator <(SessionId a, SessionId b) => a.CompareTo(b) < 0;

    public static bool operator >(SessionId a, SessionId b) => a.CompareTo(b) > 0;

    public static bool operator <=(SessionId a, SessionId b) => a.CompareTo(b) <= 0;

    public static bool operator >=(SessionId a, SessionId b) => a.CompareTo(b) >= 0;
}

/// <summary>
/// A message's identity, which its sender gives it and which stays through all retransmissions (SAM-10). A session counts from 1.
/// Text: <c>session.counter</c>.
/// </summary>
public readonly record struct MessageId(SessionId Session, ulong Counter) : IComparable<MessageId>
{
    /// <summary>Bytes on the wire and on disk.</summary>
    public const int Size = SessionId.Size + 8;

    /// <summary>True for <c>default</c>: no message, as at a number that was filled because its message is lost.</summary>
    public bool IsNone => Session.IsNone;

    /// <summary>Reads the text form.</summary>
    public static bool TryParse(ReadOnlySpan<char> text, out MessageId id)
    {
        id = default;
        int dot = text.IndexOf('.');
        if (dot < 0 || !SessionId.TryParse(text[..dot], out SessionId session) || session.IsNone
            || !ulong.TryParse(text[(dot + 1)..], NumberStyles.None, CultureInfo.InvariantCulture, out ulong counter) || counter == 0)
        {
            return false;
        }

        id = new MessageId(session, counter);
        return true;
    }

    /// <inheritdoc/>
    public int CompareTo(MessageId other)
    {
        int bySession = Session.CompareTo(other.Session);
        return bySession != 0 ? bySession : Counter.CompareTo(other.Counter);
    }

    /// <inheritdoc/>
    public override string ToString() => IsNone ? "none" : string.Create(CultureInfo.InvariantCulture, $"{Session}.{Counter}");

    public static bool operator <(MessageId a, MessageId b) => a.CompareTo(b) < 0;

    public static bool operator >(MessageId a, MessageId b) => a.CompareTo(b) > 0;

    public static bool operator <=(MessageId a, MessageId b) => a.CompareTo(b) <= 0;

    public static bool operator >=(MessageId a, MessageId b) => a.CompareTo(b) >= 0;
}
