using Carillon.Node;
using Carillon.Protocols;
using Carillon.Storage;
using Carillon.Storage.Catalogs;
using Carillon.Storage.Chunks;

namespace Carillon.Simulator.World;

/// <summary>What a server's process is doing.</summary>
internal enum ServerState
{
    /// <summary>No process.</summary>
    Down,

    /// <summary>Runs.</summary>
    Running,

    /// <summary>There, but given no processor time: inputs wait.</summary>
    Paused,
}

/// <summary>
/// One server: its disks and clocks, which stay, and its process, which comes and goes. It hands inputs to the node one at a time, and is
/// the world that the node asks of.
/// </summary>
internal sealed class SimulatedServer : INetworkEnd, IWorld, IDisposable
{
    // A node that asks to be woken at once, this often in a row at one instant, makes no progress.
    private const int MaxWakesAtOneInstant = 1000;

    private readonly SimulatedWorld _world;
    private readonly RandomSource _random;
    private readonly Queue<Action<INodeUnderTest, Moment>> _backlog = new();
    private readonly List<Action> _openCalls = [];
    private INodeUnderTest? _node;
    private StorageLanes? _lanes;
    private DatagramSeal? _seal;
    private int _life;
    private Instant _wakeAt = Instant.Never;
    private long _wakeNumber;
    private Instant _lastWake;
    private int _wakesAtThisInstant;
    private string? _stopReason;
    private readonly SimulatedProviders _providers;

    public SimulatedServer(SimulatedWorld world, NodeId name, int place, RandomSource random)
    {
        _world = world;
        Name = name;
        Place = place;
        _random = random;
        Disk = new SimulatedDisk(random.Fork(), world.Options.DiskBytes);
        _providers = new SimulatedProviders(world, this, random.Fork());
        Clock.Boot(default, new Instant(random.Below(TimeSpan.TicksPerDay)));
    }

    /// <inheritdoc/>
    public NodeId Name { get; }

    /// <summary>Its place in the network.</summary>
    public int Place { get; }

    // Sends what a newer version of the program would.
    private bool IsNewerBuild => Place == _world.Options.NewerBuildPlace;

    /// <summary>Its disk for log and chunks.</summary>
    public SimulatedDisk Disk { get; }

    /// <summary>Its catalog's disk.</summary>
    public CatalogMemory Catalog { get; } = new();

    /// <summary>Its clocks.</summary>
    public SimulatedClock Clock { get; } = new();

    /// <summary>Counts the starts and stops of its process.</summary>
    public int Life => _life;

    /// <summary>What its process is doing.</summary>
    public ServerState State { get; private set; }

    /// <summary>The node in its process, or null.</summary>
    public INodeUnderTest? Node => _node;

    /// <summary>Why the node stopped itself last, or null.</summary>
    public string? StopReason => _stopReason;

    /// <inheritdoc/>
    public bool Answers => State == ServerState.Running;

    /// <inheritdoc/>
    public ServerIdentity Identity => State == ServerState.Down ? default : _node!.Self;

    /// <summary>When its process started last.</summary>
    public Instant StartedAt { get; private set; }

    /// <summary>Done once, when a work of its storage has been written, or flushed; the work is not told that any more if the process ends
    /// there.</summary>
    public (StorageLane Lane, bool IsFlushed, Action Do)? AtNextStep { get; set; }

    /// <summary>True if its node had a quorum at some moment since its messages left last.</summary>
    public bool HadQuorum { get; private set; }

    /// <summary>Counts the batches of inputs that its nodes came to the end of.</summary>
    public long Batches { get; private set; }

    /// <summary>True if its disk's content does not let it start.</summary>
    public bool Refused { get; private set; }

    /// <summary>True while its machine is gone, or out of the cluster: nobody starts it.</summary>
    public bool IsOut { get; set; }

    /// <summary>Its machine gets an empty disk; nobody starts it from now on until it is said that it may be.</summary>
    public void Renew()
    {
        Invariant.That(State == ServerState.Down);
        Disk.Replace();
        Catalog.Erase();
        Refused = false;
    }

    /// <summary>True if it is down and may be started.</summary>
    public bool CanStart => State == ServerState.Down && !Refused && !IsOut;

