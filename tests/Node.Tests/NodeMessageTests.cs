using System.Collections.Immutable;
using Carillon.Protocols;
using Carillon.Protocols.Cluster;
using Xunit;

namespace Carillon.Node.Tests;

/// <summary>The node's own messages (docs/formats/envelope.md): bytes, and what is refused.</summary>
public sealed class NodeMessageTests
{
    private static readonly Tag Open = new(new Uid(new Timestamp(5), NodeId.Parse("s2")), 0x0102);
    private static readonly ImmutableArray<ChunkId> Chunks = [ChunkId.Of("a"u8), ChunkId.Of("b"u8)];

    [Fact]
    public void Messages_have_their_bytes()
    {
        Assert.Equal(
            "0101" + "0900000000000000" + "00000000" + "00000000" + "0000000000000000",
            Convert.ToHexString(new OpenTagsMessage(true, 9, [], []).Encode()));
        Assert.Equal(
            "0102" + "0900000000000000" + "01000000" + "0500000000000000" + "027332" + "0201000000000000"
            + "01000000" + "0100" + "6B" + "0700000000000000" + "0500000000000000",
            Convert.ToHexString(new OpenTagsMessage(false, 9, [Open], [new("k", 7)]) { Epoch = 5 }.Encode()));
        Assert.Equal(
            "0103" + "0A00000000000000" + "01000000" + "CA978112CA1BBDCAFAC231B39A23DC4DA786EFF8147C4E72B9807785AFEE48BB",
            Convert.ToHexString(new CopiesMessage(true, 10, Chunks[..1]).Encode()));
        Assert.Equal(
            "0107" + "0300000000000000" + "07000000000000000000000000000000",
            Convert.ToHexString(new ExclusionMessage(3, new DiskId(7)).Encode()));
    }

    [Fact]
    public void Exclusion_is_read_back_and_nothing_shorter_or_longer_is()
    {
        byte[] bytes = new ExclusionMessage(3, new DiskId(7)).Encode();
        Assert.True(ExclusionMessage.TryRead(bytes, out ExclusionMessage message));
        Assert.Equal(new ExclusionMessage(3, new DiskId(7)), message);
        Assert.All(Enumerable.Range(0, bytes.Length), length => Assert.False(ExclusionMessage.TryRead(bytes.AsSpan(0, length), out _)));
        Assert.False(ExclusionMessage.TryRead([.. bytes, 0], out _));
    }

    [Fact]
    public void Messages_are_read_back_and_every_shorter_run_of_their_bytes_is_refused()
    {
        byte[] tags = new OpenTagsMessage(false, 9, [Open], [new("k", 7)]).Encode();
        byte[] copies = new CopiesMessage(false, 9, Chunks).Encode();
        Assert.True(OpenTagsMessage.TryRead(tags, out OpenTagsMessage readTags));
        Assert.Equal([Open], readTags.Tags);
        Assert.Equal([new("k", 7)], readTags.Fences);
        Assert.True(CopiesMessage.TryRead([.. copies, 1, 2, 3], out CopiesMessage readCopies));
        Assert.Equal(Chunks, readCopies.Chunks);
        Assert.False(readCopies.IsQuestion);
        Assert.All(Enumerable.Range(0, tags.Length), length => Assert.False(OpenTagsMessage.TryRead(tags.AsSpan(0, length), out _)));
        Assert.All(Enumerable.Range(0, copies.Length), length => Assert.False(CopiesMessage.TryRead(copies.AsSpan(0, length), out _)));
        Assert.False(CopiesMessage.TryRead(tags, out _));
        Assert.False(OpenTagsMessage.TryRead(copies, out _));
    }

    [Fact]
    public void Bytes_that_mean_nothing_are_read_without_a_throw_and_without_much_memory()
    {
        var random = new RandomSource(1);
        for (int i = 0; i < 20_000; i++)
        {
            byte[] bytes = new byte[random.Below(64)];
            for (int at = 0; at < bytes.Length; at++)
            {
                bytes[at] = (byte)random.Next();
            }

            if (bytes.Length > 1)
            {
                bytes[0] = 1;
                bytes[1] = (byte)(1 + random.Below(4));
            }

            _ = OpenTagsMessage.TryRead(bytes, out OpenTagsMessage tags);
            _ = CopiesMessage.TryRead(bytes, out CopiesMessage copies);
            Assert.True(tags.Tags.Length + tags.Fences.Length <= 64 && copies.Chunks.Length <= 2);
        }
    }
}
