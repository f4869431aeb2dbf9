using System.Collections.Immutable;
using System.Globalization;

namespace Carillon.Protocols.Primacy;

/// <content>The providers on this server: what they are told to be, and what becomes of them (seed 002, figure 5).</content>
public sealed partial class SelectionMechanism
{
    // A grace period longer than this is cut: the lease ends anyway.
    private static readonly TimeSpan DrainSlack = TimeSpan.FromMilliseconds(500);

    /// <summary>The replica manager's table as it is known here; services that it does not name are left.</summary>
    public void SetTable(ImmutableArray<ServiceEntry> entries, Moment now)
    {
        var named = new HashSet<ServiceName> { ServiceName.ReplicaManager };
        foreach (ServiceEntry entry in entries)
        {
            if (entry.Definition.Name.IsCore)
            {
                continue;
            }

            named.Add(entry.Definition.Name);
            HostedService service = ServiceOf(entry.Definition.Name);
            bool isNew = service.Entry is null || service.Entry.Definition != entry.Definition;
            service.Entry = entry;
            bool isProvider = entry.Definition.Providers.Contains(_self.Name);
            if (isProvider && (isNew || !service.IsProvider))
            {
                service.IsProvider = true;
                _host.Order(new ServiceOrder.Provide(entry.Definition));
            }
            else if (!isProvider && service.IsProvider)
            {
                StopProviding(service, now);
            }

            if (service.Tenure is { Phase: TenurePhase.Holding } && !entry.Eligible.Contains(_self.Name))
            {
                Demote(service, DemotionReason.Removed, default, now);
            }
        }

        foreach (HostedService service in _services.Values.ToArray())
        {
            if (!named.Contains(service.Name) && service.Entry is not null)
            {
                service.Entry = null;
                StopProviding(service, now);
                Release(service, default, default);
            }

            Tick(service, now);
            ForgetIfUnknown(service);
        }
    }

    /// <summary>Something that the runtime tells of a provider on this server.</summary>
    public void Note(ServiceNews news, Moment now)
    {
        if (!_services.TryGetValue(news.Service, out HostedService? service))
        {
            return;
        }

        switch (news)
        {
            case ServiceNews.ProviderUp up:
                service.IsUp = true;
                service.Detail = "";
                service.State = up.State > service.State ? up.State : service.State;
                break;
            case ServiceNews.ProviderDown down:
                ProviderDown(service, down, now);
                break;
            case ServiceNews.CheckpointTaken taken when service.Tenure is { IsActing: true } tenure && taken.State.Epoch == tenure.Epoch:
                service.Checkpoint = (taken.State, taken.Content);
                service.State = taken.State;
                break;
            case ServiceNews.CheckpointApplied applied:
                CheckpointApplied(service, applied.State);
                break;
            case ServiceNews.Drained drained when service.Tenure is { Phase: TenurePhase.Draining } tenure && tenure.Epoch == drained.Epoch:
                tenure.IsDrained = true;
                service.ActedAt = now.Now;
                break;
        }

        Tick(service, now);
        ForgetIfUnknown(service);
    }

    /// <summary>What this node provides, for the replica manager.</summary>
    public ReportMessage Report() => new(
    [
        .. _services.Values.Where(s => s.IsProvider && !s.Name.IsOwn).Select(s => new ProviderReport(
            s.Name, s.IsUp, s.IsPrimary ? ServiceRole.Primary : s.Role, s.IsPrimary ? s.Tenure!.Epoch : default,
            s.Detail.Length > 100 ? s.Detail[..100] : s.Detail)),
    ]);

    /// <summary>Who is known here to be primary of a service, or none.</summary>
    public (NodeId Primary, Epoch Epoch) PrimaryOf(ServiceName name, Instant now) =>
        !_services.TryGetValue(name, out HostedService? service) ? default
        : ActsFor(name, now) ? (_self.Name, service.Tenure!.Epoch)
        : Exists(service, now) ? (service.HeardFrom, service.HeardEpoch)
        : default;

    /// <summary>Everything known here of each service in the table, in order of the names.</summary>
    public ImmutableArray<ServiceStatus> Status(Instant now) =>
        [.. _services.Values.Where(s => s.Entry is not null).Select(s => StatusOf(s, now))];

