using Carillon.Protocols.Cluster;

namespace Carillon.Protocols.Primacy;

/// <content>Epochs: direct question and answer between a candidate and each voter, never relayed, never answered for another ◆.</content>
public sealed partial class SelectionMechanism
{
    private void BidWhenDue(HostedService service, Moment now)
    {
        if (now.Now >= service.BidAt)
        {
            StartBid(service, now);
        }

        if (service.Tenure is null)
        {
            // Not yet, or the own vote has refused at once.
            service.DueAt = service.BidAt;
        }
    }

    private void StartBid(HostedService service, Moment now)
    {
        Epoch above = Epoch.Max(Voter.FenceOf(service.Name), Epoch.Max(service.Selection.Run, service.Refused));
        var tenure = new Tenure(above.Next, now.Now, _configuration.Voters.Length);
        service.Tenure = tenure;
        Figures.Bids++;
        SendBids(service, tenure, now);
        AskOneself(service, tenure, now);
    }

    private void SendBids(HostedService service, Tenure tenure, Moment now)
    {
        tenure.RetryAt = now.Now + _options.BidRetry;
        byte[] bytes = PrimacyCodec.Encode(BidOf(service, tenure, now));
        for (int bit = 0; bit < _configuration.Voters.Length; bit++)
        {
            NodeId voter = _configuration.Voters[bit];
            if (bit != _bit && !tenure.Granted.Contains(bit) && !tenure.Refusals.ContainsKey(bit) && _host.IsConnected(voter))
            {
                _host.Send(voter, bytes, 0);
            }
        }
    }

    private BidMessage BidOf(HostedService service, Tenure tenure, Moment now) =>
        new(service.Name, tenure.Epoch, _configuration.Version, _configuration.LeaseDuration, _bids.Next(now.Now));

    private void OnBid(ServerIdentity from, BidMessage bid, Moment now)
    {
        if (_services.TryGetValue(bid.Service, out HostedService? service) && service.Tenure is { Phase: not TenurePhase.Draining }
            && !SeededBug.Is("own-renewal-unchecked"))
        {
            // Who bids or holds gives its bit to nobody else: a promise above its own epoch would fence its own effects here.
            Send(from.Name, new BidAnswerMessage(
                bid.Service, bid.Epoch, bid.Counter, BidVerdict.Leased, Voter.FenceOf(bid.Service), _self.Name, _options.BidTimeout));
            return;
        }

        BidAnswerMessage answer = Voter.Consider(from, bid, now, out ulong after);
        if (answer.Verdict == BidVerdict.Granted)
        {
            Sometimes.Reached("primacy-bit-given");
        }

        Send(from.Name, answer, after);
    }

    private void OnBidAnswer(NodeId from, BidAnswerMessage answer, Moment now)
    {
        int bit = _configuration.BitOf(from);
        if (bit < 0 || !_services.TryGetValue(answer.Service, out HostedService? service))
        {
            return;
        }

        service.Refused = Epoch.Max(service.Refused, answer.Promised);
        if (service.Tenure is not { } tenure || (tenure.Epoch != answer.Epoch && !SeededBug.Is("grant-of-another-epoch-counts")))
        {
            return;
        }

        if (answer.Verdict == BidVerdict.Granted)
        {
            if (_bids.TryFind(answer.Counter, out Instant sent))
            {
                tenure.Answered(bit, SeededBug.Is("lease-from-the-answer") ? now.Now : sent);
                AskOneself(service, tenure, now);
                TakeIfGranted(service, tenure, now);
            }
        }
        else if (tenure.Phase == TenurePhase.Bidding)
        {
            Refuse(service, tenure, bit, answer, now);
        }

        Tick(service, now);
    }

    private void Refuse(HostedService service, Tenure tenure, int bit, BidAnswerMessage answer, Moment now)
    {
        if (answer.Verdict == BidVerdict.Promised)
        {
            // The next epoch at once: who gave its bit for this one gives it for that, since the lease is this node's.
            service.Tenure = null;
            StartBid(service, now);
            return;
        }

        tenure.Refusals[bit] = answer;
        if (PossibleBits(service, tenure, now) < Quorum.Size)
        {
            GiveUpBid(service, now);
        }
    }

    /// <summary>How many voters have given their bit, or may still: those that are connected and did not refuse.</summary>
    private int PossibleBits(HostedService service, Tenure tenure, Moment now)
    {
        int count = 0;
        for (int bit = 0; bit < _configuration.Voters.Length; bit++)
        {
            bool isPossible = !tenure.Refusals.ContainsKey(bit) && (bit == _bit
                ? Voter.LeaseOfAnother(service.Name, _self.Name, now) == TimeSpan.Zero
                : _host.IsConnected(_configuration.Voters[bit]));
            count += tenure.Granted.Contains(bit) || isPossible ? 1 : 0;
        }

        return count;
    }

