using System.Collections.Immutable;
using Carillon.Protocols.Cluster;
using Carillon.Protocols.Wire;

namespace Carillon.Protocols.Primacy;

/// <summary>
/// The distributed selection mechanism of one node (seed 002, 132 to 135): for each service it knows who is primary; where none is, it
/// selects by disqualification (<see cref="Selection"/>), bids for an epoch, keeps its lease, and tells the provider on this server what to
/// be. docs/protocols/primacy.md has the messages, the states and the argument.
/// </summary>
/// <remarks>
/// <para>Persist before send: a voter's bit is appended first, and its answer names the log's position. The own bit counts from
/// <see cref="Persisted"/> on.</para>
/// <para>Synchronous and single-threaded. Time and randomness are arguments; the outcome of every call depends on its inputs alone. The
/// clock must count the time that the machine sleeps, and be read after a message was received, never before.</para>
/// </remarks>
public sealed partial class SelectionMechanism
{
    private ClusterConfiguration _configuration;
    private readonly ServerIdentity _self;
    private int _bit;
    private readonly PrimacyOptions _options;
    private readonly RandomSource _random;
    private readonly IPrimacyHost _host;
    private readonly SortedDictionary<ServiceName, HostedService> _services = [];
    private readonly Queue<(ulong Position, ServiceName Service, Epoch Epoch, Instant Sent)> _ownBits = new();
    private readonly HashSet<NodeId> _connected = [];
    private readonly SentTimes _bids;
    private bool _isStarted;
    private bool _isStopping;

    /// <summary>Makes the core of one server; then the log is replayed by <see cref="Restore"/>, and <see cref="Start"/> begins.</summary>
    public SelectionMechanism(
        ClusterConfiguration configuration, ServerIdentity self, PrimacyOptions options, RandomSource random, IPrimacyHost host)
    {
        _configuration = configuration;
        _self = self;
        _bit = configuration.BitOf(self.Name);
        _options = options;
        _random = random;
        _host = host;
        _bids = new SentTimes(self.Incarnation);
        _renewals = new SentTimes(self.Incarnation);
        _holdingsVersion = self.Incarnation.Value << 32;
        Voter = new EpochVoter(configuration, host);
    }

    /// <summary>This server's promises, leases given and fences.</summary>
    public EpochVoter Voter { get; }

    /// <summary>Counters for metrics.</summary>
    public PrimacyFigures Figures { get; } = new();

    /// <summary>When <see cref="Advance"/> is to be called next.</summary>
    public Instant NextDeadline
    {
        get
        {
            Instant due = _renewAt;
            foreach (HostedService service in _services.Values)
            {
                due = Instant.Min(due, service.DueAt);
            }

            return due;
        }
    }

    /// <summary>True while a service acts here, or its end was not told yet: an orderly stop waits for that.</summary>
    public bool HoldsAny => _services.Values.Any(s => s.Tenure is not null);

    private Quorum Quorum => _configuration.Quorum;

    /// <summary>True for a record that this core wrote.</summary>
    public static bool Owns(ReadOnlySpan<byte> record) =>
        record.Length > 0 && (PrimacyRecordType)record[0] is >= PrimacyRecordType.Promise and <= PrimacyRecordType.Stopped;

    /// <summary>Takes one record of the log; false if it can't be read.</summary>
    public bool Restore(ReadOnlySpan<byte> record) => Voter.Restore(record);

    /// <summary>The log is replayed: begins.</summary>
    public void Start(Moment now)
    {
        _isStarted = true;
        Voter.Start(now);
        HostedService manager = ServiceOf(ServiceName.ReplicaManager);
        manager.Entry = new ServiceEntry
        {
            Definition = new ServiceDefinition { Name = ServiceName.ReplicaManager, Providers = _configuration.Voters },
            Eligible = _configuration.Voters,
        };
        manager.IsProvider = _bit >= 0;
        manager.IsUp = _bit >= 0;
        Tick(manager, now);
    }

    /// <summary>From now on nothing new is acted in here; what acts is drained and released. The first step of an orderly stop.</summary>
    public void BeginStop(Moment now)
    {
        _isStopping = true;
        foreach (HostedService service in _services.Values)
        {
            if (service.Tenure is { Phase: TenurePhase.Bidding })
            {
                GiveUpBid(service, now);
            }
            else if (service.Tenure is { Phase: TenurePhase.Holding })
            {
                Demote(service, DemotionReason.Stopping, default, now);
            }

            Tick(service, now);
        }
    }

