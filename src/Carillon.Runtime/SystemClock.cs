using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Carillon.Protocols;

namespace Carillon.Runtime;

/// <summary>
/// This server's clocks. The monotonic one is CLOCK_BOOTTIME, which also counts while the machine sleeps: a lease must have
/// run out when its holder wakes up. Where that clock is missing, the framework's monotonic clock stands in. Safe for any thread.
/// </summary>
/// <param name="wallOffset">Added to the wall clock; for tests of the clock guard only.</param>
public sealed partial class SystemClock(TimeSpan wallOffset = default)
{
    private const int BootTime = 7; // CLOCK_BOOTTIME of Linux; the same on every architecture

    private static readonly bool HasBootTime = ProbeBootTime();

    private readonly TimeSpan _wallOffset = wallOffset;

    /// <summary>Both clocks.</summary>
    public Moment Read() => new(Now, new WallTime((DateTimeOffset.UtcNow + _wallOffset).ToUnixTimeMilliseconds()));

    /// <summary>The monotonic clock.</summary>
    public Instant Now
    {
        get
        {
            if (!HasBootTime)
            {
                return new Instant((long)(Stopwatch.GetTimestamp() * ((double)TimeSpan.TicksPerSecond / Stopwatch.Frequency)));
            }

            _ = GetTime(BootTime, out TimeSpecification time);
            return new Instant((time.Seconds * TimeSpan.TicksPerSecond) + (time.Nanoseconds / 100));
        }
    }

    private static bool ProbeBootTime()
    {
        // struct timespec is two machine words only on 64-bit systems.
        if (!OperatingSystem.IsLinux() || IntPtr.Size != 8)
        {
            return false;
        }

        try
        {
            return GetTime(BootTime, out TimeSpecification time) == 0 && time.Seconds >= 0;
        }
        catch (Exception missing) when (missing is DllNotFoundException or EntryPointNotFoundException)
        {
            return false;
        }
    }

    // It reads a page that the kernel shares, in some 20 ns: far too short to be worth telling the garbage collector about.
    [LibraryImport("libc", EntryPoint = "clock_gettime")]
    [SuppressGCTransition]
    [UnmanagedCallConv(CallConvs = [typeof(CallConvCdecl)])]
    private static partial int GetTime(int clock, out TimeSpecification time);

    [StructLayout(LayoutKind.Sequential)]
    private struct TimeSpecification
    {
        public long Seconds;
        public long Nanoseconds;
    }
}
