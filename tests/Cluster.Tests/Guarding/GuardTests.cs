using System.Diagnostics;
using System.Globalization;
using Carillon.Runtime.Guarding;
using Xunit;

namespace Cluster.Tests.Guarding;

/// <summary>The guard with real processes: whatever happens, nothing of a run is left at its lease's end.</summary>
public sealed class GuardTests
{
    private const string Forever = "while :; do sleep 0.05; done";
    private const string DeafForever = "trap '' TERM; echo up; while :; do sleep 0.05; done";

    private static readonly TimeSpan Short = TimeSpan.FromSeconds(1.2);
    private static readonly TimeSpan Long = TimeSpan.FromMinutes(5);

    [Fact]
    public async Task Command_that_heeds_no_signal_is_killed_before_the_lease_ends()
    {
        SkipElsewhere();
        using var guard = new GuardUnderTest();
        // It tells how late it is by the clock that its lease is told by.
        int process = await guard.RunAsync("trap '' TERM; while read -r now idle < /proc/uptime; do echo $now; sleep 0.01; done", Short);
        await guard.SignalAsync(GuardSignal.Lapsed);
        Assert.Equal("137", await guard.SignalAsync(GuardSignal.Exited));
        await guard.SignalAsync(GuardSignal.Gone);
        Assert.False(GuardUnderTest.Runs(process));
        await guard.Process.Completion;
        double last = double.Parse(guard.Output.Last(), CultureInfo.InvariantCulture);
        Assert.InRange(last, 0, guard.LeaseEnd.Ticks / (double)TimeSpan.TicksPerSecond);
    }

    [Fact]
    public async Task Extended_lease_lets_the_command_live()
    {
        SkipElsewhere();
        using var guard = new GuardUnderTest();
        using var other = new GuardUnderTest();
        int process = await guard.RunAsync(Forever, Short);
        guard.Process.Extend(GuardUnderTest.Clock.Now + Long);
        await other.RunAsync(Forever, Short + TimeSpan.FromSeconds(0.3));
        await other.SignalAsync(GuardSignal.Gone);
        Assert.True(GuardUnderTest.Runs(process));
        Assert.False(guard.Told(GuardSignal.Lapsed));
        guard.Process.Stop(GuardUnderTest.Clock.Now + Long);
        Assert.Equal("143", await guard.SignalAsync(GuardSignal.Exited));
    }

    [Fact]
    public async Task Descendant_in_a_session_of_its_own_is_killed_too()
    {
        SkipElsewhere();
        using var guard = new GuardUnderTest();
        await guard.RunAsync($"setsid sh -c 'trap \"\" TERM; echo $$; {Forever}' & {Forever}", Long);
        int escaped = int.Parse(await guard.FirstLineAsync(), CultureInfo.InvariantCulture);
        Assert.True(GuardUnderTest.Runs(escaped));
        guard.Process.Stop(GuardUnderTest.Clock.Now + Long);
        await guard.SignalAsync(GuardSignal.Gone);
        Assert.False(GuardUnderTest.Runs(escaped));
    }

    [Fact]
    public async Task Descendants_die_when_the_command_ends_by_itself()
    {
        SkipElsewhere();
        using var guard = new GuardUnderTest();
        await guard.RunAsync($"mkfifo up; setsid sh -c 'echo $$; echo > up; {Forever}' & read -r line < up; exit 3", Long);
        int left = int.Parse(await guard.FirstLineAsync(), CultureInfo.InvariantCulture);
        Assert.Equal("3", await guard.SignalAsync(GuardSignal.Exited));
        await guard.SignalAsync(GuardSignal.Gone);
        Assert.False(GuardUnderTest.Runs(left));
    }

    [Fact]
    public async Task Exit_status_of_the_command_is_told()
    {
        SkipElsewhere();
        using var guard = new GuardUnderTest();
        await guard.RunAsync("echo epoch $CARILLON_EPOCH; exit 3", Long);
        Assert.Equal("3", await guard.SignalAsync(GuardSignal.Exited));
        await guard.SignalAsync(GuardSignal.Gone);
        await guard.Process.Completion;
        Assert.Equal(["epoch 7"], guard.Output);
    }

    [Fact]
    public async Task Killed_guard_takes_its_command_along()
    {
        SkipElsewhere();
        using var guard = new GuardUnderTest();
        int process = await guard.RunAsync($"setsid sh -c '{Forever}' & {Forever}", Long);
        Assert.True(NativeProcesses.Signal(guard.Process.Id, NativeProcesses.SignalKill));
        await guard.SignalAsync(GuardSignal.Gone);
        Assert.False(GuardUnderTest.Runs(process));
        Assert.Empty(ProcessTree.HoldersOf(guard.LockFile));
    }

    [Fact]
    public async Task Second_run_begins_only_when_nothing_of_the_first_is_left()
    {
        SkipElsewhere();
        using var first = new GuardUnderTest();
        using var second = new GuardUnderTest(first.Folder);
        int before = await first.RunAsync(DeafForever, Long, TimeSpan.FromMilliseconds(300));
        await first.FirstLineAsync();
        Task<int> started = second.RunAsync(Forever, Long, TimeSpan.FromSeconds(60));
        await second.SignalAsync(GuardSignal.Ready);
        first.Process.Stop(GuardUnderTest.Clock.Now + Long);
        await first.SignalAsync(GuardSignal.Gone);
        Assert.False(GuardUnderTest.Runs(before));
        await started;
    }

    [Fact]
    public async Task What_keeps_the_lock_beyond_its_grace_is_killed_by_the_next_run()
    {
        SkipElsewhere();
        using var guard = new GuardUnderTest();
        // What a guard that was killed with its server left behind.
        using var left = Process.Start(new ProcessStartInfo("flock", [guard.LockFile, "sh", "-c", DeafForever])
        {
            RedirectStandardOutput = true, UseShellExecute = false,
        })!;
        await left.StandardOutput.ReadLineAsync();
        await guard.RunAsync(Forever, Long, TimeSpan.FromMilliseconds(100));
        await left.WaitForExitAsync();
        Assert.Equal([guard.Process.Id], ProcessTree.HoldersOf(guard.LockFile).Where(IsGuard));
    }

    [Fact]
    public async Task Program_that_is_not_there_ends_with_127()
    {
        SkipElsewhere();
        using var guard = new GuardUnderTest();
        await guard.RunAsync("exec no-such-program-here", Long);
        Assert.Equal("127", await guard.SignalAsync(GuardSignal.Exited));
    }

    // A process that has ended since it was listed is none.
    private static bool IsGuard(int process)
    {
        try
        {
            return File.ReadAllText(string.Create(CultureInfo.InvariantCulture, $"/proc/{process}/cmdline"))
                .Contains(GuardProgram.Word, StringComparison.Ordinal);
        }
        catch (IOException)
        {
            return false;
        }
    }

    private static void SkipElsewhere() =>
        Assert.SkipUnless(OperatingSystem.IsLinux() && File.Exists("/bin/sh"), "commands of services need Linux and sh");
}
