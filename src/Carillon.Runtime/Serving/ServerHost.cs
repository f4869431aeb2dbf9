using System.Net;
using System.Net.Sockets;
using Carillon.Node;
using Carillon.Node.Identity;
using Carillon.Protocols;
using Carillon.Protocols.Cluster;
using Carillon.Protocols.Membership;
using Carillon.Runtime.Datagrams;
using Carillon.Runtime.Groups;
using Carillon.Runtime.Loop;
using Carillon.Runtime.Security;
using Carillon.Runtime.Services;
using Carillon.Runtime.Storage;
using Carillon.Runtime.Tunnels;
using Carillon.Storage;
using Carillon.Storage.Catalogs;
using Microsoft.Extensions.Logging;

namespace Carillon.Runtime.Serving;

/// <summary>What a server is made of.</summary>
/// <param name="Configuration">The cluster.</param>
/// <param name="Name">Which of its servers this is.</param>
/// <param name="DataFolder">Where log, chunks, catalog and identity are.</param>
/// <param name="Keyring">Its certificate and the cluster's key.</param>
/// <param name="Listen">Address of tunnel and datagrams.</param>
/// <param name="Node">The node's settings.</param>
/// <param name="Loop">The event loop's settings.</param>
/// <param name="Services">How services are run here.</param>
/// <param name="WallOffset">Added to the wall clock; for tests of clocks only.</param>
public sealed record ServerHostOptions(
    ClusterConfiguration Configuration, NodeId Name, string DataFolder, Keyring Keyring, IPAddress Listen, NodeOptions Node,
        EventLoopOptions Loop,
    ServiceOptions? Services = null,
    TimeSpan WallOffset = default);

/// <summary>One running server, without its HTTP interface: stores, node, event loop, tunnels, datagrams; started and stopped in one
/// way.</summary>
public sealed class ServerHost : IAsyncDisposable
{
    /// <summary>Memory that chunks of clients may take on their way: two of the largest.</summary>
    private const long ContentBytes = 2L * ChunkBufferPool.LargestBuffer;

    /// <summary>Memory that chunks of peers may take on their way.</summary>
    private const long ReceivedBytes = ChunkBufferPool.LargestBuffer;

    private static readonly TimeSpan LoadInterval = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan DrainPoll = TimeSpan.FromMilliseconds(20);
    private static readonly TimeSpan DrainLimit = TimeSpan.FromSeconds(6);

    private readonly ILogger _logger;
    private readonly RealWorld _world;
    private readonly ServerNode _node;
    private readonly Tunnel _tunnel;
    private readonly DatagramChannel _datagrams;
    private readonly EntryServer _server;
    private readonly ServiceSupervisor _supervisor;
    private readonly RestingMemory _memory;
    private readonly FileDevice _device;
    private readonly FileStream _lock;
    private readonly CancellationTokenSource _ending = new();
    private Task _reporting = Task.CompletedTask;
    private int _stopped;

    private ServerHost(ServerHostOptions options, ILoggerFactory loggers)
    {
        _logger = loggers.CreateLogger("Carillon.Server");
        Directory.CreateDirectory(options.DataFolder);
        _lock = LockFolder(options.DataFolder);
        var clock = new SystemClock(options.WallOffset);
        var buffers = new ChunkBuffers(ContentBytes, ReceivedBytes);
        _memory = new RestingMemory(buffers);
        _device = new FileDevice(options.DataFolder);
        _world = new RealWorld(clock, options.Loop, buffers, _logger) { CatalogDamaged = () => NoteDamage(options) };
        NodeStores stores = OpenStores(options);
        var random = new RandomSource(BitConverter.ToUInt64(System.Security.Cryptography.RandomNumberGenerator.GetBytes(8)));
        _node = new ServerNode(options.Node, options.Configuration, options.Name, stores, _world, random, clock.Read());
        ServerRecord record = _node.Configuration.Find(options.Name)!;
        var identity = new TunnelIdentity(_node.Self.Disk, _node.Self.Incarnation, _node.Configuration.Version);
        _tunnel = new Tunnel(
            options.Keyring,
            identity,
            new TunnelOptions { Listen = new IPEndPoint(options.Listen, record.TunnelPort), ChunkBufferBytes = ReceivedBytes },
            _world,
            buffers.Received,
            loggers);
        _datagrams = new DatagramChannel(
            new DatagramOptions
            {
                Listen = new IPEndPoint(options.Listen, record.DatagramPort),
                Group = options.Listen.AddressFamily == AddressFamily.InterNetwork
                    ? DatagramOptions.GroupOf(options.Configuration.Cluster)
                    : null,
            },
            _node.Self, options.Keyring.Keys, _node.Configuration, _world, loggers);
        _world.Attach(_node, _tunnel, _datagrams);
        _server = new EntryServer(_world, _node, buffers);
        _supervisor = new ServiceSupervisor(
            options.Name, Path.Combine(options.DataFolder, "services"), options.Services ?? new ServiceOptions(), clock, _world.Note,
            loggers);
        _world.Services = _supervisor.Carry;
        Services = new ServiceGate(_server, _supervisor);
        Groups = new GroupGate(_server, _world, () => _node.Groups, options.Node.Groups.Protocol.RetryAfter);
        NodeMetrics.Publish(_node, _tunnel);
    }

