using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using Carillon.Protocols;

namespace Carillon.Runtime.Guarding;

/// <summary>What a guard is about.</summary>
internal enum GuardState
{
    /// <summary>Started ahead of need: it waits for its run.</summary>
    Waiting,

    /// <summary>Something of an earlier run still has the lock.</summary>
    Locking,

    /// <summary>The command runs.</summary>
    Running,

    /// <summary>SIGTERM was sent.</summary>
    Terminating,

    /// <summary>The command has ended, or its time has: whatever it started is killed until nothing is left.</summary>
    Killing,

    /// <summary>Nothing of the run is left.</summary>
    Gone,
}

/// <summary>
/// The process between a server and a user's command (2-primacy, "Fences"): it alone decides that the command's time is over, by a timer
/// of CLOCK_BOOTTIME, so that nothing that happens to the server (killed, stopped, paused, its pipe full) lets the command act beyond its
/// lease. It has its own session, adopts what the command's descendants leave behind, and ends only when nothing of the run is left.
/// </summary>
/// <remarks>
/// If the guard itself is killed, the kernel kills the command (PR_SET_PDEATHSIG by setpriv(1), where that is installed), and what else
/// the command started is found by the lock that it inherited, by the server or by the next guard.
/// </remarks>
public sealed class GuardProgram
{
    /// <summary>The hidden word on the command line.</summary>
    public const string Word = "guard";

    /// <summary>SIGKILL comes this long before the lease's end: on a busy machine the guard, too, waits for its turn.</summary>
    private static readonly TimeSpan KillMargin = TimeSpan.FromMilliseconds(100);

    /// <summary>Between two looks at what is left, and at a lock that is taken.</summary>
    private static readonly TimeSpan Look = TimeSpan.FromMilliseconds(10);

    /// <summary>Orphans are reaped at least this often.</summary>
    private static readonly TimeSpan ReapInterval = TimeSpan.FromSeconds(1);

    /// <summary>At most this part of the lease that was left when it was last told is spent on SIGTERM's grace: silence of the voters
    /// shorter than the rest ends nothing.</summary>
    private const double LargestGracePart = 1.0 / 3;

    private const int LockDescriptor = 250;
    private const int ServerPipe = 0;
    private const int StatusPipe = 1;
    private const int OutputPipe = 2;

    private readonly SystemClock _clock = new();
    private readonly List<byte> _line = [];
    private readonly byte[] _buffer = new byte[4096];
    private readonly int _timer = NativeProcesses.CreateTimer();
    private GuardState _state = GuardState.Waiting;
    private GuardRun _run = new();
    private bool _serverGone;
    private bool _deathSignal;
    private int _command;
    private int _commandHandle = -1;
    private int _lock = -1;
    private Instant _leaseEnd = Instant.Never;
    private Instant _terminateAt = Instant.Never;
    private Instant _killAt = Instant.Never;
    private Instant _patienceEnd = Instant.Never;

    private GuardProgram()
    {
    }

    /// <summary>Runs one guard to its end; the exit code is the program's.</summary>
    public static int Run()
    {
        if (!OperatingSystem.IsLinux() || IntPtr.Size != 8)
        {
            Console.Error.WriteLine("carillon guard: commands of services need 64-bit Linux");
            return 1;
        }

        NativeProcesses.BeginSession();
        // A service manager that stops the server may signal all its processes; the pipe's end tells the guard what to do.
        PosixSignal[] ignored = [PosixSignal.SIGTERM, PosixSignal.SIGINT, PosixSignal.SIGHUP, PosixSignal.SIGQUIT];
        PosixSignalRegistration[] registrations =
            [.. ignored.Select(signal => PosixSignalRegistration.Create(signal, context => context.Cancel = true))];
        var guard = new GuardProgram();
        guard.Loop();
        GC.KeepAlive(registrations);
        return 0;
    }

    private static TimeSpan Grace(GuardRun run) => TimeSpan.FromMilliseconds(Math.Clamp(run.GraceMilliseconds, 0, 3_600_000));

