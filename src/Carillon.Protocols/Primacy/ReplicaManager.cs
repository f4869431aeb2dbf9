using System.Collections.Immutable;

namespace Carillon.Protocols.Primacy;

/// <summary>What the replica manager of a node is doing.</summary>
public enum ManagerPhase
{
    /// <summary>Another node is the replica manager, or nobody.</summary>
    Idle,

    /// <summary>This node has the epoch, and reads the table that its predecessor left.</summary>
    Loading,

    /// <summary>It keeps the table.</summary>
    Active,
}

/// <summary>
/// The replica manager (seed 002, figure 3): keeps the table of services, their providers and roles; adds and removes services and
/// providers, promotes spares, moves primaries when asked to, keeps the primaries of dependent services on one node, and refuses what can't
/// be satisfied. Itself a service: one node's is active, selected like any other. Services go on without it.
/// </summary>
/// <remarks>
/// The table is changed in memory, written whole by a submission that carries the epoch as fence, one write at a time; a request is
/// answered once a quorum has a table that contains it. Synchronous and single-threaded; time is an argument.
/// </remarks>
public sealed partial class ReplicaManager
{
    private static readonly TimeSpan RetryTime = TimeSpan.FromMilliseconds(300);

    private readonly NodeId _self;
    private readonly PrimacyOptions _options;
    private readonly IReplicaManagerHost _host;
    private readonly SortedDictionary<ServiceName, ServiceEntry> _table = [];
    private readonly List<(ulong Change, ServiceAnswer Answer, Action<ServiceAnswer> Then)> _unanswered = [];
    private Epoch _epoch;
    private ulong _number;
    private ulong _changes;
    private ulong _written;
    private bool _isWriting;
    private Instant _writeAt = Instant.Never;
    private Instant _loadAt = Instant.Never;
    private Instant _reviewAt = Instant.Never;

    public ReplicaManager(NodeId self, PrimacyOptions options, IReplicaManagerHost host)
    {
        _self = self;
        _options = options;
        _host = host;
    }

    /// <summary>What it is doing.</summary>
    public ManagerPhase Phase { get; private set; }

    /// <summary>When <see cref="Advance"/> is to be called next.</summary>
    public Instant NextDeadline => Instant.Min(Instant.Min(_writeAt, _loadAt), Instant.Min(_reviewAt, _askAt));

    /// <summary>The rows as they are here; of use while active.</summary>
    public ImmutableArray<ServiceEntry> Rows => [.. _table.Values];

    /// <summary>This node is the replica manager in this epoch.</summary>
    public void Begin(Epoch epoch, Moment now)
    {
        _epoch = epoch;
        _number = 0;
        _changes = 0;
        _written = 0;
        _isWriting = false;
        _writeAt = Instant.Never;
        _table.Clear();
        _providers.Clear();
        _secondaries.Clear();
        Phase = ManagerPhase.Loading;
        Load();
        _loadAt = now.Now + _options.RequestTimeout;
    }

    /// <summary>It no longer is.</summary>
    public void End()
    {
        Phase = ManagerPhase.Idle;
        _loadAt = Instant.Never;
        _writeAt = Instant.Never;
        _reviewAt = Instant.Never;
        foreach ((_, _, Action<ServiceAnswer> then) in _unanswered.ToArray())
        {
            then(new ServiceAnswer(ServiceResult.Unavailable, "the replica manager moved; ask again"));
        }

        _unanswered.Clear();
    }

    /// <summary>Time went on.</summary>
    public void Advance(Moment now)
    {
        AdvanceRequests(now);
        if (now.Now >= _loadAt)
        {
            _loadAt = Instant.Never;
            if (Phase == ManagerPhase.Loading)
            {
                _loadAt = now.Now + _options.RequestTimeout;
                Load();
            }
        }

        if (now.Now >= _reviewAt)
        {
            Review(now);
        }

        if (now.Now >= _writeAt)
        {
            _writeAt = Instant.Never;
            Write(now);
        }
    }

