using System.Collections.Immutable;
using Carillon.Protocols.Cluster;

namespace Carillon.Protocols.Primacy;

/// <content>Leases: renewals, statements, and the end of both.</content>
public sealed partial class SelectionMechanism
{
    private readonly SentTimes _renewals;
    private readonly SortedDictionary<NodeId, PeerHoldings> _peers = [];
    private readonly SortedDictionary<NodeId, Instant> _answeredAt = [];
    private ulong _holdingsVersion;
    private Instant _renewAt = Instant.Never;

    /// <summary>This node's selection for a service, or null where the service is not known here.</summary>
    public Selection? SelectionOf(ServiceName service) => _services.GetValueOrDefault(service)?.Selection;

    /// <summary>True while this node's lease as primary of a service is in force.</summary>
    public bool ActsFor(ServiceName service, Instant now) =>
        _services.TryGetValue(service, out HostedService? state)
        && state.Tenure is { Phase: TenurePhase.Holding, IsActing: true } tenure && LeaseEnd(state, tenure) > now;

    /// <summary>The epoch in which this node acts for a service, or none.</summary>
    public Epoch ActingEpoch(ServiceName service, Instant now) => ActsFor(service, now) ? _services[service].Tenure!.Epoch : default;

    /// <summary>Until when this node may act: never longer than for the service that it must be with.</summary>
    private Instant LeaseEnd(HostedService service, Tenure tenure)
    {
        Instant end = tenure.LeaseEnd(Quorum.Size, _configuration.LeaseDuration, _options.Allowance);
        if (!IsCompanion(service))
        {
            return end;
        }

        // The table has no cycles, so this comes to an end.
        return _services.TryGetValue(service.Entry!.Definition.With, out HostedService? other) && other.Tenure is { IsActing: true } with
            ? Instant.Min(end, other.Tenure.Phase == TenurePhase.Draining ? with.Deadline : LeaseEnd(other, with))
            : default;
    }

    private TimeSpan LeadOf(HostedService service)
    {
        TimeSpan lease = _configuration.LeaseDuration;
        TimeSpan stopping = service.Name.IsCore ? TimeSpan.Zero : service.Entry?.Definition.Command.Grace ?? TimeSpan.Zero;
        return (stopping < 0.4 * lease ? stopping : 0.4 * lease) + (0.05 * lease);
    }

    private void TickTenure(HostedService service, Moment now)
    {
        Tenure tenure = service.Tenure!;
        switch (tenure.Phase)
        {
            case TenurePhase.Bidding:
                TickBid(service, tenure, now);
                break;
            case TenurePhase.Holding:
                TickHolding(service, tenure, now);
                break;
            default:
                TickDraining(service, tenure, now);
                break;
        }
    }

    private void TickHolding(HostedService service, Tenure tenure, Moment now)
    {
        Instant end = LeaseEnd(service, tenure);
        TimeSpan lead = LeadOf(service);
        if (!tenure.IsActing)
        {
            if (CanStand(service) && end > now.Now + lead)
            {
                Act(service, tenure, end, now);
                return;
            }

            if (now.Now >= tenure.Begun + _configuration.LeaseDuration + _options.BidTimeout || !CanStand(service))
            {
                End(service, tenure, isReleased: true, now);
                return;
            }

            service.DueAt = now.Now + _options.RenewalInterval;
            return;
        }

        if (!CanDoItsWork(service))
        {
            Sometimes.Reached("replica-manager-votes-no-more");
            Demote(service, DemotionReason.LeaseEnding, default, now);
            TickDraining(service, tenure, now);
            return;
        }

        if (Voter.FenceOf(service.Name) > tenure.Epoch)
        {
            // Its effects would be refused here: it takes a greater epoch, or another node does.
            Sometimes.Reached("primacy-fenced-at-home");
            Demote(service, DemotionReason.LeaseEnding, default, now);
            TickDraining(service, tenure, now);
            return;
        }

        if (now.Now >= end - lead)
        {
            bool isAlone = IsCompanion(service) && !ActsFor(service.Entry!.Definition.With, now.Now);
            Figures.LeasesLost += isAlone ? 0 : 1;
            Demote(service, isAlone ? DemotionReason.Companion : DemotionReason.LeaseEnding, default, now);
            TickDraining(service, tenure, now);
            return;
        }

        if (end >= tenure.ToldEnd + (_options.RenewalInterval / 2))
        {
            tenure.ToldEnd = end;
            _host.Order(new ServiceOrder.ExtendLease(service.Name, tenure.Epoch, end));
        }

        service.DueAt = Instant.Min(end - lead, SendCheckpoints(service, now));
    }