    private ServiceStatus StatusOf(HostedService service, Instant now)
    {
        (NodeId primary, Epoch epoch) = PrimaryOf(service.Name, now);
        return new ServiceStatus
        {
            Definition = service.Entry!.Definition,
            Primary = primary,
            Epoch = Epoch.Max(epoch, service.Selection.Run),
            Roles =
            [
                .. service.Entry.Definition.Providers.Select(p => (p, p == primary ? ServiceRole.Primary
                    : service.Entry.Secondaries.Contains(p) ? ServiceRole.Secondary : ServiceRole.Spare)),
            ],
            History = service.Entry.History,
            State = Describe(service, now),
        };
    }

    private string Describe(HostedService service, Instant now)
    {
        if (service.Tenure is { } tenure)
        {
            double left = Math.Max(0, (LeaseEnd(service, tenure) - now).TotalSeconds);
            return tenure.Phase switch
            {
                TenurePhase.Bidding => $"bids for epoch {tenure.Epoch}",
                TenurePhase.Holding => string.Create(CultureInfo.InvariantCulture, $"primary in epoch {tenure.Epoch}, lease for {left:F1} s"),
                _ => $"stops ({tenure.Reason})",
            };
        }

        if (Exists(service, now))
        {
            return $"follows {service.HeardFrom}";
        }

        return !service.IsProvider ? "no primary is heard"
            : !service.IsUp ? $"no provider here: {(service.Detail.Length > 0 ? service.Detail : "not started")}"
            : !_host.HasQuorum ? "no primary is heard, and no quorum is connected"
            : service.Selection.Phase switch
            {
                SelectionPhase.Disqualified => $"waits for {service.Selection.Candidate.Node}",
                SelectionPhase.Standing => "waits to bid",
                SelectionPhase.Calling => $"calls {service.Selection.Called}",
                _ => "stands aside",
            };
    }

    private void StopProviding(HostedService service, Moment now)
    {
        if (!service.IsProvider)
        {
            return;
        }

        service.IsProvider = false;
        service.IsUp = false;
        service.Role = ServiceRole.Spare;
        switch (service.Tenure?.Phase)
        {
            case TenurePhase.Bidding:
                GiveUpBid(service, now);
                break;
            case TenurePhase.Holding:
                Demote(service, DemotionReason.Removed, default, now);
                return;
            case TenurePhase.Draining:
                return;
        }

        _host.Order(new ServiceOrder.Leave(service.Name));
    }

    private void ForgetIfUnknown(HostedService service)
    {
        if (service is { Entry: null, Tenure: null, IsProvider: false, HeardAt: null } && service.Name != ServiceName.ReplicaManager)
        {
            _services.Remove(service.Name);
        }
    }

    private void ProviderDown(HostedService service, ServiceNews.ProviderDown down, Moment now)
    {
        service.IsUp = false;
        service.Role = ServiceRole.Spare;
        service.Detail = down.Reason;
        if (down.IsFailure)
        {
            Damp(service, now, isFailure: true);
        }

        if (service.Tenure is { Phase: not TenurePhase.Bidding } tenure)
        {
            // Nothing acts any more: the epoch is over at once, and whoever ranks highest of the others takes the next.
            End(service, tenure, isReleased: true, now);
        }
    }

    /// <summary>A node that fails again and again regains its rank later each time.</summary>
    private void Damp(HostedService service, Moment now, bool isFailure)
    {
        if (now.Now > service.DampedUntil + _options.LongestQuietTime)
        {
            service.Failures = 0;
        }

        TimeSpan quiet = _options.QuietTime;
        if (isFailure)
        {
            for (int i = 0; i < service.Failures && quiet < _options.LongestQuietTime; i++)
            {
                quiet *= 2;
            }

            service.Failures++;
        }

        Instant until = now.Now + (quiet < _options.LongestQuietTime ? quiet : _options.LongestQuietTime);
        service.DampedUntil = until > service.DampedUntil ? until : service.DampedUntil;
    }

