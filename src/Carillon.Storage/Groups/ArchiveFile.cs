namespace Carillon.Storage.Groups;

/// <summary>One file of an archive: a segment, or a patch that has one batch in place of a damaged one.</summary>
internal sealed class ArchiveFile(string name, ulong number)
{
    public string Name { get; } = name;

    /// <summary>A segment's first message number; a patch's serial number with <see cref="ArchiveHeader.PatchBit"/>.</summary>
    public ulong Number { get; } = number;

    public bool IsPatch => (Number & ArchiveHeader.PatchBit) != 0;

    /// <summary>Where the next batch goes. The owner's loop alone looks at it.</summary>
    public long End { get; set; }

    /// <summary>True once its name is durable.</summary>
    public bool IsCreated { get; set; }

    /// <summary>The last message number that it holds, or held before it was damaged; for a segment without any the one before its
    /// first.</summary>
    public ulong Last { get; set; }

    /// <summary>Wall time of its first batch, and the latest of any, in ms since 1970.</summary>
    public long FirstTime { get; set; }

    public long NewestTime { get; set; }

    /// <summary>Batches in it that are in the index. This and what follows belongs to the index, under its lock.</summary>
    public int Places { get; set; }

    public long Bytes { get; set; }

    public IStorageFile? Open { get; set; }

    public int Users { get; set; }

    public ulong LastUse { get; set; }

    /// <summary>Its name is, or will be, gone; it is closed when its last reader is through.</summary>
    public bool IsRetired { get; set; }
}

/// <summary>Where a batch is; or, without a file, numbers whose batch is damaged.</summary>
internal readonly record struct BatchPlace(ulong First, ulong Last, ArchiveFile? File, uint Offset, uint Bytes, long Time)
{
    public bool IsHole => File is null;

    public static BatchPlace Hole(ulong first, ulong last) => new(first, last, null, 0, 0, 0);

    public static BatchPlace Of(in ArchiveHeader header, ArchiveFile file) =>
        new(header.First, header.Last, file, header.Offset, (uint)header.AlignedBytes, header.Time);
}
