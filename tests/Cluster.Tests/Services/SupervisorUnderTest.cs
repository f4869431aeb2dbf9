using System.Collections.Concurrent;
using Carillon.Protocols;
using Carillon.Protocols.Primacy;
using Carillon.Runtime;
using Carillon.Runtime.Services;
using Cluster.Tests.Guarding;
using Microsoft.Extensions.Logging;
using Xunit;

namespace Cluster.Tests.Services;

/// <summary>A supervisor with real guards that takes its orders from a test, and the news and lines that came of them.</summary>
internal sealed class SupervisorUnderTest : ILoggerProvider, ILogger, IAsyncDisposable
{
    public static readonly ServiceName Service = ServiceName.Parse("counter");
    public static readonly NodeId Node = NodeId.Parse("s1");

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    private readonly BlockingCollection<ServiceNews> _news = [];
    private readonly BlockingCollection<string> _lines = [];
    private readonly ILoggerFactory _loggers;
    private readonly bool _ownsFolder;

    public SupervisorUnderTest(string? folder = null)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux() && File.Exists("/bin/sh"), "commands of services need Linux and sh");
        _ownsFolder = folder is null;
        Folder = folder ?? Directory.CreateTempSubdirectory("carillon-services-").FullName;
        _loggers = LoggerFactory.Create(logging => logging.AddProvider(this));
        var hosting = new ServiceOptions
        {
            Guard = GuardUnderTest.Launcher, CheckpointInterval = TimeSpan.FromMilliseconds(20),
            RestartDelay = TimeSpan.FromMilliseconds(20), SessionTimeout = TimeSpan.FromMilliseconds(400),
        };
        Supervisor = new ServiceSupervisor(Node, Folder, hosting, Clock, _news.Add, _loggers);
    }

    public static SystemClock Clock { get; } = new();

    public static Instant Later => Clock.Now + TimeSpan.FromMinutes(5);

    public string Folder { get; }

    public string Work => Path.Combine(Folder, Service.Name, "work");

    public ServiceSupervisor Supervisor { get; }

    public static ServiceDefinition Definition(string text, string secondary = "", string checkpoint = "") => new()
    {
        Name = Service,
        Providers = [Node],
        Command = new ServiceCommand
        {
            Arguments = text.Length > 0 ? ["sh", "-c", text] : [],
            Secondary = secondary.Length > 0 ? ["sh", "-c", secondary] : [],
            CheckpointFile = checkpoint,
            Grace = TimeSpan.FromMilliseconds(500),
        },
    };

    public static Epoch Epoch(ulong number) => new(number);

    public void Provide(string text, string secondary = "", string checkpoint = "") =>
        Supervisor.Carry(new ServiceOrder.Provide(Definition(text, secondary, checkpoint)));

    public void Lead(ulong epoch, Instant? end = null) =>
        Supervisor.Carry(new ServiceOrder.BecomePrimary(Service, Epoch(epoch), end ?? Later, default));

    public void Demote(ulong epoch) =>
        Supervisor.Carry(new ServiceOrder.Demote(Service, Epoch(epoch), Later, DemotionReason.Moved));

    public void StandBy(ServiceRole role) => Supervisor.Carry(new ServiceOrder.BecomeStandby(Service, role));

    /// <summary>The next news, which must be of this kind.</summary>
    public async Task<T> NewsAsync<T>()
        where T : ServiceNews => Assert.IsType<T>(await Task.Run(() => Take(_news)));

    /// <summary>Waits for a line of the command's that ends so.</summary>
    public Task LineAsync(string end) => Task.Run(() =>
    {
        while (!Take(_lines).EndsWith(end, StringComparison.Ordinal))
        {
        }
    });

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => true;

    public void Log<TState>(
        LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
        _lines.Add(formatter(state, exception));

    public ILogger CreateLogger(string categoryName) => this;

    public void Dispose()
    {
    }

    public async ValueTask DisposeAsync()
    {
        await Supervisor.StopAsync().WaitAsync(Patience);
        _loggers.Dispose();
        if (_ownsFolder)
        {
            Directory.Delete(Folder, recursive: true);
        }
    }

    private static T Take<T>(BlockingCollection<T> from) =>
        from.TryTake(out T? item, Patience) ? item : throw new TimeoutException($"waited in vain for {typeof(T).Name}");
}
