using Carillon.Protocols;
using Carillon.Protocols.Primacy;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.VectorExchange;
using Carillon.Simulator.Checkers;
using Carillon.Simulator.Workloads;
using Carillon.Simulator.World;
using Xunit;

namespace Carillon.Simulator.Tests;

/// <summary>Histories made by hand for the checkers of primacy (E1 to E6).</summary>
public sealed class PrimacyCheckerTests
{
    private const int Quorum = 2;

    private static readonly ServiceName Job = ServiceName.Parse("job");

    private readonly SimulatedClock _clock = new();
    private Instant _now = HandMade.At(0);

    [Fact]
    public void Epochs_in_order_are_right_and_one_that_comes_again_is_found_E1()
    {
        var checker = new PrimacyChecker(() => _now);
        checker.Begin(Acting(HandMade.S1, epoch: 3, end: 10));
        _now = HandMade.At(11);
        checker.Begin(Acting(HandMade.S2, epoch: 4, end: 20));
        _now = HandMade.At(21);

        HandMade.Breaks("E1", () => checker.Begin(Acting(HandMade.S1, epoch: 4, end: 30)));
        HandMade.Breaks("E1", () => checker.Begin(Acting(HandMade.S2, epoch: 4, end: 30)));
        checker.Begin(Acting(HandMade.S1, epoch: 5, end: 30));
    }

    [Fact]
    public void Node_that_begins_while_another_may_act_is_found_and_after_it_is_right_E4()
    {
        var checker = new PrimacyChecker(() => _now);
        Acting first = Acting(HandMade.S1, epoch: 3, end: 10);
        checker.Begin(first);
        _now = HandMade.At(9);
        HandMade.Breaks("E4", () => checker.Begin(Acting(HandMade.S2, epoch: 4, end: 20)));

        var other = new PrimacyChecker(() => _now);
        other.Begin(first);
        first.Over = true;
        other.Begin(Acting(HandMade.S2, epoch: 4, end: 20));
    }

    [Fact]
    public void Lease_that_is_lengthened_while_another_acts_is_found_E4()
    {
        var checker = new PrimacyChecker(() => _now);
        Acting first = Acting(HandMade.S1, epoch: 3, end: 10);
        checker.Begin(first);
        checker.Extended(first);
        _now = HandMade.At(11);
        checker.Begin(Acting(HandMade.S2, epoch: 4, end: 20));
        first.End = HandMade.At(30);
        HandMade.Breaks("E4", () => checker.Extended(first));
    }

    [Fact]
    public void Effect_of_an_older_epoch_with_a_later_identifier_is_found_E2()
    {
        var checker = new PrimacyChecker(() => _now);
        checker.Answered(Acting(HandMade.S1, epoch: 3, end: 10), Accepted(100));
        checker.Answered(Acting(HandMade.S2, epoch: 4, end: 10), Accepted(200));
        checker.Check();

        checker.Answered(Acting(HandMade.S1, epoch: 3, end: 10), Accepted(201));
        HandMade.Breaks("E2", checker.Check);
    }

    [Fact]
    public void Receiver_that_takes_an_older_epoch_sent_after_a_newer_one_is_found_E2()
    {
        var checker = new FenceChecker();
        checker.Pushed(HandMade.S1, HandMade.TagOf(1), new Fence(Job, new Epoch(3)));
        checker.Pushed(HandMade.S1, HandMade.TagOf(2), new Fence(Job, new Epoch(4)));
        checker.Held(HandMade.S1, HandMade.TagOf(2));

        // Sent before, and perhaps taken before.
        checker.Held(HandMade.S1, HandMade.TagOf(1));

        // Another receiver, and another service.
        checker.Pushed(HandMade.S2, HandMade.TagOf(3), new Fence(Job, new Epoch(3)));
        checker.Held(HandMade.S2, HandMade.TagOf(3));
        checker.Pushed(HandMade.S1, HandMade.TagOf(4), new Fence(ServiceName.Parse("other"), new Epoch(1)));
        checker.Held(HandMade.S1, HandMade.TagOf(4));

        checker.Pushed(HandMade.S1, HandMade.TagOf(5), new Fence(Job, new Epoch(3)));
        HandMade.Breaks("E2", () => checker.Held(HandMade.S1, HandMade.TagOf(5)));
    }

