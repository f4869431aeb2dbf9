using Carillon.Protocols.Wire;

namespace Carillon.Protocols.Primacy;

/// <summary>The first thing that ranks compare (seed 002: an existing secondary is chosen before a spare).</summary>
public enum RankClass : byte
{
    /// <summary>A provider that failed, moved away or lost its lease lately: it stands only where nobody else does.</summary>
    Damped = 0,

    /// <summary>A provider without the primary's state, or one that came back and is not synchronised.</summary>
    Spare = 1,

    /// <summary>A provider that applies the primary's checkpoints.</summary>
    Secondary = 2,

    /// <summary>The primary that holds its lease.</summary>
    Primary = 3,
}

/// <summary>
/// A node's rank for a service, different from every other's: class, then the fresher state (the seed leaves freshness out; a stale
/// secondary must not beat a fresh one), then the operator's preference, then the greater identifier. <c>default</c> is below every rank.
/// </summary>
/// <param name="Class">Primary, secondary, spare.</param>
/// <param name="State">What it has of the service's state.</param>
/// <param name="Preference">The greater, the more preferred.</param>
/// <param name="Node">Whose rank it is.</param>
public readonly record struct Rank(RankClass Class, Freshness State, ushort Preference, NodeId Node) : IComparable<Rank>
{
    /// <summary>True for <c>default</c>.</summary>
    public bool IsNone => Node.IsNone;

    internal int EncodedSize => 1 + 8 + 8 + 2 + WireSize.Node(Node);

    /// <summary>The greater of two.</summary>
    public static Rank Max(Rank a, Rank b) => a >= b ? a : b;

    /// <inheritdoc/>
    public int CompareTo(Rank other)
    {
        if (IsNone || other.IsNone)
        {
            return other.IsNone.CompareTo(IsNone);
        }

        int order = Class.CompareTo(other.Class);
        order = order != 0 ? order : State.CompareTo(other.State);
        order = order != 0 ? order : Preference.CompareTo(other.Preference);
        return order != 0 ? order : Node.CompareTo(other.Node);
    }

    /// <inheritdoc/>
    public override string ToString() => IsNone ? "none" : $"{Node} ({Class} {State} {Preference})";

    internal void Write(ref WireWriter writer)
    {
        writer.U8((byte)Class);
        writer.U64(State.Epoch.Value);
        writer.U64(State.Number);
        writer.U16(Preference);
        writer.Node(Node);
    }

    internal static Rank Read(ref WireReader reader)
    {
        var read = new Rank(
            (RankClass)reader.U8(), new Freshness(new Epoch(reader.U64()), reader.U64()), reader.U16(), reader.Node());
        if (read.Class > RankClass.Primary)
        {
            reader.Fail();
        }

        return read;
    }

    public static bool operator <(Rank a, Rank b) => a.CompareTo(b) < 0;

    public static bool operator >(Rank a, Rank b) => a.CompareTo(b) > 0;

    public static bool operator <=(Rank a, Rank b) => a.CompareTo(b) <= 0;

    public static bool operator >=(Rank a, Rank b) => a.CompareTo(b) >= 0;
}
