using System.Collections.Immutable;

namespace Carillon.Protocols.Primacy;

/// <content>Providers: what they report, which of them are secondaries, and planned moves.</content>
public sealed partial class ReplicaManager
{
    private static readonly TimeSpan ReviewTime = TimeSpan.FromSeconds(1);

    private readonly SortedDictionary<(ServiceName Service, NodeId Node), ProviderReport> _providers = [];
    private readonly SortedDictionary<(ServiceName Service, NodeId Node), SecondaryState> _secondaries = [];
    private readonly SortedDictionary<ServiceName, string> _moving = [];
    private Instant _startedAt;

    /// <summary>What a node says of its providers.</summary>
    public void OnReport(NodeId from, ReportMessage report, Moment now)
    {
        if (Phase != ManagerPhase.Active)
        {
            return;
        }

        foreach (ProviderReport item in report.Items)
        {
            if (_table.ContainsKey(item.Service))
            {
                _providers[(item.Service, from)] = item;
            }
        }

        ReviewSoon(now);
    }

    /// <summary>What is connected changed.</summary>
    public void ConnectivityChanged(Moment now)
    {
        if (Phase == ManagerPhase.Active)
        {
            ReviewSoon(now);
        }
    }

    private void ReviewSoon(Moment now) => _reviewAt = Instant.Min(_reviewAt, now.Now + TimeSpan.FromMilliseconds(20));

    /// <summary>Looks over all services: are there secondaries enough, is each companion up where its primary must be?</summary>
    private void Review(Moment now)
    {
        _reviewAt = Instant.Never;
        if (Phase != ManagerPhase.Active)
        {
            return;
        }

        _reviewAt = _table.Count == 0 ? Instant.Never : now.Now + ReviewTime;
        foreach (ServiceName name in _table.Keys.ToArray())
        {
            ServiceEntry entry = _table[name];
            ImmutableArray<NodeId> secondaries = ChooseSecondaries(entry, now);
            if (!secondaries.SequenceEqual(entry.Secondaries))
            {
                _table[name] = entry with { Secondaries = secondaries };
                Changed(now);
            }

            MoveFromDeadCompanion(entry, now);
        }
    }

    private bool IsUp(ServiceName service, NodeId node) =>
        _host.IsConnected(node) && _providers.TryGetValue((service, node), out ProviderReport report) && report.IsUp;

    private bool IsBackedOff(ServiceName service, NodeId node, Moment now) =>
        _secondaries.TryGetValue((service, node), out SecondaryState? state) && now.Now < state.NotBefore;

    private ImmutableArray<NodeId> ChooseSecondaries(ServiceEntry entry, Moment now)
    {
        ServiceName name = entry.Definition.Name;
        var chosen = new List<NodeId>();
        foreach (NodeId node in entry.Secondaries)
        {
            if (node != entry.Primary && entry.Eligible.Contains(node) && chosen.Count < entry.Definition.WantedSecondaries
                && !IsToReplace(entry, node, now))
            {
                chosen.Add(node);
            }
        }

        foreach (NodeId node in entry.Eligible)
        {
            if (chosen.Count >= entry.Definition.WantedSecondaries)
            {
                break;
            }

            if (node != entry.Primary && !chosen.Contains(node) && IsUp(name, node) && !IsBackedOff(name, node, now))
            {
                chosen.Add(node);
                _secondaries[(name, node)] = new SecondaryState { ChosenAt = now.Now };
            }
        }

        return [.. chosen.Order()];
    }

    /// <summary>A secondary that is away, or does not become one, is replaced, if another can take its place.</summary>
    private bool IsToReplace(ServiceEntry entry, NodeId node, Moment now)
    {
        ServiceName name = entry.Definition.Name;
        if (!_secondaries.TryGetValue((name, node), out SecondaryState? state))
        {
            _secondaries[(name, node)] = state = new SecondaryState { ChosenAt = now.Now };
        }

        bool isUp = IsUp(name, node);
        bool isSynchronised = isUp && _providers[(name, node)].Role == ServiceRole.Secondary;
        state.AwaySince = isUp ? null : state.AwaySince ?? now.Now;
        if (isSynchronised)
        {
            state.ChosenAt = now.Now;
        }

        bool isAway = state.AwaySince is { } since && now.Now >= since + _options.ReplaceAfter;
        bool isStuck = isUp && !isSynchronised && now.Now >= state.ChosenAt + _options.PromotionTimeout;
        if (!isAway && !isStuck)
        {
            return false;
        }

        bool hasOther = entry.Eligible.Any(n => n != node && n != entry.Primary && !entry.Secondaries.Contains(n) && IsUp(name, n)
            && !IsBackedOff(name, n, now));
        if (hasOther)
        {
            // A promotion that failed does not disturb the primary, and is not tried again at once (RMM-60).
            state.NotBefore = now.Now + (isStuck ? 10 * _options.PromotionTimeout : TimeSpan.Zero);
        }

        return hasOther;
    }