    private void Loop()
    {
        if (!NativeProcesses.BecomeReaper())
        {
            Say("failed the kernel refuses to let this process adopt orphans");
            return;
        }

        Prepare();
        Say("ready");
        while (_state != GuardState.Gone)
        {
            Wait();
            Advance();
        }
    }

    /// <summary>What must be quick later is done once now: code is compiled, and what the machine offers is found out.</summary>
    private void Prepare()
    {
        _ = JsonSerializer.Deserialize(GuardOrder.Run(new GuardRun())["run ".Length..], GuardJson.Default.GuardRun);
        string[] probe = ["setpriv", "--pdeathsig", "KILL", "--", "true"];
        int process = NativeProcesses.Spawn(probe, ["PATH=" + Environment.GetEnvironmentVariable("PATH")], OutputPipe, -1, -1);
        ProcessTree.DescendantsOf(Environment.ProcessId);
        for (int status = -1; process > 0 && status < 0;)
        {
            if (!NativeProcesses.TryReap(out int ended, out status))
            {
                status = -1;
                NativeProcesses.WaitReadable([], 1);
            }
            else
            {
                _deathSignal = ended == process && status == 0;
            }
        }
    }

    private void Wait()
    {
        NativeProcesses.SetTimer(_timer, NextWake(_clock.Now).Ticks);
        Span<NativeProcesses.PollEntry> entries =
        [
            new(_timer), new(_serverGone ? -1 : ServerPipe), new(_commandHandle),
        ];
        NativeProcesses.WaitReadable(entries, -1);
        if (entries[1].Found == 0)
        {
            return;
        }

        int count = NativeProcesses.Read(ServerPipe, _buffer);
        if (count <= 0)
        {
            _serverGone = true;
            ServerGone();
            return;
        }

        foreach (byte each in _buffer.AsSpan(0, count))
        {
            if (each != '\n')
            {
                _line.Add(each);
                continue;
            }

            Obey(Encoding.UTF8.GetString(CollectionsMarshal.AsSpan(_line)));
            _line.Clear();
        }

        if (_line.Count > GuardOrder.MaxLineBytes)
        {
            _serverGone = true;
            ServerGone();
        }
    }

    private Instant NextWake(Instant now) => _state switch
    {
        GuardState.Waiting => Instant.Never,
        GuardState.Locking or GuardState.Killing => now + Look,
        _ => Instant.Min(Instant.Min(_terminateAt, _killAt), now + ReapInterval),
    };

    private void Obey(string order)
    {
        string[] words = order.Split(' ', 2);
        Instant now = _clock.Now;
        switch (words[0])
        {
            case "run" when _state == GuardState.Waiting:
                Begin(JsonSerializer.Deserialize(words[1], GuardJson.Default.GuardRun)!, now);
                break;
            case "lease" when _state is GuardState.Locking or GuardState.Running or GuardState.Terminating:
                Extend(new Instant(long.Parse(words[1], CultureInfo.InvariantCulture)), now);
                break;
            case "stop":
                Stop(new Instant(long.Parse(words[1], CultureInfo.InvariantCulture)), now);
                break;
        }
    }

    private void Begin(GuardRun run, Instant now)
    {
        _run = run;
        _lock = NativeProcesses.OpenLock(run.LockFile);
        if (_lock < 0)
        {
            Fail($"can't open {run.LockFile}");
            return;
        }

        _state = GuardState.Locking;
        _patienceEnd = now + Grace(run);
        Extend(new Instant(run.LeaseEnd), now);
    }

    private void Extend(Instant leaseEnd, Instant now)
    {
        // Leases only grow; and once SIGTERM was sent, the end is settled.
        if (_leaseEnd != Instant.Never && leaseEnd <= _leaseEnd)
        {
            return;
        }

        _leaseEnd = leaseEnd;
        if (leaseEnd == Instant.Never || _state == GuardState.Terminating)
        {
            return;
        }

        _killAt = leaseEnd - KillMargin;
        TimeSpan most = (leaseEnd - now) * LargestGracePart;
        _terminateAt = _killAt - (most < Grace(_run) ? most : Grace(_run));
    }

