using System.Collections.Concurrent;
using System.Diagnostics;
using Cluster.Tests.Guarding;
using Xunit;

namespace Cluster.Tests.Processes;

/// <summary>One <c>carillon server</c> as a process of its own. It ends with the test's, whatever happens to that.</summary>
internal sealed class ServerProcess : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly Process _process;
    private readonly ConcurrentQueue<string> _lines = new();

    public ServerProcess(string configuration)
    {
        var start = new ProcessStartInfo(GuardUnderTest.Launcher.Program)
        {
            RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true, UseShellExecute = false,
        };
        foreach (string argument in GuardUnderTest.Launcher.Before)
        {
            start.ArgumentList.Add(argument);
        }

        foreach (string argument in (string[])["server", "--config", configuration, "--until-stdin-ends"])
        {
            start.ArgumentList.Add(argument);
        }

        _process = Process.Start(start)!;
        _process.OutputDataReceived += (_, line) => Keep(line.Data);
        _process.ErrorDataReceived += (_, line) => Keep(line.Data);
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
    }

    /// <summary>All that it has said.</summary>
    public string Said => string.Join('\n', _lines);

    /// <summary>True once it runs no more.</summary>
    public bool HasEnded => _process.HasExited;

    /// <summary>Ends it as a power failure of the process would: nothing of it runs on.</summary>
    public async Task KillAsync()
    {
        _process.Kill();
        await EndAsync();
    }

    /// <summary>Halts it (SIGSTOP), or lets it go on (SIGCONT).</summary>
    public void Halt(bool halts)
    {
        string id = _process.Id.ToString(System.Globalization.CultureInfo.InvariantCulture);
        using Process signal = Process.Start("kill", [halts ? "-STOP" : "-CONT", id]);
        Assert.True(signal.WaitForExit(Patience) && signal.ExitCode == 0);
    }

    /// <summary>Waits until it has ended by itself.</summary>
    public async Task<int> EndAsync()
    {
        await _process.WaitForExitAsync(TestContext.Current.CancellationToken).WaitAsync(Patience, TestContext.Current.CancellationToken);
        return _process.ExitCode;
    }

    public void Dispose()
    {
        if (!_process.HasExited)
        {
            _process.Kill();
            _process.WaitForExit(Patience);
        }

        _process.Dispose();
    }

    private void Keep(string? line)
    {
        if (line is not null)
        {
            _lines.Enqueue(line);
        }
    }
}
