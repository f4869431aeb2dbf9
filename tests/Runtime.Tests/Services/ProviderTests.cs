using System.Threading.Channels;
using Carillon.Protocols;
using Carillon.Protocols.Primacy;
using Carillon.Runtime.Services;
using Microsoft.Extensions.Logging.Abstractions;

namespace Carillon.Runtime.Tests.Services;

public sealed class ProviderTests : IDisposable
{
    private static readonly ServiceName Service = ServiceName.Parse("counter");

    private readonly TemporaryDirectory _folder = new();
    private readonly Channel<ServiceNews> _news = Channel.CreateUnbounded<ServiceNews>();

    private string Services => Path.Combine(_folder.Path, "services");

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task Command_whose_folder_can_not_be_made_is_provided_once_it_can()
    {
        // A file in the folder's place stands for a full or read-only disk.
        await File.WriteAllTextAsync(Services, "", TestContext.Current.CancellationToken);
        ServiceSupervisor supervisor = Supervisor();
        supervisor.Carry(new ServiceOrder.Provide(Command()));
        var down = Assert.IsType<ServiceNews.ProviderDown>(await NewsAsync());
        Assert.False(down.IsFailure);
        Assert.StartsWith("its folder can't be made", down.Reason, StringComparison.Ordinal);

        File.Delete(Services);
        down = Assert.IsType<ServiceNews.ProviderDown>(await NewsAsync());
        Assert.StartsWith("this server runs no commands", down.Reason, StringComparison.Ordinal);
        await Wait.For(supervisor.StopAsync());
    }

    [Fact]
    public async Task Command_whose_folder_can_not_be_made_is_stopped_and_left_all_the_same()
    {
        await File.WriteAllTextAsync(Services, "", TestContext.Current.CancellationToken);
        ServiceSupervisor supervisor = Supervisor();
        supervisor.Carry(new ServiceOrder.Provide(Command()));
        await NewsAsync();
        supervisor.Carry(new ServiceOrder.Leave(Service));
        await Wait.For(supervisor.StopAsync());
    }

    [Fact]
    public async Task Program_of_ones_own_needs_no_folder_here()
    {
        await File.WriteAllTextAsync(Services, "", TestContext.Current.CancellationToken);
        ServiceSupervisor supervisor = Supervisor();
        supervisor.Carry(new ServiceOrder.Provide(Own));
        (ProviderSession? session, string fault) = await Wait.For(supervisor.OpenSessionAsync(Service, default));
        Assert.Equal("", fault);
        session!.End();
        await Wait.For(supervisor.StopAsync());
    }

    [Fact]
    public async Task Session_with_a_provider_that_met_a_defect_is_refused_and_the_next_order_begins_another()
    {
        bool breaks = true;
        ServiceSupervisor supervisor = Supervisor(_ => breaks ? throw new InvalidOperationException("broken") : true);
        var provide = new ServiceOrder.Provide(Own);
        supervisor.Carry(provide);
        Assert.IsType<ServiceNews.ProviderDown>(await NewsAsync());
        (ProviderSession? session, _) = await Wait.For(supervisor.OpenSessionAsync(Service, default));
        Assert.Null(session);

        breaks = false;
        supervisor.Carry(provide);
        (session, _) = await Wait.For(supervisor.OpenSessionAsync(Service, default));
        Assert.NotNull(session);
        session.End();
        await Wait.For(supervisor.StopAsync());
    }

    private static ServiceDefinition Own => new() { Name = Service, Providers = [NodeId.Parse("s1")] };

    private static ServiceDefinition Command() => Own with { Command = new ServiceCommand { Arguments = ["true"] } };

    /// <summary>News of a defect always come through; other news only where they are taken.</summary>
    private ServiceSupervisor Supervisor(Func<ServiceNews, bool>? takes = null) => new(
        NodeId.Parse("s1"),
        Services,
        new ServiceOptions { RestartDelay = TimeSpan.FromMilliseconds(10) },
        new SystemClock(),
        news =>
        {
            if (news is ServiceNews.ProviderDown { IsFailure: true } || takes?.Invoke(news) != false)
            {
                _news.Writer.TryWrite(news);
            }
        },
        NullLoggerFactory.Instance);

    private Task<ServiceNews> NewsAsync() => Wait.For(_news.Reader.ReadAsync().AsTask());
}
