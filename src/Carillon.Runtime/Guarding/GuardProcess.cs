using System.Diagnostics;
using System.Globalization;
using Carillon.Protocols;

namespace Carillon.Runtime.Guarding;

/// <summary>How a guard is started: the executable, and what comes before its hidden word.</summary>
/// <param name="Program">The executable.</param>
/// <param name="Before">For a host of assemblies: the assembly.</param>
public sealed record GuardLauncher(string Program, IReadOnlyList<string> Before);

/// <summary>What a guard tells.</summary>
internal enum GuardSignal
{
    /// <summary>It waits for its run.</summary>
    Ready,

    /// <summary>The command runs; the text is its process id.</summary>
    Started,

    /// <summary>The command could not be started; the text says why. The guard has ended.</summary>
    Failed,

    /// <summary>The lease ends: the command was asked to stop.</summary>
    Lapsed,

    /// <summary>The command has ended; the text is its exit status, 128 and the number for a signal.</summary>
    Exited,

    /// <summary>Nothing of the run is left, and the guard has ended.</summary>
    Gone,
}

/// <summary>A guard as the server sees it: one process for one run. What it tells comes on threads of the pool, in order.</summary>
internal sealed class GuardProcess
{
    private readonly Process _process;
    private readonly Action<GuardProcess, GuardSignal, string> _told;
    private readonly Lock _writing = new();
    private string _lockFile = "";

    private GuardProcess(Process process, Action<GuardProcess, GuardSignal, string> told, Action<string> output)
    {
        _process = process;
        _told = told;
        Completion = Task.WhenAll(ListenAsync(), OutputLines.CopyAsync(process.StandardError.BaseStream, output));
    }

    /// <summary>Ends once the guard has, and all its output was read.</summary>
    public Task Completion { get; }

    /// <summary>Its process id.</summary>
    public int Id { get; private init; }

    /// <summary>Starts one ahead of need, in the folder where its command will run.</summary>
    /// <exception cref="IOException">It can't be started.</exception>
    public static GuardProcess Start(
        GuardLauncher launcher, string folder, Action<GuardProcess, GuardSignal, string> told, Action<string> output)
    {
        var start = new ProcessStartInfo(launcher.Program)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            UseShellExecute = false,
            WorkingDirectory = folder,
        };
        foreach (string argument in (string[])[.. launcher.Before, GuardProgram.Word])
        {
            start.ArgumentList.Add(argument);
        }

        // A guard is small: it needs neither many heaps nor ports for diagnosis.
        start.Environment["DOTNET_gcServer"] = "0";
        start.Environment["DOTNET_EnableDiagnostics"] = "0";
        start.Environment["DOTNET_TieredPGO"] = "0";
        try
        {
            Process process = Process.Start(start) ?? throw new IOException($"{launcher.Program} did not start");
            return new GuardProcess(process, told, output) { Id = process.Id };
        }
        catch (System.ComponentModel.Win32Exception fault)
        {
            throw new IOException($"{launcher.Program} can't be started: {fault.Message}", fault);
        }
    }

    /// <summary>Gives it its run.</summary>
    public void Run(GuardRun run)
    {
        _lockFile = run.LockFile;
        Write(GuardOrder.Run(run));
    }

    /// <summary>The lease ends later.</summary>
    public void Extend(Instant leaseEnd) => Write(GuardOrder.Lease(leaseEnd));

    /// <summary>Stops the command; a guard without a run ends.</summary>
    public void Stop(Instant deadline) => Write(GuardOrder.Stop(deadline));

    private void Write(string line)
    {
        try
        {
            lock (_writing)
            {
                _process.StandardInput.Write(line + "\n");
                _process.StandardInput.Flush();
            }
        }
        catch (Exception gone) when (gone is IOException or ObjectDisposedException)
        {
            // It has ended, and its end is told already.
            return;
        }
    }

    private async Task ListenAsync()
    {
        bool gone = false;
        while (!gone && await ReadLineAsync() is { } line)
        {
            string[] words = line.Split(' ', 2);
            string detail = words.Length > 1 ? words[1] : "";
            // Nothing is left of the run then, but for the guard itself: a next run waits for its lock, nobody else for its end.
            gone = words[0] is "gone" or "failed";

            if (Enum.TryParse(words[0], ignoreCase: true, out GuardSignal signal))
            {
                _told(this, signal, detail);
            }
        }

        await _process.WaitForExitAsync();
        if (!gone)
        {
            // It was killed. Its command dies with it; what that one had started is found by the lock.
            if (_lockFile.Length > 0)
            {
                await RunLock.ClearAsync(_lockFile);
            }

            _told(this, GuardSignal.Exited, string.Create(CultureInfo.InvariantCulture, $"{_process.ExitCode} of its guard"));
            _told(this, GuardSignal.Gone, "");
        }
    }

    private async Task<string?> ReadLineAsync()
    {
        try
        {
            return await _process.StandardOutput.ReadLineAsync();
        }
        catch (IOException)
        {
            return null;
        }
    }
}
