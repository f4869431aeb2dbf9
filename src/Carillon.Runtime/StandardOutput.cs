using System.Runtime.InteropServices;

namespace Carillon.Runtime;

/// <summary>The process's standard output, as far as the framework does not tell of it.</summary>
public static partial class StandardOutput
{
    private const int Descriptor = 1;
    private const int Interrupted = 4; // EINTR
    private const short Error = 0x8; // POLLERR, the same on Linux, macOS and the BSDs

    /// <summary>
    /// Ends when nobody reads the pipe any more that the output goes into: writes to it go nowhere then, and the framework's console passes
    /// over that in silence. Never, where it is no pipe, and on Windows.
    /// </summary>
    public static Task ReaderGoneAsync()
    {
        var gone = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        if (!OperatingSystem.IsWindows())
        {
            // It sleeps in the system until then, and ends with the process at the latest.
            new Thread(() => Wait(gone)) { IsBackground = true, Name = "output's reader" }.Start();
        }

        return gone.Task;
    }

    private static void Wait(TaskCompletionSource gone)
    {
        var watched = new Watched { Descriptor = Descriptor };
        int told;
        do
        {
            told = Poll(ref watched, 1, -1);
        }
        while (told < 0 && Marshal.GetLastPInvokeError() == Interrupted);

        // Nothing is waited for but what is always told: that the pipe has no other end. A hang-up of a terminal ends the process anyway.
        if (told > 0 && (watched.Happened & Error) != 0)
        {
            gone.TrySetResult();
        }
    }

    [LibraryImport("libc", EntryPoint = "poll", SetLastError = true)]
    private static partial int Poll(ref Watched watched, nuint count, int milliseconds);

    [StructLayout(LayoutKind.Sequential)]
    private struct Watched
    {
        public int Descriptor;
        public short Wanted;
        public short Happened;
    }
}