    /// <summary>Starts the process; false if the disk does not let it.</summary>
    public bool Start()
    {
        Invariant.That(State == ServerState.Down);
        int life = ++_life;
        _stopReason = null;
        Action<string>? trace = _world.Trace is { } line ? what => line($"{Name} {what}") : null;
        _lanes = new StorageLanes(
            _world.Queue, _random.Fork(), _world.Options.DiskSpeed, Disk.Faults, Stepped, (work, failure) => Completed(life, work, failure),
            trace);
        StartedAt = _world.Queue.Now;
        var start = new NodeStart(Name, Disk, Catalog, _random.Fork(), Clock.At(_world.Queue.Now));
        try
        {
            Guard(() => _node = _world.Nodes.Start(start, this));
        }
        catch (SimulationFailedException fault) when (fault.InnerException is StorageException or NodeRefusedException)
        {
            _world.Trace?.Invoke($"{Name} can't start: {fault.InnerException.Message}");
            Refused |= fault.InnerException is NodeRefusedException;
            _lanes.End();
            Disk.CloseAll();
            return false;
        }

        _seal = new DatagramSeal(_node!.Self, _node.Configuration);
        State = ServerState.Running;
        _world.Trace?.Invoke($"{Name} starts as {_node!.Self}");
        _world.Started?.Invoke(this);
        _world.Network.Started(Place);
        AfterInputs();
        return true;
    }

    /// <summary>The process is killed; with <paramref name="powerCut"/> the machine loses its power too.</summary>
    public void Stop(CrashStyle? powerCut)
    {
        Invariant.That(State != ServerState.Down);
        _world.Trace?.Invoke($"{Name} stops {(powerCut is { } style ? $"by a power cut ({style})" : "by a kill")}");
        _world.Stopping?.Invoke(this);
        _life++;
        State = ServerState.Down;
        _lanes!.End();
        _backlog.Clear();
        _wakeAt = Instant.Never;
        (_node as IDisposable)?.Dispose();
        _node = null;
        _seal!.Dispose();
        if (powerCut is { } crash)
        {
            _providers.CutPower();
            Disk.CutPower(crash);
            Catalog.Crash(crash == CrashStyle.LoseAll ? 0 : _random.Below(Catalog.Commits + 1));
            Clock.Boot(_world.Queue.Now, new Instant(_random.Below(TimeSpan.TicksPerHour)));
        }
        else
        {
            Disk.CloseAll();
        }

        _world.Network.Stopped(Place, dark: powerCut is not null);
        Action[] lost = [.. _openCalls];
        _openCalls.Clear();
        foreach (Action call in lost)
        {
            if (powerCut is null)
            {
                call();
            }
        }
    }

    /// <summary>The process gets no processor time for a while.</summary>
    public void Pause(TimeSpan duration)
    {
        Invariant.That(State == ServerState.Running);
        _world.Trace?.Invoke($"{Name} pauses for {duration.TotalSeconds:F3} s");
        State = ServerState.Paused;
        int life = _life;
        Instant until = _world.Queue.Now + duration;
        _lanes!.Hold(until);
        _world.Network.Paused(Place, duration);
        _world.Queue.At(until, () =>
        {
            if (_life == life && State == ServerState.Paused)
            {
                GoOn();
            }
        });
    }

    /// <summary>
    /// Gives a client's request to the node when it can take it. <paramref name="lost"/> is called if the process is killed before the
    /// request is closed; a machine that goes dark says nothing.
    /// </summary>
    public void Call(Action<INodeUnderTest, Moment> request, Action lost)
    {
        _openCalls.Add(lost);
        Input(request);
    }

    /// <summary>The client has its answer, or waits no more.</summary>
    public void Close(Action lost) => _openCalls.Remove(lost);

    /// <summary>Gives the node an input, now or when its pause ends; none while the process is down.</summary>
    public void Input(Action<INodeUnderTest, Moment> input)
    {
        switch (State)
        {
            case ServerState.Running:
                Run(input);
                break;
            case ServerState.Paused:
                _backlog.Enqueue(input);
                break;
            default:
                break;
        }
    }