    private void Stop(Instant deadline, Instant now)
    {
        switch (_state)
        {
            case GuardState.Waiting:
            case GuardState.Locking:
                _state = GuardState.Gone;
                Say("gone");
                break;
            case GuardState.Running:
                Terminate(Instant.Min(deadline - KillMargin, now + Grace(_run)));
                break;
            case GuardState.Terminating:
                _killAt = Instant.Min(_killAt, deadline - KillMargin);
                break;
        }
    }

    /// <summary>The pipe has ended: the command is stopped in good order, and its lease is still the bound.</summary>
    private void ServerGone() => Stop(Instant.Never, _clock.Now);

    private void Terminate(Instant killAt)
    {
        _state = GuardState.Terminating;
        _killAt = Instant.Min(_killAt, killAt);
        _terminateAt = Instant.Never;
        NativeProcesses.Signal(-_command, NativeProcesses.SignalTerminate);
    }

    private void Advance()
    {
        Instant now = _clock.Now;
        if (_state == GuardState.Locking)
        {
            TakeLock(now);
        }

        Reap();
        // What was read late, after a pause, must not hide that the time is over: the clock is looked at after all orders.
        if (_state == GuardState.Running && now >= _terminateAt)
        {
            Say("lapsed");
            Terminate(_killAt);
        }

        if (_state is GuardState.Running or GuardState.Terminating && now >= _killAt)
        {
            _state = GuardState.Killing;
        }

        if (_state == GuardState.Killing)
        {
            KillAll();
        }
    }

    private void TakeLock(Instant now)
    {
        if (now >= _killAt)
        {
            Fail("something of an earlier run is still there");
            return;
        }

        if (NativeProcesses.TryLock(_lock))
        {
            Start();
            return;
        }

        if (now >= _patienceEnd)
        {
            RunLock.KillHolders(_run.LockFile);
        }
    }

    private void Start()
    {
        string[] before = _deathSignal ? ["setpriv", "--pdeathsig", "KILL", "--"] : [];
        int process = NativeProcesses.Spawn([.. before, .. _run.Arguments], _run.Environment, OutputPipe, _lock, LockDescriptor);
        if (process < 0)
        {
            Fail($"{_run.Arguments[0]} can't be started: {Marshal.GetPInvokeErrorMessage(-process)}");
            return;
        }

        _command = process;
        _commandHandle = NativeProcesses.OpenProcess(process);
        _state = GuardState.Running;
        Say(string.Create(CultureInfo.InvariantCulture, $"started {process}"));
    }

    private void Reap()
    {
        while (NativeProcesses.TryReap(out int process, out int status))
        {
            if (process != _command)
            {
                continue;
            }

            _command = 0;
            NativeProcesses.CloseFile(_commandHandle);
            _commandHandle = -1;
            _state = GuardState.Killing;
            Say(string.Create(CultureInfo.InvariantCulture, $"exited {status}"));
        }
    }

    private void KillAll()
    {
        // One that is killed may have started another meanwhile: until none is found twice running nothing is over.
        List<int> left = ProcessTree.DescendantsOf(Environment.ProcessId);
        if (_command != 0)
        {
            NativeProcesses.Signal(-_command, NativeProcesses.SignalKill);
        }

        foreach (int process in left)
        {
            NativeProcesses.Signal(process, NativeProcesses.SignalKill);
        }

        Reap();
        if (left.Count == 0 && _command == 0)
        {
            _state = GuardState.Gone;
            Say("gone");
        }
    }

    private void Fail(string why)
    {
        _state = GuardState.Gone;
        Say("failed " + why);
    }

    private static void Say(string line) => NativeProcesses.Write(StatusPipe, Encoding.UTF8.GetBytes(line + "\n"));
}
