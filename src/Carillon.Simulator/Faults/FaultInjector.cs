using Carillon.Node;
using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Cluster;
using Carillon.Protocols.Primacy;
using Carillon.Protocols.VectorExchange;
using Carillon.Simulator.World;

namespace Carillon.Simulator.Faults;

/// <summary>Lets faults strike at random times, and takes them back: each after its own while, and all of them when the run turns to
/// liveness.</summary>
internal sealed class FaultInjector
{
    private readonly SimulatedWorld _world;
    private readonly FaultOptions _options;
    private readonly RandomSource _random;
    private readonly List<Repair> _repairs = [];
    private readonly SortedSet<int> _damageable = [];
    private readonly NetworkFaults _network;
    private readonly DiskDamage _disks;
    private readonly ClockFaults _clocks;
    private int _cutsAtAnswer;
    private int _cutsAtVector;
    private bool _stopped = true;

    public FaultInjector(SimulatedWorld world, FaultOptions options, RandomSource random)
    {
        _world = world;
        _options = options;
        _random = random;
        int[] places = [.. Enumerable.Range(0, world.Servers.Count)];
        Shuffle(places);
        _damageable.UnionWith(places.Take(options.DamageableDisks));
        int quorum = Quorum.Majority(places.Length);
        Losable = [.. places.Take(Math.Min(places.Length - quorum, quorum - 1))];
        _network = new NetworkFaults(world, random.Fork());
        _disks = new DiskDamage(world, random.Fork());
        _clocks = new ClockFaults(world, random.Fork());
    }

    /// <summary>Called when a server was cut off at the first vector of a submission.</summary>
    public Action<int, Tag>? CutOff { get; set; }

    /// <summary>Places of which all may lose their disks: the others are a quorum, and have a copy of every chunk. Those that may be
    /// damaged are among them.</summary>
    public IReadOnlyList<int> Losable { get; }

    /// <summary>Who replaces disks.</summary>
    public ClusterOperator? Operator { get; set; }

    /// <summary>How often each kind struck.</summary>
    public long[] Strikes { get; } = new long[Enum.GetValues<FaultKind>().Length];

    /// <summary>True for a server whose disk may have been damaged for good.</summary>
    public bool MayBeDamaged(SimulatedServer server) => _disks.Struck.Contains(server.Place);

    /// <summary>Begins.</summary>
    public void Start()
    {
        _stopped = false;
        _world.SelfStopped = server => StartAfter(server, TimeSpan.FromSeconds(1));
        foreach (FaultKind kind in Enum.GetValues<FaultKind>())
        {
            if (_options.RateOf(kind) > 0)
            {
                ScheduleNext(kind);
            }
        }

        if (_options.DriftsFromTheStart)
        {
            _clocks.DriftAll();
        }

        LookAfter();
    }

    /// <summary>A node has just begun to act in an epoch: most of what can go wrong with leases goes wrong now.</summary>
    public void OnGranted(NodeId primary)
    {
        if (_stopped || _options.RateOf(FaultKind.AtGrant) == 0 || !_random.Chance(0.3))
        {
            return;
        }

        SimulatedServer server = _random.Chance(0.7)
            ? _world.Servers.Find(s => s.Name == primary)!
            : _world.Servers[_random.Below(_world.Servers.Count)];
        _world.Queue.After(_random.Below(TimeSpan.FromMilliseconds(_random.Chance(0.5) ? 1 : 50)), () =>
        {
            if (!_stopped && StrikeAtGrant(server))
            {
                Strikes[(int)FaultKind.AtGrant]++;
                _world.Trace?.Invoke($"fault {FaultKind.AtGrant} {server.Name}");
            }
        });
    }

