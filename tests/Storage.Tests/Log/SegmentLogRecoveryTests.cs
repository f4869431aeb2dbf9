using System.Runtime.CompilerServices;
using Carillon.Storage.Log;
using Xunit;

namespace Carillon.Storage.Tests.Log;

/// <summary>Each row of the recovery table, on bytes composed for it; and what no row speaks of.</summary>
public sealed class SegmentLogRecoveryTests
{
    // Batch 4 of generation 5 stands first and is whole; batch 5 is the one that a row is about.
    private const long Generation = 5;
    private const long Number = 5;
    private const int InPayload = BatchHeader.Size + BatchPayload.Prefix;
    private const int InHeader = 44;

    public static TheoryData<string, string, string> Rows()
    {
        var rows = new TheoryData<string, string, string>();
        foreach ((BatchFound here, BatchesBehind behind, RecoveryStep step) in RecoveryTable.Rows)
        {
            rows.Add(here.ToString(), behind.ToString(), step.ToString());
        }

        return rows;
    }

    [Theory]
    [MemberData(nameof(Rows))]
    public void Recovery_follows_each_row_of_the_table(string here, string behind, string step)
    {
        var found = Enum.Parse<BatchFound>(here);
        var later = Enum.Parse<BatchesBehind>(behind);
        SegmentImage first = new SegmentImage(Generation).Batch(Number - 1, "before", oldest: Generation);
        PutHere(first, found);
        var device = new FaultDevice();
        long next = found == BatchFound.Whole ? Number + 1 : Number;
        switch (later)
        {
            case BatchesBehind.NextSegment:
                Put(device, 2, new SegmentImage(Generation + 1).Batch(next, "next segment", oldest: Generation));
                break;
            case BatchesBehind.Later when found == BatchFound.Whole:
                first.Batch(next, "later", oldest: Generation);
                break;
            case BatchesBehind.Later:
                first.Skip(1).Batch(next + 1, "later", oldest: Generation);
                break;
        }

        Put(device, 1, first);
        var driver = new LogDriver(device);
        string[] expected = Enum.Parse<RecoveryStep>(step) switch
        {
            RecoveryStep.Take => later switch
            {
                BatchesBehind.None => ["before", "here"],
                BatchesBehind.NextSegment => ["before", "here", "next segment"],
                _ => ["before", "here", "later"],
            },
            RecoveryStep.GoToNextSegment => ["before", "next segment"],
            RecoveryStep.ReportCorruption => ["before", "later"],
            _ => ["before"],
        };
        LogCondition condition = Enum.Parse<RecoveryStep>(step) switch
        {
            RecoveryStep.DropTornTail => LogCondition.TornTail,
            RecoveryStep.ReportCorruption => LogCondition.Corrupt,
            _ => LogCondition.Intact,
        };
        Assert.Equal(expected, driver.RecoveredTexts());
        Assert.Equal(condition, driver.Log.Health.Condition);
        GoesOnUnlessCorrupt(driver, expected);
    }

    [Fact]
    public void Recovery_table_has_a_row_for_each_combination_and_the_document_has_the_same()
    {
        Assert.Equal(Enum.GetValues<BatchFound>().Length * Enum.GetValues<BatchesBehind>().Length, RecoveryTable.Rows.Count);
        Assert.Equal(RecoveryTable.Rows.Count, RecoveryTable.Rows.Select(row => (row.Here, row.Behind)).Distinct().Count());
        string[] document = File.ReadAllLines(Path.Combine(Path.GetDirectoryName(ThisFile())!, "../../../docs/formats/segment-log.md"));
        int start = Array.IndexOf(document, "| here | behind | step |");
        IEnumerable<string> rows = RecoveryTable.Rows.Select(row => $"| {row.Here} | {row.Behind} | {row.Step} |");
        Assert.Equal(rows, document.Skip(start + 2).Take(RecoveryTable.Rows.Count));
    }

    [Fact]
    public void Bad_last_batch_of_a_segment_with_later_segments_is_corruption()
    {
        var device = new FaultDevice();
        Put(device, 1, new SegmentImage(5).Batch(1, "a", oldest: 5).Batch(2, "b", oldest: 5).Spoil(InPayload));
        Put(device, 2, new SegmentImage(6).Batch(3, "c", oldest: 5));
        var driver = new LogDriver(device);
        Assert.Equal(LogCondition.Corrupt, driver.Log.Health.Condition);
        Assert.Equal([(1, "a"), (3, "c")], driver.Recovered.Zip(driver.RecoveredTexts(), (record, text) => (record.Position, text)));
    }

    [Fact]
    public void Bad_first_batch_of_the_log_with_later_ones_is_corruption()
    {
        var device = new FaultDevice();
        Put(device, 1, new SegmentImage(5).Batch(7, "a", oldest: 5).Spoil(InHeader).Batch(8, "b", oldest: 5).Batch(9, "c", oldest: 5));
        var driver = new LogDriver(device);
        Assert.Equal(LogCondition.Corrupt, driver.Log.Health.Condition);
        Assert.Equal(["b", "c"], driver.RecoveredTexts());
        Assert.Equal(8, driver.Recovered[0].Position);
    }