    /// <summary>The last step: which leases this voter gave is recorded, so that the next start need not wait.</summary>
    /// <returns>The position that must be durable before the server ends; 0 for none.</returns>
    public ulong RecordStop(Moment now) => Voter.Stop(now);

    /// <summary>Copies promises and fences forward, before the log is cut.</summary>
    public void WriteSnapshot(Action<ReadOnlyMemory<byte>> append) => Voter.WriteSnapshot(append);

    /// <summary>No bits and no renewals under this version any more.</summary>
    public void Close(ulong version) => Voter.Close(version);

    /// <summary>The greatest epochs that this server promised.</summary>
    public ImmutableArray<KeyValuePair<ServiceName, Epoch>> PromisedEpochs => [.. Voter.KnownEpochs];

    /// <summary>The table stands in the catalog that this server starts with: the epochs in it were given, by voters of this cluster or of
    /// the one that it was restored from ◆.</summary>
    public void Know(ServiceTable table)
    {
        if (SeededBug.Is("epochs-of-the-table-given-again"))
        {
            return;
        }

        Voter.Know(ServiceName.ReplicaManager, table.Epoch);
        foreach (ServiceEntry entry in table.Entries)
        {
            Voter.Know(entry.Definition.Name, entry.Epoch);
        }
    }

    /// <summary>
    /// Another version of the configuration is in force. What is held is held on, as far as voters that stay renew it; what is bid for is
    /// given up, and bid for anew.
    /// </summary>
    public void Reconfigure(
        ClusterConfiguration configuration, IEnumerable<KeyValuePair<ServiceName, Epoch>> epochs, bool isNew, Moment now)
    {
        ClusterConfiguration before = _configuration;
        foreach (HostedService service in _services.Values)
        {
            if (service.Tenure is { Phase: TenurePhase.Bidding })
            {
                GiveUpBid(service, now);
            }
        }

        int[] moved = [.. before.Voters.Select(
            v => configuration.Find(v)?.Disk == before.Find(v)!.Disk ? configuration.BitOf(v) : -1)];
        _configuration = configuration;
        _bit = configuration.BitOf(_self.Name);
        Voter.Reconfigure(configuration, epochs, isNew, now);
        if (_services.TryGetValue(ServiceName.ReplicaManager, out HostedService? manager) && manager.Entry is { } entry)
        {
            manager.Entry = entry with
            {
                Definition = entry.Definition with { Providers = configuration.Voters }, Eligible = configuration.Voters,
            };
        }

        foreach (NodeId gone in _connected.Where(c => configuration.Find(c) is null).ToArray())
        {
            _connected.Remove(gone);
            _peers.Remove(gone);
        }

        foreach (HostedService service in _services.Values)
        {
            service.Tenure?.Move(moved, configuration.Voters.Length);
            Tick(service, now);
        }
    }

    /// <summary>What is connected changed (step 401).</summary>
    public void ConnectivityChanged(Moment now)
    {
        var vanished = new List<NodeId>();
        foreach (ServerRecord server in _configuration.Servers)
        {
            if (server.Name == _self.Name)
            {
                continue;
            }

            if (_host.IsConnected(server.Name))
            {
                if (_connected.Add(server.Name))
                {
                    SendHoldings(server.Name);
                }
            }
            else if (_connected.Remove(server.Name))
            {
                vanished.Add(server.Name);
                _peers.Remove(server.Name);
            }
        }

        foreach (HostedService service in _services.Values)
        {
            foreach (NodeId node in vanished)
            {
                Vanished(service, node);
            }

            Tick(service, now);
            TellOthers(service);
        }
    }

    /// <summary>Everything up to a position is durable.</summary>
    public void Persisted(ulong position, Moment now)
    {
        while (_ownBits.TryPeek(out (ulong Position, ServiceName Service, Epoch Epoch, Instant Sent) next) && next.Position <= position)
        {
            _ownBits.Dequeue();
            OwnBitSet(next.Service, next.Epoch, next.Sent, now);
        }
    }

    /// <summary>Time went on.</summary>
    public void Advance(Moment now)
    {
        if (!_isStarted)
        {
            return;
        }

        if (now.Now >= _renewAt)
        {
            Renew(now);
        }

        foreach (HostedService service in _services.Values)
        {
            if (now.Now >= service.DueAt)
            {
                Tick(service, now);
            }
        }
    }