    /// <summary>Its clock changed: deadlines come at other true times.</summary>
    public void Rearm()
    {
        if (State != ServerState.Running)
        {
            return;
        }

        Instant due = Clock.TrueTimeOf(_node!.NextDeadline);
        if (due == Instant.Never || (due >= _wakeAt && _wakeAt >= _world.Queue.Now))
        {
            return;
        }

        _wakeAt = due > _world.Queue.Now ? due : _world.Queue.Now;
        long number = ++_wakeNumber;
        _world.Queue.At(_wakeAt, () =>
        {
            if (_wakeNumber == number && State == ServerState.Running)
            {
                _wakeAt = Instant.Never;
                CountWake();
                Run(static (node, now) => node.Advance(now));
            }
        });
    }

    /// <inheritdoc/>
    void INetworkEnd.TunnelUp(ServerIdentity peer) => Input((node, now) => node.TunnelUp(peer, now));

    /// <inheritdoc/>
    void INetworkEnd.TunnelDown(ServerIdentity peer) => Input((node, now) => node.TunnelDown(peer, now));

    /// <inheritdoc/>
    void INetworkEnd.Receive(ServerIdentity from, TrafficKind kind, ReadOnlyMemory<byte> message) =>
        Input((node, now) => node.Receive(from, kind, message.Span, now));

    /// <inheritdoc/>
    void INetworkEnd.ReceiveChunk(ServerIdentity from, ReadOnlyMemory<byte> header, ReadOnlyMemory<byte> body) =>
        Input((node, now) => node.ReceiveChunk(from, header, body, now));

    /// <inheritdoc/>
    void INetworkEnd.ReceiveDatagram(ReadOnlyMemory<byte> datagram) => Input((node, now) =>
    {
        if (_seal!.TryOpen(datagram.Span, out ServerIdentity from, out byte[] message))
        {
            node.ReceiveDatagram(from, message, now);
        }
    });

    /// <inheritdoc/>
    bool IWorld.Send(NodeId peer, TrafficKind kind, ReadOnlyMemory<byte> message) =>
        _world.Network.Send(Name, peer, kind, IsNewerBuild ? NewerBuild.Extend(message.Span) : message.ToArray());

    /// <inheritdoc/>
    void IWorld.SendDatagram(NodeId peer, ReadOnlyMemory<byte> message)
    {
        _world.Network.DatagramTap?.Invoke(Name, peer, message);
        _world.Network.SendDatagram(Name, peer, Sealed(message));
    }

    /// <inheritdoc/>
    void IWorld.SendDatagramToAll(ReadOnlyMemory<byte> message, bool multicast) =>
        _world.Network.SendDatagramToAll(Name, Sealed(message), multicast);

    /// <inheritdoc/>
    void IWorld.Run(StorageWork work) => _lanes!.Run(work);

    /// <inheritdoc/>
    bool IWorld.SendChunk(NodeId peer, ReadOnlyMemory<byte> header, ChunkBuffer body)
    {
        bool queued = _world.Network.Send(Name, peer, TrafficKind.Bulk, AsSent(header), body.Memory.ToArray());
        body.Release();
        return queued;
    }

    /// <inheritdoc/>
    bool IWorld.SendStoredChunk(NodeId peer, ReadOnlyMemory<byte> header, ChunkId chunk)
    {
        if (!_world.Network.IsOpen(Name, peer))
        {
            return false;
        }

        ReadLater((node, now) =>
        {
            if (node.ReadChunk(chunk, now) is { } stored)
            {
                _world.Network.Send(Name, peer, TrafficKind.Bulk, AsSent(header), stored);
            }
        });
        return true;
    }

    /// <inheritdoc/>
    void IWorld.Scrub(ChunkId chunk) => ReadLater((node, now) => node.ScrubChunk(chunk, now));

    /// <inheritdoc/>
    void IWorld.Read(ChunkLocation location, Action<ReadOnlyMemory<byte>> then) =>
        ReadLater((node, now) => node.ReadChunk(location.Id, then, now));

    /// <inheritdoc/>
    void IWorld.Reconfigured(Protocols.Cluster.ClusterConfiguration configuration) => _seal!.Reconfigure(configuration);

    /// <inheritdoc/>
    void IWorld.Stop(string reason) => _stopReason = reason;

    /// <inheritdoc/>
    void IWorld.Serve(Protocols.Primacy.ServiceOrder order) => _providers.Carry(order, _life);