    /// <summary>A server tells what it has left of a version that it closed: what it forgets now is in nobody's report.</summary>
    public void OnClosed(NodeId name)
    {
        if (_stopped || _options.RateOf(FaultKind.AtClosing) == 0 || !_random.Chance(0.15))
        {
            return;
        }

        SimulatedServer server = _random.Chance(0.7)
            ? _world.Servers.Find(s => s.Name == name)!
            : _world.Servers[_random.Below(_world.Servers.Count)];
        _world.Queue.After(_random.Below(TimeSpan.FromMilliseconds(_random.Chance(0.5) ? 1 : 50)), () =>
        {
            if (!_stopped && StrikeAtGrant(server))
            {
                Strikes[(int)FaultKind.AtClosing]++;
                _world.Trace?.Invoke($"fault {FaultKind.AtClosing} {server.Name}");
            }
        });
    }

    private bool StrikeAtGrant(SimulatedServer server) => _random.Below(4) switch
    {
        0 => Crash(server, null),
        1 => Crash(server, (CrashStyle)_random.Below(4)),
        2 => Pause(server),
        _ => _network.CutOff(server.Place, _random.Chance(0.5), Keep(_options.PartitionMost, TimeSpan.Zero)),
    };

    private SimulatedServer? Sequencer()
    {
        ServiceName service = ServiceName.OfSequencer(GroupName.Catalog.Name);
        NodeId primary = _world.Servers.Find(s => s.State == ServerState.Running)?.Node!.PrimaryOf(service).Primary ?? default;
        return _world.Servers.Find(s => s.Name == primary && s.State == ServerState.Running);
    }

    // Two groups that hear each other only through one server, and that one forgets what it has in memory.
    private bool KillBridge(SimulatedServer server)
    {
        if (server.State == ServerState.Down || _world.Servers.Count < 3)
        {
            return false;
        }

        _network.Bridge(server.Place, Keep(_options.PartitionMost, TimeSpan.FromSeconds(2)));
        _world.Queue.After(TimeSpan.FromSeconds(0.5) + _random.Below(_options.PartitionMost / 2), () =>
        {
            if (!_stopped && server.State != ServerState.Down)
            {
                server.Stop(powerCut: null);
                StartAfter(server, _random.Below(TimeSpan.FromMilliseconds(300)));
            }
        });
        return true;
    }

    /// <summary>A server has just answered a submission; what it said must be true even if the power fails now.</summary>
    public void OnAnswered(SubmitOutcome outcome)
    {
        if (_cutsAtAnswer > 0 && outcome is SubmitOutcome.Accepted && _random.Chance(0.3))
        {
            _cutsAtAnswer--;
            Strikes[(int)FaultKind.PowerCutAtAnswer]++;
            _world.Queue.After(_random.Below(TimeSpan.FromMilliseconds(3)), () =>
            {
                if (!_stopped)
                {
                    CrashMany();
                }
            });
        }
    }

    /// <summary>A server begins the exchange of a submission: what it alone has decided so far is best hidden from the others
    /// now.</summary>
    public void OnExchangeBegun(NodeId name, Tag tag)
    {
        if (_cutsAtVector > 0 && _world.Servers.Count > 1 && _random.Chance(0.5))
        {
            _cutsAtVector--;
            SimulatedServer server = _world.Servers.Find(one => one.Name == name)!;
            Strikes[(int)FaultKind.CutOffAtVector]++;
            _world.Trace?.Invoke($"fault {FaultKind.CutOffAtVector} {name}");
            _network.CutOff(server.Place, Keep(TimeSpan.FromSeconds(3), TimeSpan.FromSeconds(0.1)));
            CutOff?.Invoke(server.Place, tag);
        }
    }

    // As a service manager and an operator do: a server that says that its disk is not to be trusted is started anew, or its machine is.
    private void LookAfter() => _world.Queue.After(TimeSpan.FromSeconds(2) + _random.Below(TimeSpan.FromSeconds(4)), () =>
    {
        if (_stopped)
        {
            return;
        }

        foreach (SimulatedServer server in _world.Servers)
        {
            bool isNew = Operator?.IsAtWork(server) ?? false;
            if (server.State == ServerState.Running && ((!server.Node!.Votes && !isNew) || server.Node.HasFailedChunkStore))
            {
                Crash(server, _random.Chance(0.5) ? null : (CrashStyle)_random.Below(4));
            }
        }

        LookAfter();
    });

