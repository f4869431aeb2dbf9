using System.Collections.Immutable;

namespace Carillon.Protocols.Primacy;

/// <content>Who asks first: seed 002, figures 4, 6 and 7.</content>
public sealed partial class SelectionMechanism
{
    /// <summary>The primary exists if its own statement that it holds its lease was heard lately: that somebody can talk to its node says
    /// nothing ◆.</summary>
    private bool Exists(HostedService service, Instant now) =>
        (service.HeardAt is { } heard && heard + _options.StatementTimeout > now)
        || (SeededBug.Is("primary-exists-if-connected") && !service.HeardFrom.IsNone && _host.IsConnected(service.HeardFrom));

    private static Instant DueAfter(Instant at, Instant now) => at > now ? at : Instant.Never;

    private bool CanStand(HostedService service) =>
        service is { IsProvider: true, IsUp: true } && !_isStopping && service.Eligible.Contains(_self.Name)
        && (_host.HasQuorum || SeededBug.Is("stands-without-quorum")) && CanDoItsWork(service);

    /// <summary>The replica manager reads and writes its table by agreement, in which only a server that votes takes part. Other services
    /// need an epoch, which others vote for.</summary>
    private bool CanDoItsWork(HostedService service) => service.Name != ServiceName.ReplicaManager || _host.MayVote;

    private Rank OwnRank(HostedService service, Instant now) => CanStand(service) ? service.RankAt(now) : default;

    private bool IsCompanion(HostedService service) => service.Entry is { Definition.With.IsNone: false };

    private void TickSelection(HostedService service, Moment now)
    {
        if (Exists(service, now.Now))
        {
            service.DueAt = service.HeardAt is { } heard ? DueAfter(heard + _options.StatementTimeout, now.Now) : Instant.Never;
            return;
        }

        if (service.HeardAt is not null || service.Selection.Phase == SelectionPhase.Following)
        {
            service.HeardAt = null;
            service.Selection.PrimaryLost();
            Hold(service);
        }

        if (service.Entry is null || !CanStand(service))
        {
            service.Selection.StepAside();
            service.StandAt = Instant.Never;

            // A server that votes again hears of nothing: it looks.
            service.DueAt = CanDoItsWork(service) ? Instant.Never : now.Now + _options.StatementTimeout;
            return;
        }

        if (IsCompanion(service))
        {
            // It has no selection of its own: who is primary of the service that it must be with bids for it too.
            if (ActsFor(service.Entry.Definition.With, now.Now))
            {
                BidWhenDue(service, now);
            }

            return;
        }

        if (service.Selection.Phase is SelectionPhase.Aside or SelectionPhase.Following)
        {
            service.StandAt = Instant.Never;
            service.LastCall = default;
            service.Selection.Begin(service.RankAt(now.Now), TargetsOf(service));
            Hold(service);
        }

        Proceed(service, now);
    }

    /// <summary>The next call, the bid, or the wait for another's lease.</summary>
    private void Proceed(HostedService service, Moment now)
    {
        Selection selection = service.Selection;
        while (selection.Called is { IsNone: false } called
            && (!_host.IsConnected(called) || (now.Now >= service.CallUntil && service.LastCall == (selection.Run, called))))
        {
            selection.Skip(called);
        }

        switch (selection.Phase)
        {
            case SelectionPhase.Calling:
                if (service.LastCall != (selection.Run, selection.Called))
                {
                    Call(service, now);
                }

                service.DueAt = service.CallUntil;
                break;
            case SelectionPhase.Standing:
                BidWhenDue(service, now);
                break;
            case SelectionPhase.Disqualified:
                WaitDisqualified(service, now);
                break;
        }
    }

    private void Call(HostedService service, Moment now)
    {
        NodeId called = service.Selection.Called;
        service.LastCall = (service.Selection.Run, called);
        TimeSpan patience = _options.CallTimeout;
        if (_host.RoundTrip(called) is { } roundTrip && 3 * roundTrip > patience)
        {
            patience = 3 * roundTrip;
        }

        service.CallUntil = now.Now + patience;
        Figures.Calls++;
        Send(called, new DisqualifyMessage(service.Name, service.Selection.Run, service.Selection.OwnRank));
    }