    private void Act(HostedService service, Tenure tenure, Instant end, Moment now)
    {
        tenure.IsActing = true;
        tenure.ToldEnd = end;
        service.HeardFrom = _self.Name;
        service.HeardEpoch = tenure.Epoch;
        service.HeardAt = null;
        service.Checkpoint = null;
        service.Secondaries.Clear();
        service.Detail = "";
        _host.Order(new ServiceOrder.BecomePrimary(service.Name, tenure.Epoch, end, service.State));
        Release(service, _self.Name, tenure.Epoch);
        _host.PrimaryKnown(service.Name, _self.Name, tenure.Epoch, now.Now - service.ActedAt);
        HoldingsChanged(now);
        TellOthers(service);
        service.DueAt = end - LeadOf(service);
        foreach (HostedService companion in CompanionsOf(service.Name))
        {
            Tick(companion, now);
        }
    }

    private IEnumerable<HostedService> CompanionsOf(ServiceName service) =>
        _services.Values.Where(s => s.Entry is { } entry && entry.Definition.With == service);

    private void HoldingsChanged(Moment now)
    {
        _holdingsVersion++;
        foreach (HostedService service in _services.Values)
        {
            if (service.Tenure is { Phase: TenurePhase.Holding, SinceVersion: ulong.MaxValue } tenure)
            {
                tenure.SinceVersion = _holdingsVersion;
            }
        }

        byte[] bytes = PrimacyCodec.Encode(Holdings());
        foreach (ServerRecord server in _configuration.Servers)
        {
            if (server.Name != _self.Name && _host.IsConnected(server.Name))
            {
                _host.Send(server.Name, bytes, 0);
            }
        }

        _renewAt = HasHoldings ? Instant.Min(_renewAt, now.Now + _options.RenewalInterval) : Instant.Never;
    }

    private bool HasHoldings => _services.Values.Any(s => s.Tenure is { Phase: TenurePhase.Holding });

    private HoldingsMessage Holdings() => new(_holdingsVersion,
    [
        .. _services.Values.Where(s => s.Tenure is { Phase: TenurePhase.Holding })
            .Select(s => new Holding(s.Name, s.Tenure!.Epoch, s.Tenure.IsActing)),
    ]);

    private void SendHoldings(NodeId to)
    {
        if (HasHoldings)
        {
            Send(to, Holdings());
        }
    }

    /// <summary>One question to all for everything that is held here; the own vote obeys the rules of the others ◆.</summary>
    private void Renew(Moment now)
    {
        _renewAt = Instant.Never;
        if (!HasHoldings)
        {
            return;
        }

        _renewAt = now.Now + _options.RenewalInterval;
        byte[] bytes = PrimacyCodec.Encode(new RenewMessage(_holdingsVersion, _renewals.Next(now.Now)));
        foreach (ServerRecord server in _configuration.Servers)
        {
            if (server.Name == _self.Name)
            {
                continue;
            }

            _host.SendDatagram(server.Name, bytes);
            bool isHeard = _answeredAt.TryGetValue(server.Name, out Instant answered)
                && now.Now < answered + (3 * _options.RenewalInterval);
            if (!isHeard && _host.IsConnected(server.Name))
            {
                _host.Send(server.Name, bytes, 0);
            }
        }

        foreach (HostedService service in _services.Values)
        {
            if (service.Tenure is { Phase: TenurePhase.Holding } tenure)
            {
                service.ActedAt = tenure.IsActing ? now.Now : service.ActedAt;
                if (_bit >= 0 && (Voter.Renew(_self, service.Name, tenure.Epoch, now) || SeededBug.Is("own-renewal-unchecked")))
                {
                    tenure.Answered(_bit, now.Now);
                }

                Tick(service, now);
            }
        }
    }

    private void OnHoldings(ServerIdentity from, HoldingsMessage message, Moment now)
    {
        if (_peers.TryGetValue(from.Name, out PeerHoldings? known) && known.Version >= message.Version)
        {
            return;
        }

        var peer = new PeerHoldings(message.Version, message.Items);
        _peers[from.Name] = peer;
        NoteStatement(from, peer, now);
    }

