using System.Runtime.InteropServices;
using System.Text;

namespace Carillon.Runtime.Guarding;

/// <summary>
/// The calls into libc that a guard needs and the framework does not offer: a session of one's own, adopting orphans, a child in a session
/// of its own with chosen descriptors (posix_spawn(3)), locks that a child inherits, and a timer of CLOCK_BOOTTIME. Linux only; structures
/// of the C library are given more room than any of its versions uses.
/// </summary>
internal static unsafe partial class NativeProcesses
{
    public const int SignalTerminate = 15;
    public const int SignalKill = 9;
    public const short PollIn = 1;

    private const int AdoptOrphans = 36; // PR_SET_CHILD_SUBREAPER
    private const int NoHang = 1; // WNOHANG
    private const int BootTime = 7; // CLOCK_BOOTTIME
    private const int AbsoluteTime = 1; // TFD_TIMER_ABSTIME
    private const int TimerCloseOnExec = 0x80000; // TFD_CLOEXEC
    private const int OpenReadWrite = 2;
    private const int OpenCreate = 0x40;
    private const int OpenCloseOnExec = 0x80000;
    private const int LockExclusiveAtOnce = 2 | 4; // LOCK_EX | LOCK_NB
    private const short SpawnSignalDefaults = 0x04;
    private const short SpawnSignalMask = 0x08;
    private const short SpawnNewSession = 0x80; // POSIX_SPAWN_SETSID: glibc 2.26, musl 1.1.22
    private const int Room = 1024;
    private const int PidOpenCall = 434; // pidfd_open: the same number on every architecture

    /// <summary>Leaves the session and the group of whoever started this process: their signals are not meant for it.</summary>
    public static void BeginSession() => _ = SetSession();

    /// <summary>From now on orphaned descendants become children of this process, however they detach themselves.</summary>
    public static bool BecomeReaper() => Control(AdoptOrphans, 1, 0, 0, 0) == 0;

    /// <summary>Sends a signal to a process, or with a negative number to a group. False if there is none.</summary>
    public static bool Signal(int process, int signal) => Kill(process, signal) == 0;

    /// <summary>Takes the end of one child; false if none has ended.</summary>
    public static bool TryReap(out int process, out int status)
    {
        int raw = 0;
        process = WaitFor(-1, &raw, NoHang);
        // An end by a signal is told as a shell would.
        status = (raw & 0x7F) == 0 ? (raw >> 8) & 0xFF : 128 + (raw & 0x7F);
        return process > 0;
    }

    /// <summary>A descriptor that is readable once the process has ended; negative where the kernel has none.</summary>
    public static int OpenProcess(int process) => (int)SystemCall(PidOpenCall, process, 0);

    /// <summary>A timer of the clock that leases are told by.</summary>
    public static int CreateTimer() => TimerCreate(BootTime, TimerCloseOnExec);

    /// <summary>Sets it to an instant of <see cref="SystemClock"/>; one that is past fires at once.</summary>
    public static void SetTimer(int timer, long ticks)
    {
        // Zero would switch it off.
        ticks = Math.Max(ticks, 1);
        TimerSetting setting = default;
        setting.Seconds = ticks / TimeSpan.TicksPerSecond;
        setting.Nanoseconds = (ticks % TimeSpan.TicksPerSecond * 100) + 1;
        _ = TimerSet(timer, AbsoluteTime, &setting, null);
    }

    /// <summary>Opens a lock file; negative if that fails.</summary>
    public static int OpenLock(string path) => Open(path, OpenReadWrite | OpenCreate | OpenCloseOnExec, 0x180 /* 0600 */);

    /// <summary>Takes the lock, if nobody has it. It is given up by the last process that has the descriptor or a copy of it.</summary>
    public static bool TryLock(int file) => Lock(file, LockExclusiveAtOnce) == 0;

    /// <summary>Waits for any of the descriptors to be readable.</summary>
    public static void WaitReadable(Span<PollEntry> entries, int milliseconds)
    {
        fixed (PollEntry* first = entries)
        {
            _ = Poll(first, (nuint)entries.Length, milliseconds);
        }
    }

    /// <summary>Reads what is there; 0 at the end, negative if nothing could be read.</summary>
    public static int Read(int file, Span<byte> into)
    {
        fixed (byte* first = into)
        {
            return (int)ReadBytes(file, first, (nuint)into.Length);
        }
    }

    /// <summary>Writes to a descriptor; whether somebody still reads is not this caller's concern.</summary>
    public static void Write(int file, ReadOnlySpan<byte> bytes)
    {
        fixed (byte* first = bytes)
        {
            _ = WriteBytes(file, first, (nuint)bytes.Length);
        }
    }

    /// <summary>Gives up a descriptor.</summary>
    public static void CloseFile(int file) => _ = Close(file);

