using Carillon.Node.Groups;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Storage.Groups;
using Xunit;

namespace Carillon.Node.Tests.Groups;

/// <summary>The messages of a memory-only group.</summary>
public sealed class MemoryPartTests
{
    private static readonly GroupSettings Settings = new() { RetainTime = TimeSpan.FromSeconds(10) };

    [Fact]
    public void Messages_of_a_memory_only_group_go_by_age_too()
    {
        var part = new MemoryPart(maxMessages: 1000, maxBytes: 1 << 20);
        Add(part, 3);
        Assert.Equal(0u, part.Expendable(1_000, Settings).Value);
        Add(part, 2);
        Assert.Equal(0u, part.Expendable(5_000, Settings).Value);
        Assert.Equal(0u, part.Expendable(11_000, Settings).Value);
        Assert.Equal(3u, part.Expendable(11_001, Settings).Value);
        part.Trim(new SequenceNumber(3));
        Assert.Equal(3u, part.Expendable(15_000, Settings).Value);
        Assert.Equal(5u, part.Expendable(15_001, Settings).Value);
    }

    [Fact]
    public void Messages_that_found_no_room_any_more_are_counted_as_gone()
    {
        var part = new MemoryPart(maxMessages: 64, maxBytes: 1 << 20);
        Add(part, 100);
        Assert.Equal(36u, part.Trimmed.Value);
        Assert.Equal(36u, part.Expendable(1_000, Settings).Value);
    }

    private static void Add(MemoryPart part, int count)
    {
        for (int i = 0; i < count; i++)
        {
            var id = new MessageId(new SessionId(1, 1), part.Committed.Value + 1);
            part.Add(new CommittedMessage(CommittedKind.Message, id, default, 0, 0, new byte[10]));
        }
    }
}