    /// <summary>A node says for the first time that it is primary in this epoch.</summary>
    public void PrimaryKnown(ServiceName service, NodeId primary, Epoch epoch, TimeSpan? silence, Moment now)
    {
        if (Phase != ManagerPhase.Active || !_table.TryGetValue(service, out ServiceEntry? entry) || entry.Epoch >= epoch)
        {
            return;
        }

        var change = new PrimaryChange(epoch, primary, now.Wall, ReasonFor(entry), entry.Primary.IsNone ? null : silence);
        _moving.Remove(service);
        _table[service] = entry with
        {
            Primary = primary,
            Epoch = epoch,
            History = [.. entry.History.Prepend(change).Take(ServiceEntry.MaxHistory)],
        };
        Changed(now);
        ReviewSoon(now);
    }

    /// <summary>Carries out a request of a user; the answer comes once a quorum has the table that contains it.</summary>
    public void Handle(ServiceRequest request, Moment now, Action<ServiceAnswer> then)
    {
        if (Phase != ManagerPhase.Active)
        {
            then(new ServiceAnswer(ServiceResult.Unavailable, "this server is not the replica manager"));
            return;
        }

        ServiceAnswer answer = request switch
        {
            ServiceRequest.Add add => Add(add.Definition, add.Replace, now),
            ServiceRequest.Remove remove => Remove(remove.Service, now),
            ServiceRequest.Move move => Move(move.Service, move.Target, now),
            ServiceRequest.Register register => Change(register.Service, d => d.Providers.Contains(register.Provider)
                ? d : d with { Providers = d.Providers.Add(register.Provider) }, now),
            ServiceRequest.Unregister unregister => Change(unregister.Service, d => d with
            {
                Providers = d.Providers.Remove(unregister.Provider),
                Preferred = d.Preferred == unregister.Provider ? default : d.Preferred,
            }, now),
            _ => new ServiceAnswer(ServiceResult.Refused, "this request is not known here; this server is of an older release"),
        };
        if (Phase != ManagerPhase.Active)
        {
            then(new ServiceAnswer(ServiceResult.Unavailable, "the replica manager moved; ask again"));
        }
        else if (answer.Result == ServiceResult.Done && _written < _changes)
        {
            _unanswered.Add((_changes, answer, then));
        }
        else
        {
            then(answer);
        }
    }

    private ServiceAnswer Add(ServiceDefinition definition, bool replace, Moment now)
    {
        if (_table.TryGetValue(definition.Name, out ServiceEntry? known))
        {
            if (known.Definition == definition)
            {
                return new ServiceAnswer(ServiceResult.Done, $"'{definition.Name}' is there already");
            }

            if (!replace)
            {
                return new ServiceAnswer(ServiceResult.Refused, $"there is a service '{definition.Name}' with another definition; replace it, or remove it first");
            }
        }
        else if (_table.Count >= _options.MaxServices)
        {
            return new ServiceAnswer(ServiceResult.Refused, $"there are {_table.Count} services, the most that are allowed");
        }

        if (PlacementRules.FaultOf(definition, _table, _host.IsServer) is { } fault)
        {
            return new ServiceAnswer(ServiceResult.Refused, fault);
        }

        _table[definition.Name] = (known ?? new ServiceEntry { Definition = definition, Eligible = [] }) with { Definition = definition };
        Replace(now);
        return new ServiceAnswer(ServiceResult.Done, $"'{definition.Name}' is added");
    }

    private ServiceAnswer Change(ServiceName service, Func<ServiceDefinition, ServiceDefinition> change, Moment now)
    {
        if (!_table.TryGetValue(service, out ServiceEntry? entry))
        {
            return NotFound(service);
        }

        ServiceDefinition changed = change(entry.Definition);
        int most = Math.Max(0, changed.Providers.Length - 1);
        changed = changed with { WantedSecondaries = Math.Min(changed.WantedSecondaries, most) };
        return changed == entry.Definition
            ? new ServiceAnswer(ServiceResult.Done, $"'{service}' is so already")
            : Add(changed, replace: true, now);
    }