    /// <summary>What the gateway talks to.</summary>
    public IEntryServer Server => _server;

    /// <summary>Services with one primary, as the gateway asks for them.</summary>
    public IServiceGate Services { get; }

    /// <summary>Groups, as the gateway asks for them.</summary>
    public IGroupGate Groups { get; }

    /// <summary>True if it can't go on since it was removed, or replaced: to start it again is no use.</summary>
    public bool IsExcluded => _node.IsExcluded;

    /// <summary>Ends with the reason if the server can't go on; then it is to be stopped.</summary>
    public Task<string> Failed => FirstFailureAsync();

    /// <summary>Opens the stores, replays the log, listens and dials.</summary>
    /// <exception cref="WrongDiskException">The data directory is not this server's.</exception>
    /// <exception cref="StorageException">A file is damaged beyond use, of a newer release, or the device refused.</exception>
    /// <exception cref="IOException">A port is in use, or the data directory is in use by another process.</exception>
    public static async Task<ServerHost> StartAsync(ServerHostOptions options, ILoggerFactory loggers)
    {
        var host = new ServerHost(options, loggers);
        try
        {
            await host.StartAsync(options);
            return host;
        }
        catch
        {
            await host.DisposeAsync();
            throw;
        }
    }

    /// <summary>Ends once the event loop has come round: a loop that is stuck is seen by its not ending.</summary>
    public async Task TurnAsync()
    {
        var turned = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);

        // Posted, and not run here: whether the loop's own thread comes round is the question.
        LoopWork work = LoopWork.Call((_, _) => turned.TrySetResult(), defect => turned.TrySetException(defect));
        if (!await _world.Loop.PostAsync(work))
        {
            throw new OperationCanceledException("The server is stopping.");
        }

