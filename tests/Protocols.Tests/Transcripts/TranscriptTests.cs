using Xunit;

namespace Carillon.Protocols.Tests.Transcripts;

public sealed class TranscriptTests
{
    [Fact]
    public void Transcript_with_new_effects_keeps_commands_comments_and_blank_lines()
    {
        const string text = "# A story.\n\nadd 2 to=3\n  stale\n  stale too\n# Then nothing.\nquiet\n";

        string observed = Transcript.Replay(text, Run);

        Assert.Equal("# A story.\n\nadd 2 to=3\n  sum 5\n# Then nothing.\nquiet\n", observed);
    }

    [Fact]
    public void Transcript_without_a_story_is_refused() =>
        Assert.ThrowsAny<Exception>(() => Transcript.Replay("add 2 to=3\n", Run));

    [Fact]
    public void Transcript_without_commands_is_refused() =>
        Assert.ThrowsAny<Exception>(() => Transcript.Replay("# Only a story.\n", Run));

    [Theory]
    [InlineData("250us", 2_500)]
    [InlineData("100ms", 1_000_000)]
    [InlineData("-2s", -20_000_000)]
    [InlineData("1.5s", 15_000_000)]
    [InlineData("5min", 3_000_000_000)]
    public void Duration_with_a_unit_is_read(string text, long ticks) =>
        Assert.Equal(ticks, TranscriptCommand.Parse($"advance {text}", 1).Duration(0).Ticks);

    [Theory]
    [InlineData("5")]
    [InlineData("ms")]
    [InlineData("5 parsecs")]
    [InlineData("5m")]
    public void Duration_without_a_known_unit_is_refused_with_its_line(string text)
    {
        var fault = Assert.Throws<FormatException>(() => TranscriptCommand.Parse("advance", 7).Duration(text));
        Assert.Contains("line 7", fault.Message, StringComparison.Ordinal);
    }

    private static IEnumerable<string> Run(TranscriptCommand command) => command.Name switch
    {
        "add" => [$"sum {command.Number(0) + command.Number("to", 0)}"],
        "quiet" => [],
        _ => throw command.Fault("not a command"),
    };
}
