namespace Carillon.Storage.Log;

/// <summary>One segment file, live (its records are needed) or free (pre-written, to be used again under a greater generation).</summary>
internal sealed class Segment(string name, IStorageFile file)
{
    /// <summary>The file's name; it says nothing about its place in the log, which the generation gives.</summary>
    public string Name { get; } = name;

    public IStorageFile File { get; } = file;

    public long Length { get; } = file.Length;

    /// <summary>Which use of which segment this is: counted up by one with each segment that the log begins. 0: never used.</summary>
    public long Generation { get; set; }

    /// <summary>Where the next batch goes.</summary>
    public long Offset { get; set; }

    /// <summary>The greatest position that has bytes in here: all of it lies before a position that is greater.</summary>
    public long LastTouching { get; set; }

    public long Remaining => Length - Offset;
}
