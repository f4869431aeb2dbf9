using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Wire;

namespace Carillon.Node.Groups;

/// <summary>Types of the groups' log's records that are the node's own. Each record of that log begins with its group's identity:
/// <c>u64 id │ u8 type │ …</c>; the cores' types and the stores' are in docs/formats/log-records.md.</summary>
internal enum GroupLogType : byte
{
    /// <summary>Messages that have no number yet: those of <see cref="DataMessage"/>.</summary>
    Messages = GroupRecordType.FirstOfStores,

    /// <summary>The group is here: <c>u8 version = 1 │ text name │ blob record │ bool forgotten │ u64 archived</c>.</summary>
    Opened = 96,

    /// <summary>It is no longer here.</summary>
    Removed = 97,

    /// <summary>The sessions behind a number: <c>u64 number │ blob sessions</c>.</summary>
    Sessions = 98,
}

/// <summary>A group as its log knows it.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Record">As it was created.</param>
/// <param name="IsForgotten">Its promises were lost with a disk.</param>
/// <param name="Archived">So much the archive had durably when this was written: one that has less has lost it.</param>
internal sealed record OpenedGroup(GroupName Name, GroupRecord Record, bool IsForgotten, ulong Archived)
{
    private const byte Version = 1;
    private const int MaxRecordBytes = 4096;

    public byte[] Write()
    {
        byte[] record = Record.Write();
        byte[] bytes = new byte[1 + WireSize.Text(Name.Name) + WireSize.Blob(record.Length) + 1 + 8];
        var writer = new WireWriter(bytes);
        writer.U8(Version);
        writer.Text(Name.Name);
        writer.Blob(record);
        writer.Bool(IsForgotten);
        writer.U64(Archived);
        return bytes;
    }

    public static OpenedGroup? Read(ref WireReader reader)
    {
        byte version = reader.U8();
        string text = reader.Text(GroupName.MaxLength);
        ReadOnlySpan<byte> content = reader.Blob(MaxRecordBytes);
        bool isForgotten = reader.Bool();
        ulong archived = reader.U64();
        return !reader.Failed && version == Version && GroupName.TryParse(text, out GroupName name)
            && GroupRecord.TryRead(content, out GroupRecord? record)
                ? new OpenedGroup(name, record, isForgotten, archived)
                : null;
    }
}
