using System.Net.Sockets;
using System.Text;

namespace Carillon.Runtime.Tests;

public sealed class ServiceManagerTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Manager_hears_each_step(bool isAbstract)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "NOTIFY_SOCKET is Linux's");
        using TemporaryDirectory directory = new();
        string path = directory.At("notify");
        using Socket listening =
            new(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified) { ReceiveTimeout = (int)Wait.Bound.TotalMilliseconds };
        listening.Bind(new UnixDomainSocketEndPoint(isAbstract ? '\0' + path : path));
        using ServiceManager manager = ServiceManager.From(name => name switch
        {
            "NOTIFY_SOCKET" => isAbstract ? '@' + path : path,
            "WATCHDOG_USEC" => "3000000",
            _ => null,
        });

        Assert.Equal(TimeSpan.FromSeconds(1.5), manager.WatchdogInterval);
        manager.Ready("serving\nall");
        Assert.Equal("READY=1\nSTATUS=serving all", Receive());
        manager.Alive();
        Assert.Equal("WATCHDOG=1", Receive());
        manager.Status("draining");
        Assert.Equal("STATUS=draining", Receive());
        manager.Stopping();
        Assert.Equal("STOPPING=1", Receive());

        string Receive()
        {
            byte[] buffer = new byte[1000];
            return Encoding.UTF8.GetString(buffer, 0, listening.Receive(buffer));
        }
    }

    [Fact]
    public async Task Watchdog_hears_nothing_while_the_loop_does_not_turn()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "NOTIFY_SOCKET is Linux's");
        using TemporaryDirectory directory = new();
        using Socket listening = new(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
        listening.Bind(new UnixDomainSocketEndPoint(directory.At("notify")));
        using ServiceManager manager = ServiceManager.From(name => name switch
        {
            "NOTIFY_SOCKET" => directory.At("notify"),
            "WATCHDOG_USEC" => "2000",
            _ => null,
        });
        using var stop = new CancellationTokenSource();
        var stuck = new TaskCompletionSource();
        int turns = 0;
        Task watching = manager.WatchAsync(() => ++turns <= 3 ? Task.CompletedTask : stuck.Task, stop.Token);
        await Wait.Until(() => turns == 4);
        byte[] buffer = new byte[100];
        for (int i = 0; i < 3; i++)
        {
            Assert.Equal("WATCHDOG=1", Encoding.UTF8.GetString(buffer, 0, listening.Receive(buffer)));
        }

        Assert.Equal(0, listening.Available);
        stuck.SetResult();
        await Wait.Until(() => listening.Available > 0);
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => watching);
    }

    [Fact]
    public void Nobody_listening_is_no_error()
    {
        using TemporaryDirectory directory = new();
        foreach (string? path in new[] { null, "", "relative", directory.At("gone") })
        {
            using ServiceManager manager = ServiceManager.From(name => name == "NOTIFY_SOCKET" ? path : null);
            manager.Ready("serving");
            Assert.Null(manager.WatchdogInterval);
        }
    }

    [Fact]
    public void Watchdog_of_another_process_is_not_ours()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "NOTIFY_SOCKET is Linux's");
        using TemporaryDirectory directory = new();
        using Socket listening = new(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
        listening.Bind(new UnixDomainSocketEndPoint(directory.At("notify")));
        using ServiceManager manager = ServiceManager.From(name => name switch
        {
            "NOTIFY_SOCKET" => directory.At("notify"),
            "WATCHDOG_USEC" => "3000000",
            "WATCHDOG_PID" => "1",
            _ => null,
        });
        Assert.Null(manager.WatchdogInterval);
    }
}
