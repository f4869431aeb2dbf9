using System.Runtime.InteropServices;

namespace Carillon.Runtime.Serving;

/// <summary>
/// Gives the memory that work has left behind back to the system once the server rests: free chunk buffers, the collector's free regions,
/// and what the C library keeps of SQLite's pages. While there is work nothing is given back: it would be asked for again at once.
/// </summary>
/// <param name="buffers">The buffers of chunks.</param>
internal sealed partial class RestingMemory(ChunkBuffers buffers)
{
    /// <summary>Heartbeats, timers and a metrics page now and then allocate less than this in the time between two looks.</summary>
    private const long BusyBytes = 2 << 20;

    /// <summary>Looks without work after which the server is thought to rest.</summary>
    private const int QuietLooks = 10;

    private long _allocated;
    private int _quiet;
    private bool _hasWorked = true;
    private bool _hasTrim = OperatingSystem.IsLinux();

    /// <summary>To be called once a second, by one thread at a time.</summary>
    public void Look()
    {
        long allocated = GC.GetTotalAllocatedBytes();
        bool works = allocated - _allocated > BusyBytes || buffers.BytesInUse > 0;
        _allocated = allocated;
        if (works)
        {
            (_hasWorked, _quiet) = (true, 0);
        }
        else if (_hasWorked && ++_quiet >= QuietLooks)
        {
            _hasWorked = false;
            GiveBack();
        }
    }

    private void GiveBack()
    {
        buffers.DropFree();
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        if (_hasTrim)
        {
            try
            {
                _ = Trim(0);
            }
            catch (EntryPointNotFoundException)
            {
                _hasTrim = false; // a C library that has no such call, and keeps less
            }
        }
    }

    [LibraryImport("libc", EntryPoint = "malloc_trim")]
    private static partial int Trim(nuint keptBytes);
}
