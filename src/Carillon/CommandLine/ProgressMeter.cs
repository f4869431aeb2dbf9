using System.Collections.Concurrent;
using Carillon.Client;
using Carillon.Client.Folders;

namespace Carillon.CommandLine;

/// <summary>Counts what transfers report, from any thread; the display reads it now and then.</summary>
internal sealed class ProgressMeter : ITransferObserver, IFolderObserver
{
    private long _total;
    private long _moved;
    private long _found;
    private long _done;

    /// <summary>Bytes in all as far as known; 0: not known.</summary>
    public long Total => Volatile.Read(ref _total);

    /// <summary>Bytes that are there.</summary>
    public long Moved => Volatile.Read(ref _moved);

    /// <summary>Files found so far.</summary>
    public long FilesFound => Volatile.Read(ref _found);

    /// <summary>Files done so far.</summary>
    public long FilesDone => Volatile.Read(ref _done);

    /// <summary>What was left out or failed, and has not been told yet.</summary>
    public ConcurrentQueue<FolderNote> Notes { get; } = new();

    public void Started(long? total, long present)
    {
        Volatile.Write(ref _total, total ?? 0);
        Volatile.Write(ref _moved, present);
    }

    public void Advanced(long bytes) => Interlocked.Add(ref _moved, bytes);

    public void Found(long bytes)
    {
        Interlocked.Increment(ref _found);
        Interlocked.Add(ref _total, bytes);
    }

    public void Done() => Interlocked.Increment(ref _done);

    public void Noted(FolderNote note) => Notes.Enqueue(note);
}
