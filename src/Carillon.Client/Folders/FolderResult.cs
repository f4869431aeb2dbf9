using System.Collections.Immutable;

namespace Carillon.Client.Folders;

/// <summary>How a folder's transfer went.</summary>
public sealed record FolderResult
{
    /// <summary>Regular files.</summary>
    public required long Files { get; init; }

    /// <summary>Symbolic links.</summary>
    public required long Links { get; init; }

    /// <summary>Directories that were kept as objects of their own.</summary>
    public required long Directories { get; init; }

    /// <summary>Content of the regular files.</summary>
    public required long Bytes { get; init; }

    public required TimeSpan Elapsed { get; init; }

    /// <summary>What was left out on purpose.</summary>
    public required ImmutableArray<FolderNote> Skipped { get; init; }

    /// <summary>What failed.</summary>
    public required ImmutableArray<FolderNote> Failed { get; init; }
}

/// <summary>Counts a folder's transfer as it goes; every method may be called from any thread.</summary>
internal sealed class FolderTally(IFolderObserver? observer)
{
    private readonly long _start = System.Diagnostics.Stopwatch.GetTimestamp();
    private readonly Lock _lock = new();
    private readonly List<FolderNote> _notes = [];
    private long _files;
    private long _links;
    private long _directories;
    private long _bytes;
    private int _failuresInRow;

    /// <summary>Failures with no success between them: a cluster that is gone is not asked ten thousand times more.</summary>
    public int FailuresInRow => Volatile.Read(ref _failuresInRow);

    public void Found(long bytes) => observer?.Found(bytes);

    public void Done(FolderItemKind kind, long bytes)
    {
        switch (kind)
        {
            case FolderItemKind.File:
                Interlocked.Increment(ref _files);
                Interlocked.Add(ref _bytes, bytes);
                break;
            case FolderItemKind.Link:
                Interlocked.Increment(ref _links);
                break;
            default:
                Interlocked.Increment(ref _directories);
                break;
        }

        Volatile.Write(ref _failuresInRow, 0);
        observer?.Done();
    }

    public void Skipped(string path, string reason) => Note(new FolderNote(path, reason, null, null));

    public void Failed(string path, string reason, Failure failure = Failure.Failed, string? key = null)
    {
        Interlocked.Increment(ref _failuresInRow);
        Note(new FolderNote(path, reason, failure, key));
    }

    public ITransferObserver? Bytes => observer is null ? null : new Relay(observer);

    public FolderResult Result() => new()
    {
        Files = _files,
        Links = _links,
        Directories = _directories,
        Bytes = _bytes,
        Elapsed = System.Diagnostics.Stopwatch.GetElapsedTime(_start),
        Skipped = [.. _notes.Where(n => n.Failure is null)],
        Failed = [.. _notes.Where(n => n.Failure is not null)],
    };

    private void Note(FolderNote note)
    {
        lock (_lock)
        {
            _notes.Add(note);
        }

        observer?.Noted(note);
    }

    /// <summary>Passes one file's bytes on; what a second attempt sends again is taken back first.</summary>
    private sealed class Relay(IFolderObserver observer) : ITransferObserver
    {
        private long _moved;

        public void Started(long? total, long present)
        {
            observer.Advanced(present - _moved);
            _moved = present;
        }

        public void Advanced(long bytes)
        {
            _moved += bytes;
            observer.Advanced(bytes);
        }
    }
}