    /// <summary>The primary on this server is to stop: renewals end, so the lease's end stands.</summary>
    private void Demote(HostedService service, DemotionReason reason, NodeId successor, Moment now)
    {
        Tenure tenure = service.Tenure!;
        Invariant.That(tenure.Phase == TenurePhase.Holding);
        Instant leaseEnd = LeaseEnd(service, tenure);
        foreach (HostedService companion in CompanionsOf(service.Name))
        {
            if (companion.Tenure is { Phase: TenurePhase.Holding })
            {
                Demote(companion, reason is DemotionReason.LeaseEnding ? reason : DemotionReason.Companion, default, now);
            }
            else if (companion.Tenure is { Phase: TenurePhase.Bidding })
            {
                GiveUpBid(companion, now);
            }
        }

        TimeSpan grace = service.Name.IsCore ? TimeSpan.Zero : service.Entry?.Definition.Command.Grace ?? TimeSpan.Zero;
        tenure.Phase = TenurePhase.Draining;
        tenure.Reason = reason;
        tenure.Successor = successor;
        tenure.Deadline = reason == DemotionReason.LeaseEnding ? leaseEnd : Instant.Min(leaseEnd, now.Now + grace + DrainSlack);
        if (!tenure.IsActing)
        {
            tenure.IsDrained = true;
        }
        else
        {
            _host.Order(new ServiceOrder.Demote(service.Name, tenure.Epoch, tenure.Deadline, reason));
        }

        service.DueAt = now.Now;
        HoldingsChanged(now);
    }

    private void TickDraining(HostedService service, Tenure tenure, Moment now)
    {
        Instant last = tenure.Deadline + _options.HandOverTimeout;
        if (tenure.IsDrained && !CompanionsOf(service.Name).Any(c => c.Tenure is { Phase: not TenurePhase.Bidding }))
        {
            if (IsHandedOver(service, tenure) || now.Now >= last)
            {
                End(service, tenure, isReleased: true, now);
                return;
            }

            service.DueAt = Instant.Min(last, SendCheckpoints(service, now));
            return;
        }

        if (now.Now >= last && !tenure.IsDrained)
        {
            // The guard has killed it at the deadline, but nobody says so: the lease is not released, it ends by itself.
            End(service, tenure, isReleased: false, now);
            return;
        }

        service.DueAt = now.Now >= last ? now.Now + _options.RenewalInterval : last;
    }

    private bool IsHandedOver(HostedService service, Tenure tenure) =>
        tenure.Successor.IsNone || service.Checkpoint is not { } checkpoint || !_host.IsConnected(tenure.Successor)
        || (service.Secondaries.TryGetValue(tenure.Successor, out SecondaryProgress progress) && progress.Acknowledged >= checkpoint.State);

    private void End(HostedService service, Tenure tenure, bool isReleased, Moment now)
    {
        service.Tenure = null;
        service.HeardAt = null;
        service.StandAt = Instant.Never;
        service.BidAt = default;
        service.LastCall = default;
        service.Checkpoint = null;
        service.Secondaries.Clear();
        if (tenure.Phase == TenurePhase.Draining && tenure.Reason is DemotionReason.Moved or DemotionReason.LeaseEnding)
        {
            Damp(service, now, isFailure: false);
        }

        if (tenure.Reason == DemotionReason.Moved || !tenure.IsActing || isReleased)
        {
            service.Detail = tenure.Phase == TenurePhase.Draining ? $"epoch {tenure.Epoch} ended here: {tenure.Reason}" : service.Detail;
        }

        service.Role = ServiceRole.Spare;
        Hold(service);
        if (isReleased)
        {
            Voter.Withdraw(_self, service.Name, tenure.Epoch, now);
            SendAll(new WithdrawMessage(service.Name, tenure.Epoch, Released: true, tenure.Successor));
        }

        if (service.IsProvider)
        {
            if (tenure.IsActing && !service.Name.IsCore)
            {
                _host.Order(new ServiceOrder.BecomeStandby(service.Name, ServiceRole.Spare));
            }
        }
        else if (!service.Name.IsCore)
        {
            _host.Order(new ServiceOrder.Leave(service.Name));
        }

        service.Selection.HandedOver(tenure.Epoch, RankOfSuccessor(service, tenure.Successor), default);
        HoldingsChanged(now);
        TickSelection(service, now);
        foreach (HostedService with in _services.Values)
        {
            if (with.Tenure is { Phase: TenurePhase.Draining } && IsCompanion(service) && service.Entry!.Definition.With == with.Name)
            {
                with.DueAt = now.Now;
            }
        }
    }

    private void OnYield(YieldMessage message, Moment now)
    {
        if (!_services.TryGetValue(message.Service, out HostedService? service)
            || service.Tenure is not { Phase: TenurePhase.Holding } tenure || tenure.Epoch != message.Epoch
            || message.Manager < Voter.FenceOf(ServiceName.ReplicaManager))
        {
            return;
        }

        Sometimes.Reached("primacy-moved");
        Demote(service, DemotionReason.Moved, message.Successor, now);
        Tick(service, now);
    }

