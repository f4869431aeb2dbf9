using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Carillon.Client.Services;

/// <summary>
/// A clock that goes on while the machine sleeps (CLOCK_BOOTTIME on 64-bit Linux): a lease must have run out when its holder wakes up.
/// Elsewhere the framework's monotonic clock stands in.
/// </summary>
internal static partial class LeaseClock
{
    private const int BootTime = 7;

    private static readonly bool HasBootTime = OperatingSystem.IsLinux() && IntPtr.Size == 8;

    /// <summary>Time since some start.</summary>
    public static TimeSpan Now
    {
        get
        {
            if (!HasBootTime || GetTime(BootTime, out TimeSpecification time) != 0)
            {
                return Stopwatch.GetElapsedTime(0);
            }

            return TimeSpan.FromTicks((time.Seconds * TimeSpan.TicksPerSecond) + (time.Nanoseconds / 100));
        }
    }

    [LibraryImport("libc", EntryPoint = "clock_gettime")]
    private static partial int GetTime(int clock, out TimeSpecification time);

    [StructLayout(LayoutKind.Sequential)]
    private struct TimeSpecification
    {
        public long Seconds;
        public long Nanoseconds;
    }
}
