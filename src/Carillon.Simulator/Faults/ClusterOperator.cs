using Carillon.Protocols;
using Carillon.Protocols.Cluster;
using Carillon.Simulator.World;

namespace Carillon.Simulator.Faults;

/// <summary>
/// Who runs the cluster, as docs/operations/lost-server.md says: gives a server a new, empty disk where the old one is lost or is to be
/// taken out of use, and takes servers out of the cluster and in again. One thing at a time, and the next only once the new disk votes; at
/// servers of which the rest is a quorum that keeps all that was accepted.
/// </summary>
internal sealed class ClusterOperator
{
    private static readonly TimeSpan AskAgain = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan AnswerPatience = TimeSpan.FromSeconds(15);
    private static readonly TimeSpan LongestDelay = TimeSpan.FromSeconds(4);
    private static readonly TimeSpan LongestAway = TimeSpan.FromSeconds(8);

    // Disks of the first version have the numbers of their places.
    private const uint FirstNewDisk = 1000;

    private readonly SimulatedWorld _world;
    private readonly NodeFactory _nodes;
    private readonly RandomSource _random;
    private readonly int[] _losable;
    private readonly HashSet<int> _renewed = [];
    private OperatorStep _step;
    private SimulatedServer? _server;
    private ClusterChange? _change;
    private bool _isAsking;
    private uint _disks = FirstNewDisk;

    /// <summary>One who has nothing to do yet.</summary>
    /// <param name="world">The servers.</param>
    /// <param name="nodes">Starts a new disk's node.</param>
    /// <param name="random">Its own draws.</param>
    /// <param name="losable">Places whose disks may be lost.</param>
    public ClusterOperator(SimulatedWorld world, NodeFactory nodes, RandomSource random, IEnumerable<int> losable)
    {
        _world = world;
        _nodes = nodes;
        _random = random;
        _losable = [.. losable];
    }

    /// <summary>Called when a server's old disk is gone for good, before the new one starts.</summary>
    public Action<SimulatedServer>? DiskGone { get; set; }

    /// <summary>True while nothing is under way.</summary>
    public bool IsIdle => _step == OperatorStep.Idle;

    /// <summary>True for a server that is being replaced or is out of the cluster, until its new disk votes.</summary>
    public bool IsAtWork(SimulatedServer server) => server == _server;

    /// <summary>True for a server that lost a disk in this run.</summary>
    public bool LostDisk(SimulatedServer server) => _renewed.Contains(server.Place);

    /// <summary>What is under way, for messages.</summary>
    public string Describe() => _server is null ? "nothing"
        : $"{_change?.Kind} of {_server.Name}: {_step}, {_server.State}, {_server.Node?.NotVotingBecause ?? "no process"}, {_server.Node?.DescribeFeed()}; configurations: "
            + string.Join(", ", _world.Servers.Select(s => $"{s.Name} {s.Node?.ConfigurationVersion}{(s.Node?.IsVersionClosed ?? false ? " closed" : "")}"));

    /// <summary>Begins to give a server a new disk; false where that can't be now.</summary>
    public bool Replace()
    {
        if (Begin() is not { } record)
        {
            return false;
        }

        _change = new ClusterChange(ClusterChangeKind.Replace, record with { Disk = new DiskId(++_disks) });
        _step = OperatorStep.Changing;
        if (_random.Chance(0.6))
        {
            // The machine is gone with its disk; else it runs on until it is told, or the operator comes to it.
            Retire();
        }

        Go();
        return true;
    }

    /// <summary>Begins to take a server out, and in again later with a new disk; false where that can't be now.</summary>
    public bool TakeOutAndIn()
    {
        // Of an even number a quorum of the rest is smaller than what the whole was asked for.
        if (_world.Servers.Count % 2 == 0 || Begin() is not { } record)
        {
            return false;
        }

        _change = new ClusterChange(ClusterChangeKind.Remove, record);
        _step = OperatorStep.Changing;
        Go();
        return true;
    }

    // It says so, or can't be started any more.
    private static bool IsDamaged(SimulatedServer server) =>
        server.Refused || (server.Node is { Votes: false } node && node.NotVotingBecause.Contains("damaged", StringComparison.Ordinal));

    private ServerRecord? Begin()
    {
        if (_step != OperatorStep.Idle || _losable.Length == 0)
        {
            return null;
        }

        _server = _world.Servers[_losable[_random.Below(_losable.Length)]];
        ServerRecord? record = Newest()?.Find(_server.Name);
        _server = record is null ? null : _server;
        return record;
    }

