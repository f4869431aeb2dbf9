namespace Carillon.Client.Folders;

/// <summary>What to do with symbolic links.</summary>
public enum LinkMode
{
    /// <summary>Keep them as links, wherever they point.</summary>
    Keep,

    /// <summary>Leave them out, and say so.</summary>
    Skip,

    /// <summary>Put what they point to.</summary>
    Follow,
}