    [Fact]
    public void Epoch_without_a_quorum_of_durable_promises_to_that_life_is_found_E3()
    {
        Acting acting = Acting(HandMade.S1, epoch: 5, end: 10, life: 2);
        (Epoch, NodeId, Incarnation) own = (new Epoch(5), HandMade.S1, new Incarnation(2));
        (Epoch, NodeId, Incarnation) formerLife = (new Epoch(5), HandMade.S1, new Incarnation(1));
        (Epoch, NodeId, Incarnation) older = (new Epoch(4), HandMade.S1, new Incarnation(2));
        (Epoch, NodeId, Incarnation) another = (new Epoch(5), HandMade.S2, new Incarnation(2));
        (Epoch, NodeId, Incarnation) newer = (new Epoch(6), HandMade.S2, new Incarnation(7));

        GrantChecker.Check(acting, [own, own, older], Quorum);
        GrantChecker.Check(acting, [own, newer, older], Quorum);
        GrantChecker.Check(acting, [own, null, older], Quorum);
        HandMade.Breaks("E3", () => GrantChecker.Check(acting, [own, older, older], Quorum));
        HandMade.Breaks("E3", () => GrantChecker.Check(acting, [own, formerLife, older], Quorum));
        HandMade.Breaks("E3", () => GrantChecker.Check(acting, [own, another, default((Epoch, NodeId, Incarnation))], Quorum));
    }

    [Fact]
    public void Lease_that_its_voters_do_not_keep_as_long_at_the_worst_clocks_is_found_E4()
    {
        TimeSpan left = TimeSpan.FromSeconds(1.8);
        LeaseChecker.Check("s1", left, [Seconds(2), Seconds(2), Seconds(-50)], Quorum);
        LeaseChecker.Check("s1", left, [Seconds(2), null, Seconds(-50)], Quorum);

        // 1.8 s at a clock that is 5 % slow, and 1.9 s at one that is 5 % fast.
        HandMade.Breaks("E4", () => LeaseChecker.Check("s1", left, [Seconds(1.9), Seconds(1.9), Seconds(2)], Quorum));
        HandMade.Breaks("E4", () => LeaseChecker.Check("s1", left, [Seconds(2), Seconds(-1), Seconds(-50)], Quorum));
    }

    [Fact]
    public void Dead_primary_that_is_replaced_too_late_or_never_is_found_E5()
    {
        Acting former = Acting(HandMade.S1, epoch: 3, end: 10);
        ServiceJudge.CheckFailover(former, TimeSpan.FromSeconds(2.9), TimeSpan.FromSeconds(3));
        HandMade.Breaks("E5", () => ServiceJudge.CheckFailover(former, TimeSpan.FromSeconds(3.1), TimeSpan.FromSeconds(3)));
        HandMade.Breaks("E5", () => ServiceJudge.CheckFailover(former, null, TimeSpan.FromSeconds(3)));
    }

    [Fact]
    public void Read_that_misses_an_effect_told_before_it_began_is_found_E6()
    {
        Uid floor = HandMade.TagOf(100).Uid;
        PrimacyChecker.Read(Job, floor, Found(100));
        PrimacyChecker.Read(Job, floor, Found(101));
        PrimacyChecker.Read(Job, default, new ReadOutcome.Absent(default));
        PrimacyChecker.Read(Job, floor, new ReadOutcome.Unavailable("no quorum"));
        HandMade.Breaks("E6", () => PrimacyChecker.Read(Job, floor, Found(99)));
        HandMade.Breaks("E6", () => PrimacyChecker.Read(Job, floor, new ReadOutcome.Absent(default)));
    }

    [Fact]
    public void Node_without_a_quorum_that_calls_ranks_or_bids_is_found()
    {
        var rank = new Rank(RankClass.Spare, default, 0, HandMade.S1);
        byte[][] speech =
        [
            PrimacyCodec.Encode(new DisqualifyMessage(Job, new Epoch(3), rank)),
            PrimacyCodec.Encode(new DisqualifyAnswerMessage(Job, new CallAnswer(CallVerdict.Ranked, new Epoch(3), rank))),
            PrimacyCodec.Encode(new BidMessage(Job, new Epoch(4), 1, TimeSpan.FromSeconds(2), 7)),
        ];
        foreach (byte[] message in speech)
        {
            new SelectionTrafficChecker().OnMessage(Life(1), HandMade.S2, 1, hadQuorum: true, message, _ => Frozen(0));
            HandMade.Breaks(
                "selection",
                () => new SelectionTrafficChecker().OnMessage(Life(1), HandMade.S2, 1, hadQuorum: false, message, _ => Frozen(0)));
        }

        // That it does not stand, and that it holds an epoch, anybody may say.
        new SelectionTrafficChecker().OnMessage(Life(1), HandMade.S2, 1, hadQuorum: false, PrimacyCodec.Encode(
            new DisqualifyAnswerMessage(Job, new CallAnswer(CallVerdict.NotStanding, new Epoch(3), default))), _ => Frozen(0));
        new SelectionTrafficChecker().OnMessage(Life(1), HandMade.S2, 1, hadQuorum: false, PrimacyCodec.Encode(
            new DisqualifyMessage(Job, new Epoch(3), rank with { Class = RankClass.Primary })), _ => Frozen(0));
    }