    /// <summary>Where a companion's provider fails and the primary it is with stays, both move to a node where all are up.</summary>
    private void MoveFromDeadCompanion(ServiceEntry entry, Moment now)
    {
        ServiceName name = entry.Definition.Name;
        if (entry.Definition.With.IsNone || now.Now < _startedAt + _options.QuietTime)
        {
            return;
        }

        ServiceName root = PlacementRules.RootOf(name, _table);
        (NodeId primary, _) = _host.PrimaryOf(root);
        bool isDown = !primary.IsNone && _providers.TryGetValue((name, primary), out ProviderReport report) && !report.IsUp;
        _secondaries.TryGetValue((name, default), out SecondaryState? state);
        if (!isDown)
        {
            _secondaries.Remove((name, default));
            return;
        }

        if (state is null)
        {
            _secondaries[(name, default)] = new SecondaryState { ChosenAt = now.Now, AwaySince = now.Now };
        }
        else if (now.Now >= state.AwaySince + _options.QuietTime)
        {
            state.AwaySince = now.Now;
            Move(root, default, now, $"the provider of '{name}' failed on {primary}");
        }
    }

    private ServiceAnswer Move(ServiceName service, NodeId target, Moment now, string why = "moved by request")
    {
        if (!_table.ContainsKey(service))
        {
            return NotFound(service);
        }

        ServiceName root = PlacementRules.RootOf(service, _table);
        ServiceEntry entry = _table[root];
        ImmutableArray<ServiceEntry> tree = PlacementRules.TreeOf(root, _table);
        (NodeId primary, Epoch epoch) = _host.PrimaryOf(root);
        if (primary.IsNone)
        {
            return new ServiceAnswer(ServiceResult.Refused, $"'{root}' has no primary at present that could hand over");
        }

        if (target.IsNone)
        {
            target = entry.Eligible.Where(n => n != primary && tree.All(e => IsUp(e.Definition.Name, n)))
                .OrderByDescending(entry.Secondaries.Contains).FirstOrDefault();
            if (target.IsNone)
            {
                return new ServiceAnswer(ServiceResult.Refused, $"no other server provides '{root}' and what must be with it at present");
            }
        }

        if (target == primary)
        {
            return new ServiceAnswer(ServiceResult.Done, $"'{root}' is on {target} already");
        }

        if (FaultOfTarget(entry, tree, target) is { } fault)
        {
            return new ServiceAnswer(ServiceResult.Refused, fault);
        }

        foreach (ServiceEntry member in tree)
        {
            _moving[member.Definition.Name] = why;
        }

        _host.Yield(primary, new YieldMessage(root, epoch, target, _epoch));
        return new ServiceAnswer(ServiceResult.Done, $"'{root}' moves from {primary} to {target}");
    }

    private string? FaultOfTarget(ServiceEntry entry, ImmutableArray<ServiceEntry> tree, NodeId target)
    {
        if (!entry.Eligible.Contains(target))
        {
            ServiceName[] against = [.. tree.Where(e => !e.Definition.Providers.Contains(target)).Select(e => e.Definition.Name)];
            return $"{target} does not provide {string.Join(", ", against)}";
        }

        if (!_host.IsConnected(target))
        {
            return $"{target} is not connected";
        }

        foreach (ServiceEntry member in tree)
        {
            if (!IsUp(member.Definition.Name, target))
            {
                bool isReported = _providers.TryGetValue((member.Definition.Name, target), out ProviderReport report);
                string detail = isReported ? report.Detail : "not reported yet";
                return $"the provider of '{member.Definition.Name}' on {target} is not up: {detail}";
            }
        }

        return null;
    }

    private string ReasonFor(ServiceEntry entry)
    {
        if (_moving.TryGetValue(entry.Definition.Name, out string? why))
        {
            return why;
        }

        if (entry.Primary.IsNone)
        {
            return "the first";
        }

        if (!_host.IsConnected(entry.Primary))
        {
            return $"{entry.Primary} is not connected";
        }

        return _providers.TryGetValue((entry.Definition.Name, entry.Primary), out ProviderReport report) && report.Detail.Length > 0
            ? report.Detail
            : $"the lease of {entry.Primary} ended";
    }

    /// <summary>What is known of a node as secondary of a service.</summary>
    private sealed class SecondaryState
    {
        /// <summary>When it was chosen, or was last seen synchronised.</summary>
        public Instant ChosenAt { get; set; }

        /// <summary>Since when its provider is not up.</summary>
        public Instant? AwaySince { get; set; }

        /// <summary>Not chosen again before this.</summary>
        public Instant NotBefore { get; set; }
    }
}
