namespace Carillon.Client.Folders;

/// <summary>How a folder is put or got.</summary>
public sealed record FolderOptions
{
    /// <summary>Files under way at once. Too low: each waits for the one before to be durable; too high: memory and connections.</summary>
    public int Parallel { get; init; } = 32;

    /// <summary>What to do with symbolic links. A get knows no following: to it, that is as keeping.</summary>
    public LinkMode Links { get; init; } = LinkMode.Keep;

    /// <summary><c>agreed</c> or <c>sequenced</c>: what each put waits for; null: the bucket's way.</summary>
    public string? Ack { get; init; }

    /// <summary>A get reads what one server has applied, for the files too, and not only for the listing.</summary>
    public bool Local { get; init; }

    /// <summary>Is told how it goes; called from several threads.</summary>
    public IFolderObserver? Observer { get; init; }
}
