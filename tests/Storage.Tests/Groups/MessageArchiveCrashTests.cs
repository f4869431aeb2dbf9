using Carillon.Simulator.World;
using Carillon.Storage.Groups;
using Xunit;

namespace Carillon.Storage.Tests.Groups;

/// <summary>Power cuts: in random lives beside a model, and at each step of a trim and of a replacement.</summary>
public sealed class MessageArchiveCrashTests
{
    [Theory]
    [InlineData(1, 250)]
    public void Archive_cut_off_at_any_step_keeps_what_it_promised(int first, int seeds)
    {
        for (int seed = first; seed < first + seeds; seed++)
        {
            using var run = new ArchiveCrashRun((ulong)seed);
            run.Go();
        }
    }

    [Fact]
    public void Trim_cut_off_at_each_step_keeps_the_old_point_or_the_new_one_with_its_sessions()
    {
        for (int step = 0; step < 6; step++)
        {
            foreach (CrashStyle style in Enum.GetValues<CrashStyle>())
            {
                using var test = new ArchiveUnderTest((ulong)step + 1);
                test.Fill(100);
                test.Trim(20);
                test.RunWorks();
                test.Trim(60);
                bool isDurable = RunSteps(test, step);
                test.CutPower(style);
                Assert.True(test.First == 60 || (!isDurable && test.First == 20));
                Assert.Equal(100UL, test.Durable);
                test.AssertServesAll();
                test.RunWorks();
                test.Restart();
                test.AssertServesAll();
                Assert.True(test.SegmentStarts[1] > test.First, "a segment is left that holds nothing that is kept");
            }
        }
    }

    [Fact]
    public void Replacement_cut_off_at_each_step_shows_all_of_the_old_content_or_none()
    {
        for (int step = 0; step < 6; step++)
        {
            foreach (CrashStyle style in Enum.GetValues<CrashStyle>())
            {
                using var test = new ArchiveUnderTest((ulong)step + 1);
                test.Fill(100);
                test.StartAt(80);
                bool isDurable = RunSteps(test, step);
                test.CutPower(style);
                Assert.True(test.First == 80 || (!isDurable && test.First == 1));
                Assert.Equal(test.First == 80 ? 79UL : 100, test.Durable);
                test.AssertServesAll();
                test.RunWorks();
                Assert.Equal(test.First == 80, test.FilesOf(".messages").Count == 0);
                test.Fill(120);
                test.Restart();
                test.AssertServesAll();
            }
        }
    }

    [Fact]
    public void Batch_that_survived_a_failed_flush_in_the_cache_is_durable_once_a_new_process_counts_on_it()
    {
        for (ulong seed = 1; seed <= 20; seed++)
        {
            using var test = new ArchiveUnderTest(seed);
            test.Fill(10);
            Assert.True(test.Archive.TryAppend(ArchiveUnderTest.At(11)));
            test.Device.Faults.FailNextFlushIn = ArchiveUnderTest.Folder;
            Assert.NotNull(test.RunOne());
            Assert.Equal((10UL, ArchiveHealth.Failed), (test.Durable, test.Archive.Health));
            test.AssertServes(1, 10);

            test.Restart();
            Assert.Equal(11UL, test.Durable);
            test.CutPower(CrashStyle.LoseAll);
            Assert.Equal(11UL, test.Durable);
            test.AssertServesAll();
        }
    }

    // Writes and flushes so many times; true if the record was flushed.
    private static bool RunSteps(ArchiveUnderTest test, int steps)
    {
        for (int step = 0; step < steps; step++)
        {
            if (!test.Archive.TryBeginWork(test.Now, out ArchiveWork? work, all: true))
            {
                break;
            }

            work.Write();
            if (++step >= steps)
            {
                return step > 2;
            }

            work.Flush();
            test.Archive.Complete(work, null);
        }

        return steps >= 2;
    }
}
