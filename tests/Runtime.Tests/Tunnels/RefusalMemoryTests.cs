using System.Net;
using Carillon.Runtime.Tunnels;

namespace Carillon.Runtime.Tests.Tunnels;

public sealed class RefusalMemoryTests
{
    [Fact]
    public void Same_reason_from_the_same_address_is_news_once()
    {
        RefusalMemory memory = new();
        Assert.True(memory.IsNews(IPAddress.Loopback, "a"));
        Assert.False(memory.IsNews(IPAddress.Parse("127.0.0.1"), "a"));
        Assert.True(memory.IsNews(IPAddress.Loopback, "b"));
        Assert.True(memory.IsNews(IPAddress.IPv6Loopback, "a"));
    }

    [Fact]
    public void Many_callers_do_not_grow_it_without_bound()
    {
        RefusalMemory memory = new();
        Assert.True(memory.IsNews(IPAddress.Loopback, "first"));
        for (int i = 0; i < 1000; i++)
        {
            Assert.True(memory.IsNews(new IPAddress(i), "a"));
        }

        Assert.True(memory.IsNews(IPAddress.Loopback, "first"));
    }
}