        await turned.Task;
    }

    /// <summary>An orderly stop: submissions on their way are finished, then everything ends. The gateway has stopped taking requests
    /// before.</summary>
    public async Task StopAsync()
    {
        if (Interlocked.Exchange(ref _stopped, 1) != 0)
        {
            return;
        }

        if (_world.Loop.IsStarted)
        {
            ServerLog.Stopping(_logger);
            await DrainAsync();
        }

        await _supervisor.StopAsync();
        await _ending.CancelAsync();
        await _reporting;
        await _tunnel.StopAsync();
        await _datagrams.StopAsync();
        Task ended = _world.Loop.StopAsync();
        await ended.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _world.Dispose();
        _server.Dispose();
        _node.Dispose();
        await _lock.DisposeAsync();
        _ending.Dispose();
        ServerLog.Stopped(_logger);

        // What ended the loop before is told once everything is closed.
        await ended;
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync() => await StopAsync();

    private static FileStream LockFolder(string folder)
    {
        try
        {
            return new FileStream(Path.Combine(folder, "lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException inUse)
        {
            throw new IOException(
                $"The data directory {folder} is in use by another process: stop that one, or name another directory.", inUse);
        }
    }

    private async Task StartAsync(ServerHostOptions options)
    {
        await ListenAsync("tunnel", _tunnel.StartAsync, options);
        await ListenAsync(
            "datagrams",
            () =>
            {
                _datagrams.Start();
                return Task.CompletedTask;
            },
            options);
        _world.Loop.Start();
        _world.Follow(_node.Configuration);
        _reporting = ReportLoadAsync();
        ServerRecord record = options.Configuration.Find(options.Name)!;
        ServerLog.Up(
            _logger, options.Name.Name, _node.Self.Incarnation.Value, options.Configuration.Cluster, $"{record.Host}:{record.HttpPort}",
                _tunnel.EndPoint.ToString());
    }

    /// <summary>Opens one of the ports.</summary>
    /// <exception cref="IOException">The port is in use, or the address is none of this machine's.</exception>
    private static async Task ListenAsync(string what, Func<Task> listen, ServerHostOptions options)
    {
        try
        {
            await listen();
        }
        catch (Exception fault) when (fault is SocketException or IOException)
        {
            ServerRecord record = options.Configuration.Find(options.Name)!;
            int port = what == "tunnel" ? record.TunnelPort : record.DatagramPort;
            throw new IOException(
                $"can't listen for {what} on {new IPEndPoint(options.Listen, port)}: {fault.GetBaseException().Message}", fault);
        }
    }

    /// <summary>Opens the catalog; one that is damaged is put aside, and made anew from the other servers while this one does not
    /// vote.</summary>
    private NodeStores OpenStores(ServerHostOptions options)
    {
        string path = CatalogPath(options);
        // One without a byte was cut off or emptied: SQLite would make a new catalog of it without a word.
        bool isThere = new FileInfo(path) is { Exists: true, Length: > 0 };
        try
        {
            if (!isThere)
            {
                MarkRebuilding(options);
            }

            if (File.Exists(DamageNote(options)))
            {
                // What a check at the start would not find, since it is too large for one, or since only its content is wrong.
                throw new CatalogDamagedException("Damage was met while it was in use");
            }

            return new NodeStores(_device, Catalog.Open(CatalogLocation.File(path), options.Node.Catalog), IsCatalogLost: !isThere);
        }
        catch (CatalogDamagedException damage)
        {
            string kept = $"{path}.damaged-{DateTimeOffset.UtcNow.ToUnixTimeSeconds()}";
            foreach (string suffix in new[] { "", "-wal", "-shm" })
            {
                if (File.Exists(path + suffix))
                {
                    File.Move(path + suffix, kept + suffix);
                }
            }

            ServerLog.CatalogLost(_logger, kept, damage.Message);
            MarkRebuilding(options);
            File.Delete(DamageNote(options));
            return new NodeStores(_device, Catalog.Open(CatalogLocation.File(path), options.Node.Catalog), IsCatalogLost: true);
        }
    }

    private static string CatalogPath(ServerHostOptions options) => Path.Combine(options.DataFolder, "catalog.db");

    private static string DamageNote(ServerHostOptions options) => CatalogPath(options) + ".damaged";

    private void NoteDamage(ServerHostOptions options)
    {
        try
        {
            File.WriteAllText(DamageNote(options), "This catalog is damaged: the next start puts it aside.\n");
        }
        catch (Exception refusal) when (refusal is IOException or UnauthorizedAccessException)
        {
            ServerLog.Trouble(
                _logger, NodeEventKind.StorageTrouble, options.Name.Name, $"that the catalog is damaged can't be noted: {refusal.Message}");
        }
    }

    // Before an empty catalog is made: a start that ends right behind that must not leave one that looks whole.
    private void MarkRebuilding(ServerHostOptions options) =>
        DiskIdentity.Find(_device, options.Configuration.Cluster, options.Name)?.SetRebuilding(true);

    private async Task DrainAsync()
    {
        using var limit = new CancellationTokenSource(DrainLimit);
        try
        {
            await _server.Ask<bool>((node, now, answer) =>
            {
                node.BeginStop(now);
                answer(true);
            });
            while (await _server.Ask<bool>((node, _, answer) => answer(node.OpenAttempts > 0 || node.HoldsServices)))
            {
                await Task.Delay(DrainPoll, limit.Token);
            }

            await _server.Ask<bool>((node, now, answer) =>
            {
                node.RecordStop(now);
                answer(true);
            });
            while (!await _server.Ask<bool>((node, _, answer) => answer(node.IsStopRecorded)))
            {
                await Task.Delay(DrainPoll, limit.Token);
            }
        }
        catch (OperationCanceledException)
        {
            // Out of time, or the loop is gone: what is on its way is resolved by the others, or at the next start.
        }
    }

    private async Task ReportLoadAsync()
    {
        using var timer = new PeriodicTimer(LoadInterval);
        try
        {
            do
            {
                _memory.Look();
                long free = _device.FreeBytesOrNone();
                _world.Loop.TryPost(LoopWork.Call((node, _) =>
                {
                    node.FreeBytes = free;
                    node.Members.SetLoad(
                        new LoadReport((uint)_server.Downloads, (uint)_server.Requests, 0, 0, (ulong)Math.Max(0, free), 0));
                }));
            }
            while (await timer.WaitForNextTickAsync(_ending.Token));
        }
        catch (OperationCanceledException)
        {
            // The server stops.
        }
    }

    private async Task<string> FirstFailureAsync()
    {
        Task first = await Task.WhenAny(_world.Stopped, _world.Loop.Completion, _tunnel.Completion, _datagrams.Completion);
        if (first == _world.Stopped)
        {
            return await _world.Stopped;
        }

        try
        {
            await first;
            return "it was stopped";
        }
        catch (Exception defect)
        {
            if (defect is StorageException { InnerException: CatalogDamagedException })
            {
                // Met in the middle of a turn, which can't be ended as if nothing was.
                _world.CatalogDamaged?.Invoke();
            }

            ServerLog.Fatal(_logger, defect.Message, defect);
            return defect.Message;
        }
    }
}
