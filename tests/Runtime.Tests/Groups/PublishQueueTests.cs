using Carillon.Protocols.AtomicMulticast;
using Carillon.Runtime.Groups;
using Carillon.Runtime.Loop;
using Carillon.Runtime.Serving;
using Microsoft.Extensions.Logging.Abstractions;

namespace Carillon.Runtime.Tests.Groups;

public sealed class PublishQueueTests
{
    [Fact]
    public async Task Message_that_comes_after_the_loop_has_ended_has_an_outcome_as_those_before_it()
    {
        using var world = new RealWorld(
            new SystemClock(), new EventLoopOptions(), new ChunkBuffers(1 << 20, 1 << 20), NullLogger.Instance);
        var queue = new PublishQueue(world, TimeSpan.FromSeconds(1));
        PublishCall before = Add(queue, 1);
        await Wait.For(world.Loop.StopAsync());
        PublishCall after = Add(queue, 2);
        Assert.IsType<PublishOutcome.Unknown>(await Wait.For(before.Outcome));
        Assert.IsType<PublishOutcome.Unknown>(await Wait.For(after.Outcome));
    }

    private static PublishCall Add(PublishQueue queue, ulong number)
    {
        var call = new PublishCall(queue, GroupName.Parse("g"), new MessageId(new SessionId(1, 1), number), 0, null, new byte[1]);
        queue.Add(call);
        return call;
    }
}