    private void OnRenew(ServerIdentity from, RenewMessage message, bool isDatagram, Moment now)
    {
        if (!_peers.TryGetValue(from.Name, out PeerHoldings? peer) || peer.Version != message.Version)
        {
            Answer(from.Name, new RenewAnswerMessage(message.Version, message.Counter, IsKnown: false, []), isDatagram);
            return;
        }

        if (message.Counter > peer.Counter)
        {
            peer.Counter = message.Counter;
            NoteStatement(from, peer, now);
        }

        var refused = ImmutableArray.CreateBuilder<ServiceName>();
        foreach (Holding item in peer.Items)
        {
            if (_bit < 0 || !Voter.Renew(from, item.Service, item.Epoch, now))
            {
                refused.Add(item.Service);
            }
        }

        Answer(from.Name, new RenewAnswerMessage(message.Version, message.Counter, IsKnown: true, refused.ToImmutable()), isDatagram);
    }

    // By the way that the question came: a datagram's answer that is lost is asked for again before it matters.
    private void Answer(NodeId to, RenewAnswerMessage answer, bool isDatagram)
    {
        if (isDatagram && answer.Refused.Length <= 16)
        {
            _host.SendDatagram(to, PrimacyCodec.Encode(answer));
        }
        else if (_host.IsConnected(to))
        {
            Send(to, answer);
        }
    }

    private void OnRenewAnswer(NodeId from, RenewAnswerMessage message, Moment now)
    {
        int bit = _configuration.BitOf(from);
        if (!_renewals.TryFind(message.Counter, out Instant sent))
        {
            return;
        }

        _answeredAt[from] = now.Now;
        if (!message.IsKnown)
        {
            if (message.Version == _holdingsVersion && _host.IsConnected(from))
            {
                Send(from, Holdings());
            }

            return;
        }

        if (bit < 0)
        {
            return;
        }

        foreach (HostedService service in _services.Values)
        {
            if (service.Tenure is { Phase: TenurePhase.Holding } tenure && tenure.SinceVersion <= message.Version
                && (!message.Refused.Contains(service.Name) || SeededBug.Is("renewal-inferred-from-an-echo")))
            {
                tenure.Answered(bit, SeededBug.Is("lease-from-the-answer") ? now.Now : sent);
                Tick(service, now);
            }
        }
    }

    private void NoteStatement(ServerIdentity from, PeerHoldings peer, Moment now)
    {
        foreach (Holding item in peer.Items)
        {
            if (item.IsActing && ServiceHeardOf(item.Service) is { } service)
            {
                Heard(service, from.Name, item.Epoch, now);
            }
        }
    }

    /// <summary>A node says that it holds its lease in this epoch.</summary>
    private void Heard(HostedService service, NodeId primary, Epoch epoch, Moment now)
    {
        if (epoch < service.Selection.Run || (service.Tenure is { Phase: not TenurePhase.Bidding } own && own.Epoch >= epoch))
        {
            return;
        }

        bool isNew = service.HeardFrom != primary || service.HeardEpoch != epoch;
        TimeSpan? silence = now.Now - service.ActedAt;
        service.ActedAt = now.Now;
        service.HeardFrom = primary;
        service.HeardEpoch = epoch;
        service.HeardAt = now.Now;
        service.Selection.PrimaryHeard(primary, epoch);
        service.StandAt = Instant.Never;
        service.BidAt = default;
        if (service.Tenure is { Phase: TenurePhase.Bidding })
        {
            GiveUpBid(service, now);
        }

        if (isNew)
        {
            _host.PrimaryKnown(service.Name, primary, epoch, silence);
        }

        Release(service, primary, epoch);
        Tick(service, now);
    }

    private void OnWithdraw(ServerIdentity from, WithdrawMessage message, Moment now)
    {
        Voter.Withdraw(from, message.Service, message.Epoch, now);
        if (!message.Released || !_services.TryGetValue(message.Service, out HostedService? service)
            || message.Epoch < service.Selection.Run || service.Tenure is not null)
        {
            // A bid of one's own goes on: the voters are free now.
            return;
        }

        service.HeardAt = null;
        service.StandAt = Instant.Never;
        service.BidAt = default;
        service.LastCall = default;
        service.Selection.HandedOver(message.Epoch, RankOfSuccessor(service, message.Successor), OwnRank(service, now.Now));
        Hold(service);
        Tick(service, now);
    }

    // None outranks who was chosen to take over, so that the others wait for it.
    private static Rank RankOfSuccessor(HostedService service, NodeId successor) =>
        successor.IsNone || service.Entry is null ? default : service.ExpectedRank(successor) with { Class = RankClass.Primary };

    /// <summary>What a peer said that it holds, and the last renewal of it that was heard.</summary>
    private sealed class PeerHoldings(ulong version, ImmutableArray<Holding> items)
    {
        public ulong Version { get; } = version;

        public ImmutableArray<Holding> Items { get; } = items;

        public ulong Counter { get; set; }
    }
}