    [Fact]
    public void Node_that_tells_two_ranks_in_one_run_is_found()
    {
        var spare = new Rank(RankClass.Spare, default, 0, HandMade.S1);
        Rank secondary = spare with { Class = RankClass.Secondary };
        var checker = new SelectionTrafficChecker();
        checker.OnMessage(Life(1), HandMade.S2, 1, hadQuorum: true, Call(3, spare), _ => Frozen(0));
        checker.OnMessage(Life(1), HandMade.S2, 1, hadQuorum: true, Call(3, spare), _ => Frozen(0));
        checker.OnMessage(Life(1), HandMade.S2, 1, hadQuorum: true, Call(4, secondary), _ => Frozen(0));
        checker.OnMessage(Life(2), HandMade.S2, 1, hadQuorum: true, Call(3, secondary), _ => Frozen(0));
        HandMade.Breaks("selection", () => checker.OnMessage(Life(1), HandMade.S2, 1, hadQuorum: true, PrimacyCodec.Encode(
            new DisqualifyAnswerMessage(Job, new CallAnswer(CallVerdict.Ranked, new Epoch(3), secondary))), _ => Frozen(0)));
    }

    [Theory]
    [InlineData(RankClass.Secondary, 1, true)]
    [InlineData(RankClass.Secondary, 0, false)]
    [InlineData(RankClass.Damped, 1, false)]
    public void Rank_may_rise_once_the_primary_is_heard_again_and_not_fall(RankClass then, int frozen, bool isRight)
    {
        var spare = new Rank(RankClass.Spare, default, 0, HandMade.S1);
        var checker = new SelectionTrafficChecker();
        checker.OnMessage(Life(1), HandMade.S2, 1, hadQuorum: true, Call(3, spare), _ => Frozen(0));
        void Again() => checker.OnMessage(
            Life(1), HandMade.S2, 2, hadQuorum: true, Call(3, spare with { Class = then }), _ => Frozen(frozen));
        if (isRight)
        {
            Again();
        }
        else
        {
            HandMade.Breaks("selection", Again);
        }
    }

    [Theory]
    [InlineData(true, 1, true)]
    [InlineData(true, 0, false)]
    [InlineData(false, 1, false)]
    public void Rank_that_rises_within_a_batch_is_judged_by_what_the_batch_began_with(bool rises, int frozen, bool isRight)
    {
        // The count of freezes is the batch's end's already with the first message; to each receiver they leave in their order.
        var spare = new Rank(RankClass.Spare, default, 0, HandMade.S1);
        Rank secondary = spare with { Class = RankClass.Secondary };
        Rank[] told = rises ? [spare, secondary] : [secondary, spare];
        var checker = new SelectionTrafficChecker();
        void Batch()
        {
            foreach (NodeId to in new[] { HandMade.S2, NodeId.Parse("s3") })
            {
                foreach (Rank rank in told)
                {
                    checker.OnMessage(Life(1), to, 2, hadQuorum: true, Call(3, rank), _ => Frozen(frozen));
                }
            }
        }

        if (isRight)
        {
            Batch();
        }
        else
        {
            HandMade.Breaks("selection", Batch);
        }
    }

    [Fact]
    public void Service_that_was_removed_and_added_again_begins_its_ranks_anew()
    {
        var spare = new Rank(RankClass.Spare, default, 0, HandMade.S1);
        var checker = new SelectionTrafficChecker();
        checker.OnMessage(Life(1), HandMade.S2, 1, hadQuorum: true, Call(3, spare with { Class = RankClass.Damped }), _ => Frozen(0));
        var anew = new FrozenRanks(new object(), 0);
        checker.OnMessage(Life(1), HandMade.S2, 2, hadQuorum: true, Call(3, spare), _ => anew);
        HandMade.Breaks("selection", () => checker.OnMessage(
            Life(1), HandMade.S2, 3, hadQuorum: true, Call(3, spare with { Class = RankClass.Secondary }), _ => anew));
    }

    private static FrozenRanks Frozen(int times) => new(nameof(SelectionTrafficChecker), times);

    private static byte[] Call(ulong run, Rank rank) => PrimacyCodec.Encode(new DisqualifyMessage(Job, new Epoch(run), rank));

    private static ServerIdentity Life(ulong incarnation) => new(HandMade.S1, new DiskId(1), new Incarnation(incarnation));

    private static TimeSpan? Seconds(double seconds) => TimeSpan.FromSeconds(seconds);

    private static SubmitOutcome Accepted(ulong stamp) => new SubmitOutcome.Accepted(HandMade.TagOf(stamp), Replayed: false);

    private static ReadOutcome Found(ulong stamp) =>
        new ReadOutcome.Found(HandMade.TagOf(stamp).Uid, HandMade.TagOf(stamp), new ObjectManifest { Size = 0, Sha256 = default });

    private Acting Acting(NodeId node, ulong epoch, int end, ulong life = 1) =>
        new(node, new Incarnation(life), _clock, Job, new Epoch(epoch)) { End = HandMade.At(end) };
}
