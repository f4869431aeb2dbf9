namespace Carillon.Client.Folders;

/// <summary>Is told how a folder's transfer goes, by several threads at once: it must not block.</summary>
public interface IFolderObserver
{
    /// <summary>One more file was found, of so many bytes.</summary>
    void Found(long bytes);

    /// <summary>So many more bytes have moved.</summary>
    void Advanced(long bytes);

    /// <summary>One file is done.</summary>
    void Done();

    /// <summary>One was left out or failed.</summary>
    void Noted(FolderNote note);
}

/// <summary>Something that was left out, or failed.</summary>
/// <param name="Path">Where, relative to the folder.</param>
/// <param name="Reason">Why, in words.</param>
/// <param name="Failure">Why, coarsely; null if it was left out on purpose.</param>
/// <param name="Key">The idempotency key to ask about, if the outcome is unknown.</param>
public sealed record FolderNote(string Path, string Reason, Failure? Failure, string? Key);
