using Carillon.Protocols;

namespace Carillon.Runtime.Tests;

public sealed class SystemClockTests
{
    [Fact]
    public void Monotonic_clock_read_again_and_again_never_goes_back()
    {
        SystemClock clock = new();
        Instant last = clock.Now;
        for (int i = 0; i < 100_000; i++)
        {
            Instant now = clock.Now;
            Assert.True(now >= last);
            last = now;
        }
    }

    [Fact]
    public void Monotonic_clock_on_linux_counts_from_the_machines_start()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "CLOCK_BOOTTIME is Linux's");
        string uptime = File.ReadAllText("/proc/uptime").Split(' ')[0];
        double seconds = double.Parse(uptime, System.Globalization.CultureInfo.InvariantCulture);
        Assert.InRange((double)new SystemClock().Now.Ticks / TimeSpan.TicksPerSecond, seconds - 0.02, seconds + 30);
    }

    [Fact]
    public void Wall_clock_with_an_offset_is_off_by_it()
    {
        TimeSpan offset = TimeSpan.FromDays(300);
        WallTime before = new SystemClock().Read().Wall;
        WallTime shifted = new SystemClock(offset).Read().Wall;
        WallTime after = new SystemClock().Read().Wall;
        Assert.InRange(shifted - before, offset, offset + (after - before) + TimeSpan.FromMilliseconds(1));
    }
}