    /// <summary>Ends all faults; servers that are down stay down, and are the caller's to start.</summary>
    public void Heal()
    {
        _stopped = true;
        _cutsAtAnswer = 0;
        _cutsAtVector = 0;
        foreach (Repair repair in _repairs.ToArray())
        {
            repair.Make();
        }

        _repairs.Clear();
        _disks.Disarm();
        foreach (SimulatedServer server in _world.Servers)
        {
            server.AtNextStep = null;
        }

        _clocks.Correct();
    }

    private void ScheduleNext(FaultKind kind)
    {
        // Times between strikes of a Poisson process.
        double seconds = -Math.Log(1 - _random.Fraction()) / _options.RateOf(kind);
        _world.Queue.After(TimeSpan.FromSeconds(Math.Min(seconds, 1e6)), () =>
        {
            if (!_stopped)
            {
                Strike(kind);
                ScheduleNext(kind);
            }
        });
    }

    private void Strike(FaultKind kind)
    {
        bool damages = kind is FaultKind.Rot or FaultKind.MisdirectedWrite;
        int[] places = damages ? [.. _damageable] : [.. Enumerable.Range(0, _world.Servers.Count)];
        SimulatedServer server = _world.Servers[places[_random.Below(places.Length)]];
        bool struck = kind switch
        {
            FaultKind.Kill => Crash(server, null),
            FaultKind.CrashAtStep => WaitForStep(server),
            FaultKind.PowerCut => Crash(server, (CrashStyle)_random.Below(4)),
            FaultKind.PowerCutOfMany => CrashMany(),
            FaultKind.PowerCutAtAnswer => WaitForAnswer(),
            FaultKind.CutOffAtVector => WaitForVector(),
            FaultKind.Pause => Pause(server),
            FaultKind.PartitionOne or FaultKind.PartitionHalves or FaultKind.PartitionRing or FaultKind.PartitionBridge
                or FaultKind.PartitionOneWay
                => _network.Partition(kind, Keep(_options.PartitionMost, TimeSpan.FromSeconds(1))),
            FaultKind.TunnelReset => _network.ResetTunnel(),
            FaultKind.SlowLink => _network.SlowDown(Keep(_options.PartitionMost, TimeSpan.FromSeconds(1))),
            FaultKind.MulticastLoss => _network.LoseMulticast(Keep(_options.PartitionMost, TimeSpan.FromSeconds(1))),
            FaultKind.Garbage => _network.SendGarbage(server),
            FaultKind.DiskFull or FaultKind.DiskReadOnly or FaultKind.DiskSlow =>
                _disks.Trouble(kind, server, Keep(TimeSpan.FromSeconds(20), TimeSpan.Zero)),
            FaultKind.Rot => Rot(server),
            FaultKind.FlushFailure or FaultKind.MisdirectedWrite => _disks.Damage(kind, server),
            FaultKind.ClockJump => _clocks.Jump(server),
            FaultKind.ClockStrobe => _clocks.Strobe(server, () => _stopped),
            FaultKind.ClockDrift => _clocks.Drift(server),
            FaultKind.BridgeKill => KillBridge(server),
            FaultKind.NewVersion => ChangeVersion(server),
            FaultKind.ReplacedDisk => Operator!.Replace(),
            FaultKind.LeaveAndJoin => Operator!.TakeOutAndIn(),
            FaultKind.AtGrant or FaultKind.AtClosing => false,
            FaultKind.Sequencer => Sequencer() is { } sequencer && StrikeAtGrant(sequencer),
            _ => throw new SimulationFailedException($"no such fault: {kind}"),
        };
        if (struck)
        {
            Strikes[(int)kind]++;
            _world.Digest.Add((ulong)kind);
            _world.Trace?.Invoke($"fault {kind} {server.Name}");
        }
    }

    private static bool ChangeVersion(SimulatedServer server)
    {
        if (server.State != ServerState.Running)
        {
            return false;
        }

        server.Call((node, now) => node.RenewConfiguration(now), () => { });
        return true;
    }

    // Strikes, and is counted, at one of the next answers.
    private bool WaitForAnswer()
    {
        _cutsAtAnswer++;
        return false;
    }