    /// <summary>The epoch in which this server acts for a service was found fenced: it lets it go, and a greater one is bid for.</summary>
    public void StepDown(ServiceName name, Moment now)
    {
        if (_services.TryGetValue(name, out HostedService? service) && service.Tenure is { Phase: TenurePhase.Holding })
        {
            Demote(service, DemotionReason.LeaseEnding, default, now);
            Tick(service, now);
        }
    }

    /// <summary>Moves a primary that acts on this very server.</summary>
    public void Yield(ServiceName service, Epoch epoch, NodeId successor, Epoch manager, Moment now) =>
        OnYield(new YieldMessage(service, epoch, successor, manager), now);

    /// <summary>Steps 502 and 504: the newest checkpoint to each node that the table names as secondary and that has not got it.</summary>
    /// <returns>When something is to be sent again.</returns>
    private Instant SendCheckpoints(HostedService service, Moment now)
    {
        Instant due = Instant.Never;
        if (service.Entry is null || service.Name.IsCore || service.Tenure is not { IsActing: true } tenure)
        {
            return due;
        }

        (Freshness State, ReadOnlyMemory<byte> Content) newest =
            service.Checkpoint ?? (new Freshness(tenure.Epoch, 0), ReadOnlyMemory<byte>.Empty);
        foreach (NodeId node in service.Entry.Secondaries.Add(tenure.Successor))
        {
            if (node.IsNone || node == _self.Name || !_host.IsConnected(node))
            {
                continue;
            }

            service.Secondaries.TryGetValue(node, out SecondaryProgress progress);
            if (progress.Acknowledged >= newest.State)
            {
                continue;
            }

            if (progress.Sent != newest.State || now.Now >= progress.SentAt + _options.CheckpointRetry)
            {
                progress = new SecondaryProgress(progress.Acknowledged, newest.State, now.Now);
                service.Secondaries[node] = progress;
                Send(node, new CheckpointMessage(service.Name, tenure.Epoch, newest.State, newest.Content));
            }

            due = Instant.Min(due, progress.SentAt + _options.CheckpointRetry);
        }

        return due;
    }

    private void OnCheckpoint(NodeId from, CheckpointMessage message, Moment now)
    {
        if (!_services.TryGetValue(message.Service, out HostedService? service) || !service.IsProvider || !service.IsUp
            || service.Tenure is { Phase: not TenurePhase.Bidding } || message.Epoch < service.Selection.Run
            || message.Epoch < Voter.FenceOf(message.Service))
        {
            return;
        }

        if (message.State.Number == 0 || message.State <= service.State)
        {
            // Without content there is nothing to put in place: the primary has taken no checkpoint in its epoch.
            BecomeSecondary(service);
            Send(from, new CheckpointAckMessage(message.Service, message.State));
        }
        else
        {
            _host.Order(new ServiceOrder.ApplyCheckpoint(message.Service, message.State, message.Content));
        }

        Tick(service, now);
    }

    private void CheckpointApplied(HostedService service, Freshness state)
    {
        service.State = state > service.State ? state : service.State;
        if (service.Tenure is { Phase: not TenurePhase.Bidding })
        {
            return;
        }

        BecomeSecondary(service);
        if (!service.HeardFrom.IsNone && service.HeardFrom != _self.Name && _host.IsConnected(service.HeardFrom))
        {
            Send(service.HeardFrom, new CheckpointAckMessage(service.Name, state));
        }
    }

    private void BecomeSecondary(HostedService service)
    {
        if (service.Role != ServiceRole.Secondary)
        {
            service.Role = ServiceRole.Secondary;
            _host.Order(new ServiceOrder.BecomeStandby(service.Name, ServiceRole.Secondary));
        }
    }

    private void OnCheckpointAck(NodeId from, CheckpointAckMessage message, Moment now)
    {
        if (_services.TryGetValue(message.Service, out HostedService? service) && service.Tenure is not null
            && service.Secondaries.TryGetValue(from, out SecondaryProgress progress))
        {
            if (progress.Acknowledged is null || message.State > progress.Acknowledged)
            {
                service.Secondaries[from] = progress with { Acknowledged = message.State };
            }

            Tick(service, now);
        }
    }
}