    /// <summary>Reads one message of a peer, from its tunnel or a datagram. Bad ones are dropped and counted.</summary>
    public bool Receive(ServerIdentity from, ReadOnlySpan<byte> message, bool isDatagram, Moment now)
    {
        var reader = new WireReader(message);
        if (from.Name == _self.Name || _configuration.Find(from.Name) is null
            || !PrimacyCodec.TryReadHead(ref reader, out PrimacyMessageType type) || !Dispatch(from, type, ref reader, isDatagram, now))
        {
            Figures.BadMessages++;
            return false;
        }

        return true;
    }

    /// <summary>True for the types that this core takes; the others are the replica manager's.</summary>
    public static bool Takes(PrimacyMessageType type) => type is not (PrimacyMessageType.Report or PrimacyMessageType.Request
        or PrimacyMessageType.RequestAnswer);

    private bool Dispatch(ServerIdentity from, PrimacyMessageType type, ref WireReader reader, bool isDatagram, Moment now)
    {
        switch (type)
        {
            case PrimacyMessageType.Renew when RenewMessage.TryRead(ref reader, out RenewMessage m):
                OnRenew(from, m, isDatagram, now);
                return true;
            case PrimacyMessageType.RenewAnswer when RenewAnswerMessage.TryRead(ref reader, out RenewAnswerMessage m):
                OnRenewAnswer(from.Name, m, now);
                return true;
            case var _ when isDatagram:
                // Only what may be lost, doubled and late at no harm comes by datagram.
                return false;
            case PrimacyMessageType.Disqualify when DisqualifyMessage.TryRead(ref reader, out DisqualifyMessage m):
                return OnDisqualify(from, m, now);
            case PrimacyMessageType.DisqualifyAnswer when DisqualifyAnswerMessage.TryRead(ref reader, out DisqualifyAnswerMessage m):
                OnDisqualifyAnswer(from.Name, m, now);
                return true;
            case PrimacyMessageType.Bid when BidMessage.TryRead(ref reader, out BidMessage m):
                OnBid(from, m, now);
                return true;
            case PrimacyMessageType.BidAnswer when BidAnswerMessage.TryRead(ref reader, out BidAnswerMessage m):
                OnBidAnswer(from.Name, m, now);
                return true;
            case PrimacyMessageType.Withdraw when WithdrawMessage.TryRead(ref reader, out WithdrawMessage m):
                OnWithdraw(from, m, now);
                return true;
            case PrimacyMessageType.Holdings when HoldingsMessage.TryRead(ref reader, out HoldingsMessage m):
                OnHoldings(from, m, now);
                return true;
            case PrimacyMessageType.Checkpoint when CheckpointMessage.TryRead(ref reader, out CheckpointMessage m):
                OnCheckpoint(from.Name, m, now);
                return true;
            case PrimacyMessageType.CheckpointAck when CheckpointAckMessage.TryRead(ref reader, out CheckpointAckMessage m):
                OnCheckpointAck(from.Name, m, now);
                return true;
            case PrimacyMessageType.Yield when YieldMessage.TryRead(ref reader, out YieldMessage m):
                OnYield(m, now);
                return true;
            default:
                return false;
        }
    }

    private HostedService ServiceOf(ServiceName name)
    {
        if (!_services.TryGetValue(name, out HostedService? service))
        {
            _services.Add(name, service = new HostedService(name, _self.Name));
        }

        return service;
    }

    // A peer may speak of a service before the table that names it has come here; beyond the bound it waits for the table.
    private HostedService? ServiceHeardOf(ServiceName name) =>
        _services.TryGetValue(name, out HostedService? service) ? service
        : _services.Count <= _options.MaxServices ? ServiceOf(name)
        : null;

    private void Tick(HostedService service, Moment now)
    {
        service.DueAt = Instant.Never;
        if (!_isStarted)
        {
            return;
        }

        if (service.Tenure is null)
        {
            TickSelection(service, now);
        }

        if (service.Tenure is not null)
        {
            TickTenure(service, now);
        }
    }

    private void SendAll<T>(in T message)
        where T : struct, IPrimacyMessage
    {
        byte[] bytes = PrimacyCodec.Encode(message);
        foreach (ServerRecord server in _configuration.Servers)
        {
            if (server.Name != _self.Name && _host.IsConnected(server.Name))
            {
                _host.Send(server.Name, bytes, 0);
            }
        }
    }

    private void Send<T>(NodeId to, in T message, ulong after = 0)
        where T : struct, IPrimacyMessage =>
        _host.Send(to, PrimacyCodec.Encode(message), after);
}