    // Likewise, at one of the next exchanges.
    private bool WaitForVector()
    {
        _cutsAtVector++;
        return false;
    }

    // Strikes, and is counted, at one of the next steps of that server's storage: between the writing of a log batch and its flush, or
    // when what is done beside the batches (segments made and removed) has become durable and the batch that goes with it perhaps not.
    private bool WaitForStep(SimulatedServer server)
    {
        bool isBesides = _random.Chance(0.4);
        bool isKill = !isBesides && _random.Chance(0.7);
        server.AtNextStep = (isBesides ? StorageLane.Background : StorageLane.Log, isBesides, () =>
        {
            if (_stopped || server.State == ServerState.Down)
            {
                return;
            }

            Strikes[(int)FaultKind.CrashAtStep]++;
            server.Stop(isKill ? null : (CrashStyle)_random.Below(4));
            StartAfter(server, _random.Below(TimeSpan.FromMilliseconds(50)));
            if (isKill && _random.Chance(0.5))
            {
                FailPowerSoon(server);
            }
        });
        return false;
    }

    // What a new process read back may be in the page cache only; what it says of that is put to the proof.
    private void FailPowerSoon(SimulatedServer server) =>
        _world.Queue.After(TimeSpan.FromMilliseconds(50) + _random.Below(TimeSpan.FromMilliseconds(300)), () =>
        {
            if (!_stopped)
            {
                Crash(server, CrashStyle.LoseAll);
            }
        });

    private bool Crash(SimulatedServer server, CrashStyle? powerCut)
    {
        if (server.State == ServerState.Down)
        {
            return false;
        }

        server.Stop(powerCut);
        StartAfter(server, TimeSpan.FromSeconds(0.1) + _random.Below(_options.DownMost));
        return true;
    }

    // As a service manager does: what can't start, or stopped itself, is tried again a little later.
    private void StartAfter(SimulatedServer server, TimeSpan delay) => _world.Queue.After(delay, () =>
    {
        if (!_stopped && server.CanStart && !server.Start())
        {
            StartAfter(server, TimeSpan.FromSeconds(1));
        }
    });

    // Rot is met when it is read: often soon, by a new process.
    private bool Rot(SimulatedServer server)
    {
        if (!_disks.Damage(FaultKind.Rot, server))
        {
            return false;
        }

        if (_random.Chance(0.7))
        {
            _world.Queue.After(_random.Below(TimeSpan.FromSeconds(5)), () =>
            {
                if (!_stopped)
                {
                    Crash(server, null);
                }
            });
        }

        return true;
    }

    private bool CrashMany()
    {
        int[] places = [.. Enumerable.Range(0, _world.Servers.Count)];
        Shuffle(places);
        int count = _random.Chance(0.5) ? places.Length : 1 + _random.Below(places.Length);
        var style = (CrashStyle)_random.Below(4);
        bool any = false;
        foreach (int place in places.Take(count))
        {
            any |= Crash(_world.Servers[place], style);
        }

        return any;
    }

    private bool Pause(SimulatedServer server)
    {
        if (server.State != ServerState.Running)
        {
            return false;
        }

        server.Pause(TimeSpan.FromSeconds(0.1) + _random.Below(_options.PauseMost));
        return true;
    }

    // The fault hands in how to take it back; that happens after a random while, or when everything is healed.
    private Action<Action> Keep(TimeSpan most, TimeSpan least) => undo =>
    {
        var repair = new Repair(undo);
        _repairs.Add(repair);
        _world.Queue.After(least + _random.Below(most), () =>
        {
            repair.Make();
            _repairs.Remove(repair);
        });
    };

    private void Shuffle(int[] items)
    {
        for (int i = items.Length - 1; i > 0; i--)
        {
            int other = _random.Below(i + 1);
            (items[i], items[other]) = (items[other], items[i]);
        }
    }

    private sealed class Repair(Action undo)
    {
        private bool _made;

        public void Make()
        {
            if (!_made)
            {
                _made = true;
                undo();
            }
        }
    }
}