    private ServiceAnswer Remove(ServiceName service, Moment now)
    {
        if (!_table.ContainsKey(service))
        {
            return NotFound(service);
        }

        if (PlacementRules.FaultOfRemoval(service, _table) is { } fault)
        {
            return new ServiceAnswer(ServiceResult.Refused, fault);
        }

        _table.Remove(service);
        _moving.Remove(service);
        Replace(now);
        return new ServiceAnswer(ServiceResult.Done, $"'{service}' is removed");
    }

    private static ServiceAnswer NotFound(ServiceName service) => new(ServiceResult.NotFound, $"there is no service '{service}'");

    /// <summary>Where primaries may be follows from all definitions together: it is computed anew with each change.</summary>
    private void Replace(Moment now)
    {
        foreach (ServiceName name in _table.Keys.ToArray())
        {
            ServiceEntry entry = _table[name];
            ImmutableArray<NodeId> eligible = PlacementRules.EligibleFor(PlacementRules.RootOf(name, _table), _table);
            if (!entry.Eligible.IsEmpty && eligible.ToHashSet().SetEquals(entry.Eligible)
                && (entry.Definition.Preferred.IsNone || entry.Eligible[0] == eligible[0]))
            {
                // The order stays while the same servers are eligible: nobody's preference follows the load of the moment.
                continue;
            }

            _table[name] = entry with { Eligible = eligible, Secondaries = [.. entry.Secondaries.Where(eligible.Contains)] };
        }

        Changed(now);
        Review(now);
    }

    private void Changed(Moment now)
    {
        _changes++;
        Write(now);
    }

    private void Load()
    {
        Epoch epoch = _epoch;
        _host.ReadTable((table, now) =>
        {
            if (Phase != ManagerPhase.Loading || epoch != _epoch)
            {
                return;
            }

            if (table is null)
            {
                _loadAt = now.Now + RetryTime;
                return;
            }

            foreach (ServiceEntry entry in table.Entries)
            {
                _table[entry.Definition.Name] = entry;
            }

            _loadAt = Instant.Never;
            Phase = ManagerPhase.Active;
            _startedAt = now.Now;
            Sometimes.Reached("replica-manager-active");
            foreach (ServiceEntry entry in table.Entries)
            {
                (NodeId primary, Epoch known) = _host.PrimaryOf(entry.Definition.Name);
                PrimaryKnown(entry.Definition.Name, primary, known, null, now);
            }

            Review(now);
        });
    }

    private void Write(Moment now)
    {
        if (_isWriting || Phase != ManagerPhase.Active || _written == _changes)
        {
            return;
        }

        _isWriting = true;
        ulong change = _changes;
        Epoch epoch = _epoch;
        _host.WriteTable(new ServiceTable(_epoch, ++_number, [.. _table.Values]), (outcome, later) =>
        {
            if (epoch == _epoch && Phase == ManagerPhase.Active)
            {
                Written(change, outcome, later);
            }
        });
    }

    private void Written(ulong change, TableWrite outcome, Moment now)
    {
        _isWriting = false;
        switch (outcome)
        {
            case TableWrite.Done:
                _written = change;
                AnswerWritten();
                Write(now);
                break;
            case TableWrite.Fenced:
                Sometimes.Reached("replica-manager-fenced");
                End();
                break;
            default:
                _writeAt = now.Now + RetryTime;
                break;
        }
    }

    private void AnswerWritten()
    {
        foreach ((ulong change, ServiceAnswer answer, Action<ServiceAnswer> then) in _unanswered.ToArray())
        {
            if (change <= _written)
            {
                _unanswered.Remove((change, answer, then));
                then(answer);
            }
        }
    }
}
