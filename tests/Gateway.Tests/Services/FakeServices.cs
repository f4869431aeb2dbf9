using System.Collections.Concurrent;
using System.Collections.Immutable;
using Carillon.Protocols;
using Carillon.Protocols.Primacy;
using Carillon.Runtime;
using Carillon.Runtime.Services;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Carillon.Gateway.Tests.Services;

/// <summary>Services as a gateway sees them: wishes are recorded and answered as told, sessions and their orders are the real
/// ones.</summary>
internal sealed class FakeServices : IServiceGate, IAsyncDisposable
{
    private readonly ConcurrentDictionary<string, ProviderSession> _sessions = new(StringComparer.Ordinal);
    private readonly BlockingCollection<ServiceNews> _news = [];
    private readonly string _folder = Directory.CreateTempSubdirectory("carillon-services-").FullName;

    public FakeServices()
    {
        var hosting = new ServiceOptions { SessionTimeout = TimeSpan.FromSeconds(1) };
        Supervisor = new ServiceSupervisor(NodeId.Parse("s1"), _folder, hosting, Clock, _news.Add, NullLoggerFactory.Instance);
    }

    public SystemClock Clock { get; } = new();

    public ServiceSupervisor Supervisor { get; }

    public ConcurrentQueue<ServiceRequest> Requests { get; } = new();

    /// <summary>What the next wishes are answered with.</summary>
    public ServiceAnswer Answer { get; set; } = new(ServiceResult.Done, "");

    public ImmutableArray<ServiceStatus> All { get; set; } = [];

    public Task<ServiceAnswer> RequestAsync(ServiceRequest request)
    {
        Requests.Enqueue(request);
        return Task.FromResult(Answer);
    }

    public Task<ImmutableArray<ServiceStatus>> ListAsync() => Task.FromResult(All);

    public Task<PrimaryPlace?> FindPrimaryAsync(ServiceName service, TimeSpan patience, CancellationToken cancellation) =>
        Supervisor.Directory.FindAsync(service, patience, cancellation);

    public async Task<(ProviderSession? Session, string Fault)> OpenSessionAsync(ServiceName service, Freshness state)
    {
        (ProviderSession? session, string fault) = await Supervisor.OpenSessionAsync(service, state);
        if (session is not null)
        {
            _sessions[session.Id] = session;
        }

        return (session, fault);
    }

    public ProviderSession? FindSession(string id) => _sessions.GetValueOrDefault(id);

    /// <summary>The next news, which must be of this kind.</summary>
    public async Task<T> NewsAsync<T>()
        where T : ServiceNews => Assert.IsType<T>(await NewsAsync());

    /// <summary>The next news of any kind.</summary>
    public Task<ServiceNews> NewsAsync() => Task.Run(
        () => _news.TryTake(out ServiceNews? news, TimeSpan.FromSeconds(20)) ? news : throw new TimeoutException("no news came"));

    public async ValueTask DisposeAsync()
    {
        await Supervisor.StopAsync();
        Directory.Delete(_folder, recursive: true);
    }
}
