using Carillon.Protocols.Primacy;
using Carillon.Protocols.Wire;

namespace Carillon.Protocols.AtomicMulticast;

/// <summary>Types of the records that a group's cores write to the groups' log; the first byte of each. docs/formats/group-messages.md has
/// their bytes. Stores use types of their own, from <see cref="FirstOfStores"/> on.</summary>
public enum GroupRecordType : byte
{
    /// <summary>No lower epoch is accepted from now on: <c>u64 epoch</c>.</summary>
    Promised = 64,

    /// <summary>A commit server's assignments: <c>u64 epoch │ u64 first │ u32 count │ assignments</c>.</summary>
    Assigned = 65,

    /// <summary>What is up to a number may be deleted, and counts as committed here; with the checkpoint that covers it, and the sessions
    /// as
    /// they are behind its number: <c>u64 trimmed │ mark │ blob sessions</c>.</summary>
    Trimmed = 66,

    /// <summary>The first type that belongs to message stores.</summary>
    FirstOfStores = 80,
}

/// <summary>Encoding of the cores' log records.</summary>
internal static class GroupRecords
{
    public static byte[] Promised(Epoch epoch)
    {
        byte[] record = new byte[9];
        WireWriter writer = Start(record, GroupRecordType.Promised);
        writer.U64(epoch.Value);
        return record;
    }

    public static byte[] Assigned(Epoch epoch, ulong first, ReadOnlySpan<Assignment> run)
    {
        byte[] record = new byte[1 + 8 + 8 + 4 + (run.Length * Assignment.Size)];
        WireWriter writer = Start(record, GroupRecordType.Assigned);
        writer.U64(epoch.Value);
        writer.U64(first);
        writer.Assignments(run);
        return record;
    }

    public static byte[] Trimmed(ulong trimmed, in CheckpointMark checkpoint, ReadOnlySpan<byte> sessions)
    {
        byte[] record = new byte[1 + 8 + CheckpointMark.EncodedSize + WireSize.Blob(sessions.Length)];
        WireWriter writer = Start(record, GroupRecordType.Trimmed);
        writer.U64(trimmed);
        writer.Mark(checkpoint);
        writer.Blob(sessions);
        return record;
    }

    private static WireWriter Start(byte[] record, GroupRecordType type)
    {
        var writer = new WireWriter(record);
        writer.U8((byte)type);
        return writer;
    }
}
