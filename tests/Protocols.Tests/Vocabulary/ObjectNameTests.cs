using System.Text;
using Carillon.Protocols.Submissions;
using Xunit;

namespace Carillon.Protocols.Tests.Vocabulary;

/// <summary>The name rules of the interface contract: what breaks one is refused with the reason.</summary>
public sealed class ObjectNameTests
{
    [Theory]
    [InlineData("abc")]
    [InlineData("a-b.c9")]
    [InlineData("...", false)]
    [InlineData("ab", false)]
    [InlineData("", false)]
    [InlineData(".system", false)]
    [InlineData("ABC", false)]
    [InlineData("a_b", false)]
    [InlineData("a/b", false)]
    [InlineData("üüü", false)]
    [InlineData("a\0b", false)]
    public void Bucket_is_3_to_63_of_the_allowed_characters_without_a_dot_in_front(string bucket, bool good = true) =>
        Assert.Equal(good, ObjectName.FaultOfBucket(bucket) is null);

    [Theory]
    [InlineData(63, true)]
    [InlineData(64, false)]
    public void Bucket_has_at_most_63_characters(int length, bool good) =>
        Assert.Equal(good, ObjectName.FaultOfBucket(new string('a', length)) is null);

    [Theory]
    [InlineData("a")]
    [InlineData("a/b/c.txt")]
    [InlineData("ü/名前/😀")]
    [InlineData("...")]
    [InlineData(".hidden/..x/y..")]
    [InlineData(" a b ")]
    [InlineData("a\\b:c*")]
    [InlineData("\uFFFD")]
    [InlineData("", false)]
    [InlineData("/a", false)]
    [InlineData("a/", false)]
    [InlineData("a//b", false)]
    [InlineData("/", false)]
    [InlineData(".", false)]
    [InlineData("..", false)]
    [InlineData("a/../b", false)]
    [InlineData("a/.", false)]
    [InlineData("../etc/passwd", false)]
    [InlineData("a\nb", false)]
    [InlineData("a\u0000b", false)]
    [InlineData("a\u007Fb", false)]
    [InlineData("a\u0085b", false)]
    public void Name_has_no_segment_or_character_that_is_not_allowed(string name, bool good = true) =>
        Assert.Equal(good, ObjectName.FaultOfName(name) is null);

    // A name that is not UTF-8 would become another one on the wire; a replacement character elsewhere in it changes nothing.
    [Fact]
    public void Name_with_half_a_surrogate_pair_is_refused()
    {
        foreach (string name in new[] { "a\uD83D", "\uDE00", "\uDE00\uD83D", "\uD83D/a", "\uFFFD\uD83D" })
        {
            Assert.NotNull(ObjectName.FaultOfName(name));
        }
    }

    [Theory]
    [InlineData("a", 1024, true)]
    [InlineData("a", 1025, false)]
    [InlineData("ü", 512, true)]
    [InlineData("ü", 513, false)]
    public void Name_has_at_most_1024_bytes_of_UTF8(string character, int count, bool good) =>
        Assert.Equal(good, ObjectName.FaultOfName(string.Concat(Enumerable.Repeat(character, count))) is null);

    [Fact]
    public void Order_is_that_of_the_UTF8_bytes()
    {
        string[] names =
        [
            "a", "a/b", "a\u0301", "z", "\u00FC", "\uD7FF", "\uE000", "\uFFFD", "\uFFFF", "\U00010000", "\U0001F600", "\U0010FFFF",
            "\uE000a", "\U00010000a",
        ];
        foreach (string a in names)
        {
            foreach (string b in names)
            {
                int expected = Math.Sign(Encoding.UTF8.GetBytes(a).AsSpan().SequenceCompareTo(Encoding.UTF8.GetBytes(b)));
                Assert.Equal(expected, Math.Sign(new ObjectName("files", a).CompareTo(new ObjectName("files", b))));
            }
        }

        Assert.True(new ObjectName("aaa", "z").CompareTo(new ObjectName("bbb", "a")) < 0);
    }

    [Fact]
    public void System_records_are_names_of_submissions_but_not_of_users()
    {
        Assert.Null(new ObjectName(ObjectName.SystemBucket, "files").Fault());
        Assert.NotNull(new ObjectName(".other", "files").Fault());
        Assert.NotNull(ObjectName.FaultOfBucket(ObjectName.SystemBucket));
    }
}
