#if SEEDED_BUGS
using Carillon.Protocols;
using Carillon.Storage.Log;
using Xunit;

namespace Carillon.Storage.Tests.Log;

/// <summary>
/// The deliberate bugs of the log are found by its own tests too. Alone, since a bug is switched on for the whole process.
/// </summary>
[CollectionDefinition(nameof(SegmentLogSeededBugTests), DisableParallelization = true)]
[Collection(nameof(SegmentLogSeededBugTests))]
public sealed class SegmentLogSeededBugTests
{
    [Theory]
    [InlineData("log-complete-before-flush")]
    [InlineData("log-trusts-the-kernels-cache")]
    [InlineData("log-frees-before-cut-is-durable")]
    public void Seeded_bug_is_found_by_the_same_runs(string bug)
    {
        SeededBug.Active = bug;
        try
        {
            Assert.ThrowsAny<Exception>(() =>
            {
                for (ulong round = 0; round < 200; round++)
                {
                    new CrashRun(round).Go();
                }
            });
        }
        finally
        {
            SeededBug.Active = null;
        }
    }

    [Fact]
    public void Corruption_taken_for_a_torn_tail_is_found_by_the_table()
    {
        SeededBug.Active = "log-accepts-corrupt-middle";
        try
        {
            Assert.Contains(RecoveryTable.Rows, row => RecoveryTable.Decide(row.Here, row.Behind) != row.Step);
        }
        finally
        {
            SeededBug.Active = null;
        }
    }
}
#endif