    private void WaitDisqualified(HostedService service, Moment now)
    {
        if (service.StandAt == Instant.Never)
        {
            service.StandAt = now.Now + _configuration.LeaseDuration + (PositionOf(service) * _options.StandAnywayStep);
        }

        // The call that stopped this node is over since.
        Instant again = service.Selection.IsStoppedByHearsay ? service.CallUntil + _options.CallTimeout : Instant.Never;
        if (now.Now < Instant.Min(service.StandAt, again))
        {
            service.DueAt = Instant.Min(service.StandAt, again);
        }
        else if (now.Now < service.StandAt)
        {
            service.Selection.AskAgain();
            service.LastCall = default;
            service.Selection.Begin(service.RankAt(now.Now), TargetsOf(service));
            Proceed(service, now);
        }
        else if (!SeededBug.Is("disqualified-never-stands"))
        {
            Figures.StoodAnyway++;
            Sometimes.Reached("primacy-stands-anyway");
            service.StandAt = Instant.Never;
            service.Selection.StandAnyway(service.RankAt(now.Now));
            BidWhenDue(service, now);
        }
    }

    /// <summary>The other providers that are connected, the highest rank first as far as ranks are known here.</summary>
    private ImmutableArray<NodeId> TargetsOf(HostedService service) =>
    [
        .. service.Eligible.Where(n => n != _self.Name && _host.IsConnected(n)).OrderByDescending(service.ExpectedRank),
    ];

    /// <summary>This node's place, from 1 on, among the connected providers in order of the rank that they are expected to have: no two
    /// stand anyway at one time.</summary>
    private int PositionOf(HostedService service) =>
        1 + service.Eligible.Count(n =>
            n != _self.Name && _host.IsConnected(n) && service.ExpectedRank(n) > service.ExpectedRank(_self.Name));

    private bool OnDisqualify(ServerIdentity from, DisqualifyMessage message, Moment now)
    {
        if (message.Rank.Node != from.Name)
        {
            return false;
        }

        if (!_host.IsConnected(from.Name) || ServiceHeardOf(message.Service) is not { } service)
        {
            return true;
        }

        if (message.Rank.Class == RankClass.Primary)
        {
            // Steps 622 and 624: the surviving primary tells that it is there.
            Heard(service, from.Name, message.Run, now);
        }

        if (service.Tenure is null && service.Selection.Phase == SelectionPhase.Following && !Exists(service, now.Now))
        {
            service.Selection.PrimaryLost();
        }

        SelectionPhase before = service.Selection.Phase;
        CallAnswer answer = service.Selection.Asked(message.Run, message.Rank, OwnRank(service, now.Now));
        Send(from.Name, new DisqualifyAnswerMessage(message.Service, answer));
        if (service.Selection.Phase != before)
        {
            service.StandAt = Instant.Never;
            if (service.Tenure is { Phase: TenurePhase.Bidding })
            {
                GiveUpBid(service, now);
            }
        }

        Tick(service, now);
        return true;
    }

    private void OnDisqualifyAnswer(NodeId from, DisqualifyAnswerMessage message, Moment now)
    {
        if (!_services.TryGetValue(message.Service, out HostedService? service))
        {
            return;
        }

        if (service.Tenure is { Phase: TenurePhase.Holding } tenure)
        {
            if (message.Answer.Run <= tenure.Epoch)
            {
                tenure.Told.Add(from);
            }

            return;
        }

        if (service.Tenure is null)
        {
            service.Selection.Answered(from, message.Answer);
            Tick(service, now);
        }
    }

    /// <summary>Steps 618 to 624: a primary that is still there tells every provider that it has not told yet.</summary>
    private void TellOthers(HostedService service)
    {
        if (service.Tenure is not { Phase: TenurePhase.Holding, IsActing: true } tenure || IsCompanion(service))
        {
            return;
        }

        foreach (NodeId node in service.Eligible)
        {
            if (node != _self.Name && _host.IsConnected(node) && tenure.Told.Add(node))
            {
                Figures.Calls++;
                var rank = new Rank(RankClass.Primary, service.State, 0, _self.Name);
                Send(node, new DisqualifyMessage(service.Name, tenure.Epoch, rank));
            }
        }
    }

    private void Vanished(HostedService service, NodeId node)
    {
        service.Tenure?.Told.Remove(node);
        service.Secondaries.Remove(node);
        if (service.Tenure is null)
        {
            bool isFollowed = service.Selection.Phase == SelectionPhase.Following;
            if (isFollowed && service.HeardFrom == node)
            {
                // Its statements may still come by another path: they count, its connection does not.
                return;
            }

            service.Selection.Vanished(node);
        }
    }

    private void Hold(HostedService service)
    {
        if (!service.HoldsRequesters)
        {
            service.HoldsRequesters = true;
            _host.Order(new ServiceOrder.HoldRequesters(service.Name));
        }
    }

    private void Release(HostedService service, NodeId primary, Epoch epoch)
    {
        if (service.HoldsRequesters)
        {
            service.HoldsRequesters = false;
            _host.Order(new ServiceOrder.ReleaseRequesters(service.Name, primary, epoch));
        }
    }
}