    /// <summary>
    /// Starts a program in a session and group of its own, with no input, with default signal handling, with output and errors both
    /// going to
    /// <paramref name="output"/>, and with <paramref name="kept"/> as its descriptor <paramref name="keptAs"/>. Gives its process id, or
    /// the negated error.
    /// </summary>
    public static int Spawn(IReadOnlyList<string> arguments, IReadOnlyList<string> environment, int output, int kept, int keptAs)
    {
        byte** argumentList = null;
        byte** environmentList = null;
        byte* actions = (byte*)NativeMemory.AllocZeroed(Room);
        byte* attributes = (byte*)NativeMemory.AllocZeroed(Room);
        byte* signals = (byte*)NativeMemory.AllocZeroed(Room);
        try
        {
            argumentList = TextList(arguments);
            environmentList = TextList(environment);
            _ = ActionsInit(actions);
            _ = AttributesInit(attributes);
            _ = ActionsAddOpen(actions, 0, "/dev/null", 0, 0);
            _ = ActionsAddDuplicate(actions, output, 1);
            _ = ActionsAddDuplicate(actions, output, 2);
            if (kept >= 0)
            {
                _ = ActionsAddDuplicate(actions, kept, keptAs);
            }

            _ = AttributesSetMask(attributes, signals);
            _ = FillSignals(signals);
            _ = AttributesSetDefaults(attributes, signals);
            _ = AttributesSetFlags(attributes, SpawnSignalDefaults | SpawnSignalMask | SpawnNewSession);
            int process = 0;
            int error = SpawnProgram(&process, argumentList[0], actions, attributes, argumentList, environmentList);
            return error == 0 ? process : -error;
        }
        finally
        {
            _ = ActionsDestroy(actions);
            _ = AttributesDestroy(attributes);
            Free(argumentList);
            Free(environmentList);
            NativeMemory.Free(actions);
            NativeMemory.Free(attributes);
            NativeMemory.Free(signals);
        }
    }

    private static byte** TextList(IReadOnlyList<string> texts)
    {
        byte** list = (byte**)NativeMemory.AllocZeroed((nuint)texts.Count + 1, (nuint)sizeof(byte*));
        for (int i = 0; i < texts.Count; i++)
        {
            int length = Encoding.UTF8.GetByteCount(texts[i]);
            list[i] = (byte*)NativeMemory.AllocZeroed((nuint)length + 1);
            Encoding.UTF8.GetBytes(texts[i], new Span<byte>(list[i], length));
        }

        return list;
    }

    private static void Free(byte** list)
    {
        for (byte** each = list; each is not null && *each is not null; each++)
        {
            NativeMemory.Free(*each);
        }

        NativeMemory.Free(list);
    }

    [LibraryImport("libc", EntryPoint = "setsid")]
    private static partial int SetSession();

    [LibraryImport("libc", EntryPoint = "prctl")]
    private static partial int Control(int option, nuint second, nuint third, nuint fourth, nuint fifth);

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Kill(int process, int signal);

    [LibraryImport("libc", EntryPoint = "waitpid")]
    private static partial int WaitFor(int process, int* status, int options);

    [LibraryImport("libc", EntryPoint = "syscall")]
    private static partial nint SystemCall(nint number, nint first, nint second);

    [LibraryImport("libc", EntryPoint = "timerfd_create")]
    private static partial int TimerCreate(int clock, int flags);

    [LibraryImport("libc", EntryPoint = "timerfd_settime")]
    private static partial int TimerSet(int timer, int flags, TimerSetting* setting, TimerSetting* before);

    [LibraryImport("libc", EntryPoint = "open", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags, int mode);

    [LibraryImport("libc", EntryPoint = "close")]
    private static partial int Close(int file);

    [LibraryImport("libc", EntryPoint = "flock")]
    private static partial int Lock(int file, int operation);

    [LibraryImport("libc", EntryPoint = "poll")]
    private static partial int Poll(PollEntry* entries, nuint count, int milliseconds);

    [LibraryImport("libc", EntryPoint = "read")]
    private static partial nint ReadBytes(int file, byte* into, nuint count);

    [LibraryImport("libc", EntryPoint = "write")]
    private static partial nint WriteBytes(int file, byte* from, nuint count);

    [LibraryImport("libc", EntryPoint = "sigfillset")]
    private static partial int FillSignals(byte* set);

    [LibraryImport("libc", EntryPoint = "posix_spawnp")]
    private static partial int SpawnProgram(
        int* process, byte* file, byte* actions, byte* attributes, byte** arguments, byte** environment);

    [LibraryImport("libc", EntryPoint = "posix_spawn_file_actions_init")]
    private static partial int ActionsInit(byte* actions);

    [LibraryImport("libc", EntryPoint = "posix_spawn_file_actions_destroy")]
    private static partial int ActionsDestroy(byte* actions);

    [LibraryImport("libc", EntryPoint = "posix_spawn_file_actions_addopen", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int ActionsAddOpen(byte* actions, int file, string path, int flags, int mode);

    [LibraryImport("libc", EntryPoint = "posix_spawn_file_actions_adddup2")]
    private static partial int ActionsAddDuplicate(byte* actions, int file, int copy);

    [LibraryImport("libc", EntryPoint = "posix_spawnattr_init")]
    private static partial int AttributesInit(byte* attributes);

    [LibraryImport("libc", EntryPoint = "posix_spawnattr_destroy")]
    private static partial int AttributesDestroy(byte* attributes);

    [LibraryImport("libc", EntryPoint = "posix_spawnattr_setflags")]
    private static partial int AttributesSetFlags(byte* attributes, short flags);

    [LibraryImport("libc", EntryPoint = "posix_spawnattr_setsigdefault")]
    private static partial int AttributesSetDefaults(byte* attributes, byte* signals);

    [LibraryImport("libc", EntryPoint = "posix_spawnattr_setsigmask")]
    private static partial int AttributesSetMask(byte* attributes, byte* signals);

    /// <summary>struct pollfd.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct PollEntry(int file)
    {
        public int File = file;
        public short Wanted = PollIn;
        public short Found;
    }

    /// <summary>struct itimerspec of a 64-bit system; the interval stays zero.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct TimerSetting
    {
        public long IntervalSeconds;
        public long IntervalNanoseconds;
        public long Seconds;
        public long Nanoseconds;
    }
}
