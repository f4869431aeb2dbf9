using Carillon.Node.Groups;
using Xunit;

namespace Carillon.Node.Tests.Groups;

/// <summary>Memory of payloads: each has its own, whoever asks at the same time.</summary>
public sealed class MessageMemoryTests
{
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(1000)]
    [InlineData(131_072)]
    [InlineData(131_073)]
    [InlineData(1 << 20)]
    public void Part_has_the_length_that_was_asked_for(int length) => Assert.Equal(length, MessageMemory.Take(length).Length);

    [Fact]
    public void Parts_that_threads_take_at_once_do_not_overlap()
    {
        var parts = new Memory<byte>[4][];
        Parallel.For(0, parts.Length, thread =>
        {
            parts[thread] = [.. Enumerable.Range(0, 3000).Select(i => MessageMemory.Take(1 + (i % 1500)))];
            foreach (Memory<byte> part in parts[thread])
            {
                part.Span.Fill((byte)(thread + 1));
            }
        });

        for (int thread = 0; thread < parts.Length; thread++)
        {
            Assert.All(parts[thread], part => Assert.False(part.Span.ContainsAnyExcept((byte)(thread + 1))));
        }
    }
}