    [Fact]
    public void Segment_missing_in_the_middle_or_at_the_front_is_corruption()
    {
        var device = new FaultDevice();
        Put(device, 1, new SegmentImage(5).Batch(1, "a", oldest: 5));
        Put(device, 3, new SegmentImage(7).Batch(3, "c", oldest: 5));
        var driver = new LogDriver(device);
        Assert.Equal(LogCondition.Corrupt, driver.Log.Health.Condition);
        Assert.Equal(["a", "c"], driver.RecoveredTexts());

        device.Delete(LogDriver.Folder, "00000001.segment");
        driver.Reopen();
        Assert.Contains("generation 5 is missing", driver.Log.Health.Reason, StringComparison.Ordinal);
        Assert.Equal(["c"], driver.RecoveredTexts());
    }

    [Fact]
    public void Segment_there_twice_is_corruption()
    {
        var device = new FaultDevice();
        Put(device, 1, new SegmentImage(5).Batch(1, "a", oldest: 5));
        Put(device, 2, new SegmentImage(5).Batch(1, "a", oldest: 5));
        Assert.Equal(LogCondition.Corrupt, new LogDriver(device).Log.Health.Condition);
    }

    [Fact]
    public void First_block_whose_write_was_lost_is_found_out_by_what_stands_behind_it()
    {
        var device = new FaultDevice();
        Put(device, 1, new SegmentImage(5).Batch(1, "a", oldest: 5));
        Put(device, 2, new SegmentImage(6).Batch(1, "old", ofGeneration: 2).Batch(3, "c", oldest: 5));
        var driver = new LogDriver(device);
        Assert.Equal(LogCondition.Corrupt, driver.Log.Health.Condition);
        Assert.Equal(["a", "c"], driver.RecoveredTexts());
    }

    [Fact]
    public void Torn_batch_gives_no_segment_free()
    {
        // Batch 3 says that generation 5 is not needed any more, but was not flushed: batch 2 still counts.
        var device = new FaultDevice();
        Put(device, 1, new SegmentImage(5).Batch(1, "a", oldest: 5));
        Put(device, 2, new SegmentImage(6).Batch(2, "b", oldest: 5).Batch(3, "c", oldest: 6).Spoil(InPayload));
        var driver = new LogDriver(device);
        Assert.Equal(LogCondition.TornTail, driver.Log.Health.Condition);
        Assert.Equal(["a", "b"], driver.RecoveredTexts());
        Assert.Equal(2, driver.Log.LiveSegments);
    }

    [Fact]
    public void Corrupt_log_takes_no_appends_and_is_not_changed()
    {
        var device = new FaultDevice();
        Put(device, 1, new SegmentImage(5).Batch(1, "a", oldest: 5).Spoil(InPayload).Batch(2, "b", oldest: 5));
        byte[] before = device.Bytes(LogDriver.Folder, "00000001.segment").ToArray();
        var driver = new LogDriver(device);
        Assert.False(driver.Log.CanAppend(1, urgent: true));
        driver.AppendDurably("more");
        Assert.Equal(new LogPosition(2), driver.Log.Durable);
        Assert.Equal(before, device.Bytes(LogDriver.Folder, "00000001.segment"));
        Assert.Single(device.List(LogDriver.Folder));
    }

    private static void PutHere(SegmentImage image, BatchFound found)
    {
        switch (found)
        {
            case BatchFound.Whole:
                image.Batch(Number, "here", oldest: Generation);
                break;
            case BatchFound.Torn:
                image.Batch(Number, "here", oldest: Generation).Spoil(InPayload);
                break;
            case BatchFound.Broken:
                image.Batch(Number, "here", oldest: Generation).Spoil(InHeader);
                break;
            case BatchFound.Stale:
                image.Batch(Number, "old", ofGeneration: Generation - 2);
                break;
            default:
                image.Skip(1);
                break;
        }
    }

    private static void GoesOnUnlessCorrupt(LogDriver driver, string[] expected)
    {
        if (driver.Log.Health.Condition == LogCondition.Corrupt)
        {
            Assert.False(driver.Log.CanAppend(1, urgent: true));
            return;
        }

        driver.AppendDurably("more");
        driver.Reopen();
        Assert.Equal([.. expected, "more"], driver.RecoveredTexts());
        Assert.Equal(LogCondition.Intact, driver.Log.Health.Condition);
    }

    private static void Put(FaultDevice device, int slot, SegmentImage image) =>
        device.Put(LogDriver.Folder, $"{slot:d8}.segment", image.Bytes);

    private static string ThisFile([CallerFilePath] string path = "") => path;
}