    /// <inheritdoc/>
    void IWorld.Report(NodeEvent occurrence)
    {
        _world.Digest.Add((ulong)occurrence.Kind);
        _world.Trace?.Invoke($"{Name} {occurrence.Kind} {occurrence.Peer} {occurrence.Detail}");
        _world.Reported?.Invoke(this, occurrence);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _seal?.Dispose();
        (_node as IDisposable)?.Dispose();
        Catalog.Dispose();
    }

    private byte[] Sealed(ReadOnlyMemory<byte> message) =>
        _seal!.Seal(IsNewerBuild ? NewerBuild.ExtendDatagram(message.Span) : message.Span);

    private ReadOnlyMemory<byte> AsSent(ReadOnlyMemory<byte> header) => IsNewerBuild ? NewerBuild.ExtendHeader(header.Span) : header;

    private void Stepped(StorageWork work, bool isFlushed)
    {
        // Work that does not write takes something away.
        if (isFlushed && work is { Lane: StorageLane.Background, Bytes: 0 })
        {
            _world.Removed?.Invoke(this);
        }

        // Beside the batches nothing is at stake while no batch is under way.
        if (AtNextStep is { } step && step.Lane == work.Lane && step.IsFlushed == isFlushed
            && (step.Lane == StorageLane.Log || _lanes!.IsBusy(StorageLane.Log)))
        {
            AtNextStep = null;
            step.Do();
        }
    }

    private void Completed(int life, StorageWork work, StorageException? failure)
    {
        if (life == _life)
        {
            Input((node, now) =>
            {
                node.Complete(work, failure, now);
                if (work.Lane == StorageLane.Catalog)
                {
                    _world.CatalogWritten?.Invoke(this);
                }
            });
        }
    }

    private void ReadLater(Action<INodeUnderTest, Moment> read)
    {
        int life = _life;
        _world.Queue.After(_world.Options.DiskSpeed.Access * Disk.Faults.Slowness, () =>
        {
            if (life == _life)
            {
                Input(read);
            }
        });
    }

    private void Run(Action<INodeUnderTest, Moment> input)
    {
        Moment now = Clock.At(_world.Queue.Now);
        Take(input, now);
        AfterInputs();
    }

    private void Take(Action<INodeUnderTest, Moment> input, Moment now)
    {
        HadQuorum |= _node!.HasQuorum;
        Guard(() => input(_node!, now));
        HadQuorum |= _node!.HasQuorum;
    }

    // What gathered during the pause is one batch of inputs, as it would be for a real loop.
    private void GoOn()
    {
        State = ServerState.Running;
        _world.Trace?.Invoke($"{Name} goes on");
        Moment now = Clock.At(_world.Queue.Now);
        while (_stopReason is null && _backlog.TryDequeue(out Action<INodeUnderTest, Moment>? input))
        {
            Take(input, now);
        }

        AfterInputs();
    }

    private void AfterInputs()
    {
        if (_stopReason is null)
        {
            // A pause may end with no input at all, and the end of the batch does what has become due (services' seed 85).
            HadQuorum |= _node!.HasQuorum;
            Guard(() => _node!.Settle(Clock.At(_world.Queue.Now)));
            HadQuorum = false;
            Batches++;
        }

        if (_stopReason is not null)
        {
            _world.Trace?.Invoke($"{Name} stops itself: {_stopReason}");
            _world.SelfStops++;
            Stop(powerCut: null);
            _world.SelfStopped?.Invoke(this);
            return;
        }

        Rearm();
    }

    private void CountWake()
    {
        _wakesAtThisInstant = _lastWake == _world.Queue.Now ? _wakesAtThisInstant + 1 : 0;
        _lastWake = _world.Queue.Now;
        if (_wakesAtThisInstant > MaxWakesAtOneInstant)
        {
            throw new SimulationFailedException(
                FailureKind.Crash, "busy loop",
                    $"{Name} asked to be woken at {Clock.At(_world.Queue.Now).Now} again and again, and does nothing about it");
        }
    }

    private void Guard(Action action)
    {
        try
        {
            action();
        }
        catch (Exception fault) when (fault is not SimulationFailedException)
        {
            throw new SimulationFailedException(FailureKind.Crash, "crash", $"{Name}: {fault.Message}", fault);
        }
    }
}