    private void Go() => _world.Queue.After(AskAgain / 2 + _random.Below(AskAgain), () =>
    {
        Advance();
        if (_step != OperatorStep.Idle)
        {
            Go();
        }
    });

    private void Advance()
    {
        switch (_step)
        {
            case OperatorStep.Changing when IsMade() is { } made:
                _world.Trace?.Invoke($"operator: version {made.Version} has the {_change!.Kind} of {_server!.Name}");
                _step = OperatorStep.Waiting;
                _server!.IsOut |= _server.State == ServerState.Down;
                if (_change!.Kind == ClusterChangeKind.Remove)
                {
                    _world.Queue.After(_random.Below(LongestAway), BringBack);
                }
                else
                {
                    _world.Queue.After(_random.Below(LongestDelay), () => StartNewDisk(made));
                }

                break;
            case OperatorStep.Changing:
                Ask();
                break;
            case OperatorStep.Joining when _server is { State: ServerState.Running, Node.Votes: true }:
                _world.Trace?.Invoke($"operator: the new disk of {_server!.Name} votes");
                _step = OperatorStep.Idle;
                _server = null;
                break;
            case OperatorStep.Joining when IsDamaged(_server!) && Newest()?.Find(_server!.Name) is { } record:
                _change = new ClusterChange(ClusterChangeKind.Replace, record with { Disk = new DiskId(++_disks) });
                _step = OperatorStep.Changing;
                break;
            default:
                break;
        }
    }

    // The command does nothing twice, so it is given again until the configuration shows it.
    private void Ask()
    {
        SimulatedServer[] running = [.. _world.Servers.Where(s => s.State == ServerState.Running && s != _server)];
        if (_isAsking || running.Length == 0)
        {
            return;
        }

        _isAsking = true;
        bool isOver = false;
        void End()
        {
            if (!isOver)
            {
                isOver = true;
                _isAsking = false;
            }
        }

        ClusterChange change = _change!;
        SimulatedServer asked = running[_random.Below(running.Length)];
        Action lost = End;
        asked.Call(
            (node, now) => node.ChangeCluster(change, now, outcome =>
            {
                _world.Trace?.Invoke($"operator: {asked.Name} answers {change.Kind} of {change.Server!.Name}: {outcome}");
                asked.Close(lost);
                End();
            }),
            lost);
        _world.Queue.After(AnswerPatience, End);
    }

    private ClusterConfiguration? IsMade()
    {
        ClusterConfiguration? newest = Newest();
        ServerRecord? record = newest?.Find(_server!.Name);
        bool isMade = _change!.Kind == ClusterChangeKind.Remove
            ? newest is not null && record is null
            : record?.Disk == _change.Server!.Disk;
        return isMade ? newest : null;
    }

    // Of those that can be asked: a version that somebody has in force stands in the feed.
    private ClusterConfiguration? Newest() => _world.Servers
        .Where(s => s.State == ServerState.Running && s != _server).Select(s => s.Node!.Configuration).MaxBy(c => c.Version);

    private void Retire()
    {
        if (_server!.State != ServerState.Down)
        {
            _server.Stop(CrashStyle.LoseAll);
        }

        _server.IsOut = true;
    }

    private void BringBack()
    {
        Retire();
        ServerRecord record = _world.Nodes.Configuration.Find(_server!.Name)!;
        _change = new ClusterChange(ClusterChangeKind.Add, record with { Disk = new DiskId(++_disks) });
        _step = OperatorStep.Changing;
    }

    private void StartNewDisk(ClusterConfiguration made)
    {
        Retire();
        _renewed.Add(_server!.Place);
        DiskGone?.Invoke(_server);
        _server.Renew();
        _nodes.Join(_server.Name, made);
        _server.IsOut = false;
        _step = OperatorStep.Joining;
        StartSoon(_server);
    }

    private void StartSoon(SimulatedServer server)
    {
        if (server is { State: ServerState.Down, IsOut: false, Refused: false } && !server.Start())
        {
            _world.Queue.After(TimeSpan.FromSeconds(1), () => StartSoon(server));
        }
    }

    /// <summary>How far a piece of work is.</summary>
    private enum OperatorStep
    {
        /// <summary>Nothing to do.</summary>
        Idle,

        /// <summary>The cluster is asked for the change, until its configuration shows it.</summary>
        Changing,

        /// <summary>It does; the disk is brought there, or the server is to come back, a little later.</summary>
        Waiting,

        /// <summary>The new disk has started, and does not vote yet.</summary>
        Joining,
    }
}
