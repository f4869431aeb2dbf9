using Xunit;

namespace Carillon.Storage.Tests.Log;

/// <summary>
/// Random work with crashes at any point: whatever pages the power cut takes or tears, every durable record is there, in order, with
/// its bytes, and none that was never appended.
/// </summary>
public sealed class SegmentLogCrashTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public void Records_durable_survive_any_crash_and_none_is_invented(ulong seed)
    {
        for (ulong round = 0; round < 40; round++)
        {
            new CrashRun((seed * 1000) + round).Go();
        }
    }

    [Fact(Explicit = true)]
    public void Campaign_of_20_000_seeds()
    {
        for (ulong seed = 100_000; seed < 120_000; seed++)
        {
            new CrashRun(seed).Go();
        }
    }
}
