using System.Globalization;
using Carillon.Gateway.Objects;
using Carillon.Protocols;
using Xunit;

namespace Carillon.Gateway.Tests.Objects;

/// <summary>Range headers against a content's size (RFC 9110 section 14).</summary>
public sealed class ByteRangeTests
{
    [Theory]
    [InlineData(null, 10, "Whole", 0, 10)]
    [InlineData("bytes=0-", 10, "Part", 0, 10)]
    [InlineData("bytes=0-0", 10, "Part", 0, 1)]
    [InlineData("bytes=9-9", 10, "Part", 9, 1)]
    [InlineData("bytes=3-5", 10, "Part", 3, 3)]
    [InlineData("BYTES=3-5", 10, "Part", 3, 3)]
    [InlineData("bytes= 3 - 5 ", 10, "Part", 3, 3)]
    [InlineData("bytes=3-99", 10, "Part", 3, 7)]
    [InlineData("bytes=3-99999999999999999999999999", 10, "Part", 3, 7)]
    [InlineData("bytes=-3", 10, "Part", 7, 3)]
    [InlineData("bytes=-99", 10, "Part", 0, 10)]
    [InlineData("bytes=-99999999999999999999999999", 10, "Part", 0, 10)]
    [InlineData("bytes=10-", 10, "NotSatisfiable", 0, 0)]
    [InlineData("bytes=99999999999999999999999999-", 10, "NotSatisfiable", 0, 0)]
    [InlineData("bytes=-0", 10, "NotSatisfiable", 0, 0)]
    [InlineData("bytes=0-", 0, "NotSatisfiable", 0, 0)]
    [InlineData("bytes=-5", 0, "NotSatisfiable", 0, 0)]
    [InlineData("bytes=5-3", 10, "Whole", 0, 10)]
    [InlineData("bytes=0-1,3-4", 10, "Whole", 0, 10)]
    [InlineData("bytes=", 10, "Whole", 0, 10)]
    [InlineData("bytes=-", 10, "Whole", 0, 10)]
    [InlineData("bytes=a-b", 10, "Whole", 0, 10)]
    [InlineData("bytes=+1-2", 10, "Whole", 0, 10)]
    [InlineData("bytes=1--2", 10, "Whole", 0, 10)]
    [InlineData("lines=1-2", 10, "Whole", 0, 10)]
    public void Header_means_a_run_of_bytes(string? header, long size, string verdict, long offset, long length)
    {
        Assert.Equal(verdict, ByteRange.Of(header, size, out ByteRange range).ToString());
        if (verdict != "NotSatisfiable")
        {
            Assert.Equal(new ByteRange(offset, length), range);
        }
    }

    [Fact]
    public void Random_ranges_are_those_of_a_plain_slice()
    {
        var random = new RandomSource(3);
        for (int i = 0; i < 100_000; i++)
        {
            int size = random.Below(12);
            int first = random.Below(14);
            int last = random.Below(14);
            int[] content = [.. Enumerable.Range(0, size)];
            (string header, int[] expected) = random.Below(3) switch
            {
                0 => ($"bytes={first}-{last}", last < first ? content : content.Where(b => b >= first && b <= last).ToArray()),
                1 => ($"bytes={first}-", content[Math.Min(first, size)..]),
                _ => ($"bytes=-{last}", content[^Math.Min(last, size)..]),
            };

            RangeVerdict verdict = ByteRange.Of(header, size, out ByteRange range);

            bool isWhole = header.Contains(
                string.Create(CultureInfo.InvariantCulture, $"={first}-{last}"), StringComparison.Ordinal) && last < first;
            Assert.Equal(isWhole ? RangeVerdict.Whole : expected.Length == 0 ? RangeVerdict.NotSatisfiable : RangeVerdict.Part, verdict);
            if (verdict != RangeVerdict.NotSatisfiable)
            {
                Assert.Equal(expected, content.Skip((int)range.Offset).Take((int)range.Length));
            }
        }
    }

    [Theory]
    [InlineData("\"a\"", true, true)]
    [InlineData("*", true, true)]
    [InlineData("\"b\", \"a\"", true, true)]
    [InlineData("W/\"a\"", false, true)]
    [InlineData("a", false, false)]
    [InlineData("\"b\"", false, false)]
    [InlineData("", false, false)]
    public void Entity_tags_compare_strongly_and_weakly(string list, bool strong, bool weak)
    {
        Assert.Equal(strong, EntityTags.Match(list, "\"a\"", weakToo: false));
        Assert.Equal(weak, EntityTags.Match(list, "\"a\"", weakToo: true));
    }
}
