using Carillon.Protocols.Wire;

namespace Carillon.Protocols.Submissions;

/// <summary>What an operation expects of its name.</summary>
public enum PreconditionKind : byte
{
    /// <summary>Nothing.</summary>
    None = 0,

    /// <summary>That it has no live version: it never was, or its current version is a tombstone.</summary>
    Absent = 1,

    /// <summary>That its current version is the put with a certain UID.</summary>
    Match = 2,
}

/// <summary>
/// A condition on the name's current version, the one with the greatest UID, evaluated where the submission stands in the feed. Its bytes:
/// <code>
/// u8 kind │ uid, for a match
/// </code>
/// </summary>
public readonly record struct Precondition
{
    private Precondition(PreconditionKind kind, Uid uid)
    {
        Kind = kind;
        Uid = uid;
    }

    /// <summary>No live version is expected (<c>--if-none-match</c>).</summary>
    public static Precondition Absent { get; } = new(PreconditionKind.Absent, default);

    /// <summary>The kind.</summary>
    public PreconditionKind Kind { get; }

    /// <summary>The UID that is expected of the current version; none where the kind is another.</summary>
    public Uid Uid { get; }

    /// <summary>True for <c>default</c>: whatever the name has is welcome.</summary>
    public bool IsNone => Kind == PreconditionKind.None;

    internal int EncodedSize => 1 + (Kind == PreconditionKind.Match ? WireSize.Uid(Uid) : 0);

    /// <summary>The current version is the put of this UID (<c>--if-match</c>).</summary>
    public static Precondition Match(Uid uid)
    {
        Invariant.That(!uid.IsNone);
        return new Precondition(PreconditionKind.Match, uid);
    }

    /// <summary>True if a name whose greatest UID this is, a put's or a tombstone's, or none, meets it.</summary>
    public bool IsMetBy(Uid current, bool isLive) => Kind switch
    {
        PreconditionKind.Absent => !isLive,
        PreconditionKind.Match => isLive && current == Uid,
        _ => true,
    };

    /// <inheritdoc/>
    public override string ToString() => Kind switch
    {
        PreconditionKind.Absent => "if absent",
        PreconditionKind.Match => $"if {Uid}",
        _ => "none",
    };

    internal void Write(ref WireWriter writer)
    {
        writer.U8((byte)Kind);
        if (Kind == PreconditionKind.Match)
        {
            writer.Uid(Uid);
        }
    }

    internal static Precondition Read(ref WireReader reader)
    {
        var kind = (PreconditionKind)reader.U8();
        Uid uid = kind == PreconditionKind.Match ? reader.Uid() : default;
        if (kind > PreconditionKind.Match || (kind == PreconditionKind.Match && uid.IsNone))
        {
            reader.Fail();
        }

        return new Precondition(kind, uid);
    }
}
