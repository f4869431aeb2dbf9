using System.Diagnostics;
using System.Globalization;
using Carillon.Protocols.Cluster;

namespace Carillon.Development;

/// <summary>
/// One server of a development cluster, as a child process of its own. It stops when its standard input ends, and that is a pipe
/// whose other end only this process has: however this process dies, no server outlives it.
/// </summary>
internal sealed class DevServer : IAsyncDisposable
{
    private static readonly TimeSpan StopTime = TimeSpan.FromSeconds(10);

    private readonly string _configuration;
    private readonly string _log;
    private Process? _process;
    private Task _copying = Task.CompletedTask;

    public DevServer(ServerRecord record, string configuration, string log)
    {
        Record = record;
        _configuration = configuration;
        _log = log;
    }

    public ServerRecord Record { get; }

    public string Address => string.Create(CultureInfo.InvariantCulture, $"http://{Record.Host}:{Record.HttpPort}");

    /// <summary>Its process id while it runs.</summary>
    public int? ProcessId { get; private set; }

    /// <summary>Starts it.</summary>
    public void Start()
    {
        (string program, IReadOnlyList<string> before) = ThisProgram.Find();
        var start = new ProcessStartInfo(program)
        {
            RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true, UseShellExecute = false,
        };
        foreach (string argument in (string[])[.. before, "server", "--config", _configuration, "--until-stdin-ends"])
        {
            start.ArgumentList.Add(argument);
        }

        _process = Process.Start(start) ?? throw new IOException($"{program} did not start");
        ProcessId = _process.Id;
        _copying = CopyOutputAsync(_process);
    }

    /// <summary>Waits until it has ended, and tells how.</summary>
    public async Task<string> WaitAsync(CancellationToken cancellation)
    {
        await _process!.WaitForExitAsync(cancellation);
        ProcessId = null;
        int code = _process.ExitCode;
        return code > 128
            ? string.Create(CultureInfo.InvariantCulture, $"signal {code - 128}")
            : string.Create(CultureInfo.InvariantCulture, $"exit code {code}");
    }

    /// <summary>The last lines of what it said.</summary>
    public IEnumerable<string> LastLines(int count)
    {
        try
        {
            return File.ReadLines(_log).TakeLast(count).ToArray();
        }
        catch (IOException)
        {
            return [];
        }
    }

    /// <summary>Ends it at once, as a power cut would.</summary>
    public async Task KillAsync()
    {
        _process!.Kill();
        await _process.WaitForExitAsync();
        ProcessId = null;
    }

    /// <summary>Asks it to stop, and makes it where it does not.</summary>
    public async ValueTask DisposeAsync()
    {
        if (_process is not { } process)
        {
            return;
        }

        if (!process.HasExited)
        {
            process.StandardInput.Close();
            using var patience = new CancellationTokenSource(StopTime);
            try
            {
                await process.WaitForExitAsync(patience.Token);
            }
            catch (OperationCanceledException)
            {
                process.Kill();
                await process.WaitForExitAsync(CancellationToken.None);
            }
        }

        await _copying;
        process.Dispose();
        _process = null;
        ProcessId = null;
    }

    private async Task CopyOutputAsync(Process process)
    {
        await using var log = new StreamWriter(
            new FileStream(_log, FileMode.Append, FileAccess.Write, FileShare.ReadWrite)) { AutoFlush = true };
        Lock writing = new();
        await Task.WhenAll(CopyAsync(process.StandardOutput), CopyAsync(process.StandardError));

        async Task CopyAsync(StreamReader reader)
        {
            while (await reader.ReadLineAsync() is { } line)
            {
                lock (writing)
                {
                    log.WriteLine(line);
                }
            }
        }
    }
}
