using System.Collections.Concurrent;
using System.Globalization;
using Carillon.Protocols;
using Carillon.Runtime;
using Carillon.Runtime.Guarding;

namespace Cluster.Tests.Guarding;

/// <summary>A real guard process with a folder of its own, and what it told.</summary>
internal sealed class GuardUnderTest : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    private readonly ConcurrentDictionary<GuardSignal, TaskCompletionSource<string>> _signals = new();
    private readonly ConcurrentQueue<string> _output = new();
    private readonly TaskCompletionSource<string> _firstLine = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly bool _ownsFolder;

    public GuardUnderTest(string? folder = null)
    {
        _ownsFolder = folder is null;
        Folder = folder ?? Directory.CreateTempSubdirectory("carillon-guard-").FullName;
        Process = GuardProcess.Start(
            Launcher, Folder, (_, signal, text) => Of(signal).TrySetResult(text), line =>
            {
                _output.Enqueue(line);
                _firstLine.TrySetResult(line);
            });
    }

    /// <summary>The program itself, as it is copied beside these tests.</summary>
    public static GuardLauncher Launcher { get; } =
        new(Environment.ProcessPath is { } host && Path.GetFileNameWithoutExtension(host) == "dotnet" ? host : "dotnet",
            [Path.Combine(AppContext.BaseDirectory, "carillon.dll")]);

    public static SystemClock Clock { get; } = new();

    public GuardProcess Process { get; }

    public string Folder { get; }

    public string LockFile => Path.Combine(Folder, "lock");

    public IReadOnlyCollection<string> Output => _output;

    /// <summary>The lease's end that the guard was told.</summary>
    public Instant LeaseEnd { get; private set; }

    /// <summary>Runs a shell's text under a lease of so long.</summary>
    public async Task<int> RunAsync(string text, TimeSpan? lease, TimeSpan? grace = null)
    {
        await SignalAsync(GuardSignal.Ready);
        LeaseEnd = lease is { } time ? Clock.Now + time : Instant.Never;
        Process.Run(new GuardRun
        {
            Arguments = ["sh", "-c", text],
            Environment = ["PATH=" + Environment.GetEnvironmentVariable("PATH"), "CARILLON_EPOCH=7"],
            LockFile = LockFile,
            GraceMilliseconds = (long)(grace ?? TimeSpan.FromSeconds(1)).TotalMilliseconds,
            LeaseEnd = LeaseEnd.Ticks,
        });
        return int.Parse(await SignalAsync(GuardSignal.Started), CultureInfo.InvariantCulture);
    }

    public Task<string> SignalAsync(GuardSignal signal) => Of(signal).Task.WaitAsync(Patience);

    public Task<string> FirstLineAsync() => _firstLine.Task.WaitAsync(Patience);

    public bool Told(GuardSignal signal) => Of(signal).Task.IsCompleted;

    /// <summary>True if the process is there and is not only waiting to be reaped.</summary>
    public static bool Runs(int process)
    {
        try
        {
            string stat = File.ReadAllText(string.Create(CultureInfo.InvariantCulture, $"/proc/{process}/stat"));
            return stat[stat.LastIndexOf(')') + 2] is not ('Z' or 'X');
        }
        catch (IOException)
        {
            return false;
        }
    }

    public void Dispose()
    {
        Process.Stop(Clock.Now);
        Process.Completion.Wait(Patience);
        if (_ownsFolder)
        {
            Directory.Delete(Folder, recursive: true);
        }
    }

    private TaskCompletionSource<string> Of(GuardSignal signal) =>
        _signals.GetOrAdd(signal, _ => new TaskCompletionSource<string>(TaskCreationOptions.RunContinuationsAsynchronously));
}