    /// <summary>The own bit comes last, and obeys the rules of all others ◆: so a minority burns no epochs.</summary>
    private void AskOneself(HostedService service, Tenure tenure, Moment now)
    {
        if (_bit < 0 || tenure.HasAskedOneself || tenure.Phase != TenurePhase.Bidding || tenure.Granted.Count < Quorum.Size - 1)
        {
            return;
        }

        tenure.HasAskedOneself = true;
        if (SeededBug.Is("own-bit-unchecked"))
        {
            OwnBitSet(service.Name, tenure.Epoch, now.Now, now);
            return;
        }

        BidAnswerMessage answer = Voter.Consider(_self, BidOf(service, tenure, now), now, out ulong after);
        service.Refused = Epoch.Max(service.Refused, answer.Promised);
        if (answer.Verdict != BidVerdict.Granted)
        {
            Refuse(service, tenure, _bit, answer, now);
        }
        else if (_host.Durable >= after)
        {
            OwnBitSet(service.Name, tenure.Epoch, now.Now, now);
        }
        else
        {
            _ownBits.Enqueue((after, service.Name, tenure.Epoch, now.Now));
        }
    }

    private void OwnBitSet(ServiceName name, Epoch epoch, Instant sent, Moment now)
    {
        if (_services.TryGetValue(name, out HostedService? service) && service.Tenure is { } tenure && tenure.Epoch == epoch)
        {
            tenure.Answered(_bit, sent);
            TakeIfGranted(service, tenure, now);
            Tick(service, now);
        }
    }

    private void TakeIfGranted(HostedService service, Tenure tenure, Moment now)
    {
        if (tenure.Phase != TenurePhase.Bidding || service.Tenure != tenure || !Quorum.IsReachedBy(tenure.Granted))
        {
            return;
        }

        Figures.Granted++;
        tenure.Phase = TenurePhase.Holding;
        tenure.RetryAt = Instant.Never;
        service.StandAt = Instant.Never;
        service.Selection.PrimaryHeard(_self.Name, tenure.Epoch);
        HoldingsChanged(now);
    }

    /// <summary>
    /// The epoch will never be acted in: voters are told so, and drop the lease at once. The next bid comes when enough leases of the last
    /// primary are over, or after a random wait where rivals split the votes ◆.
    /// </summary>
    private void GiveUpBid(HostedService service, Moment now)
    {
        Tenure tenure = service.Tenure!;
        Invariant.That(tenure.Phase == TenurePhase.Bidding);
        service.Tenure = null;
        if (SeededBug.Is("no-withdrawal"))
        {
            service.BidAt = now.Now + _options.BidRetry;
            return;
        }

        // What was withdrawn is never acted in: the next bid is for a greater one.
        service.Refused = Epoch.Max(service.Refused, tenure.Epoch);
        Figures.Withdrawn++;
        Voter.Withdraw(_self, service.Name, tenure.Epoch, now);
        SendAll(new WithdrawMessage(service.Name, tenure.Epoch, Released: false, default));
        service.BidAt = now.Now + WaitAfter(service, tenure, now);
    }

    private TimeSpan WaitAfter(HostedService service, Tenure tenure, Moment now)
    {
        var ends = new List<TimeSpan>();
        TimeSpan own = Voter.LeaseOfAnother(service.Name, _self.Name, now);
        if (own > TimeSpan.Zero && Voter.HolderOf(service.Name, now) == service.HeardFrom && !tenure.Refusals.ContainsKey(_bit))
        {
            ends.Add(own);
        }

        foreach (BidAnswerMessage refusal in tenure.Refusals.Values)
        {
            if (refusal.Verdict == BidVerdict.Quiet || (refusal.Verdict == BidVerdict.Leased && refusal.Holder == service.HeardFrom))
            {
                ends.Add(refusal.Left);
            }
        }

        ends.Sort();
        int missing = Quorum.Size - PossibleBits(service, tenure, now);
        if (missing > 0 && missing <= ends.Count)
        {
            return ends[missing - 1] + TimeSpan.FromMilliseconds(1);
        }

        TimeSpan roundTrip = TimeSpan.Zero;
        foreach (NodeId voter in _configuration.Voters)
        {
            if (voter != _self.Name && _host.RoundTrip(voter) is { } measured && measured > roundTrip)
            {
                roundTrip = measured;
            }
        }

        return new TimeSpan(_random.Below(_options.BidBackoff.Ticks)) + (PositionOf(service) * roundTrip);
    }

    private void TickBid(HostedService service, Tenure tenure, Moment now)
    {
        bool mayGoOn = CanStand(service) && (IsCompanion(service)
            ? ActsFor(service.Entry!.Definition.With, now.Now)
            : service.Selection.Phase == SelectionPhase.Standing);

        // Who is counted on may be found dead meanwhile: a bid that can't have its quorum any more only delays the next one.
        if (!mayGoOn || Exists(service, now.Now) || now.Now >= tenure.Begun + _options.BidTimeout
            || PossibleBits(service, tenure, now) < Quorum.Size)
        {
            GiveUpBid(service, now);
            TickSelection(service, now);
            return;
        }

        if (now.Now >= tenure.RetryAt)
        {
            SendBids(service, tenure, now);
        }

        service.DueAt = tenure.RetryAt;
    }
}
