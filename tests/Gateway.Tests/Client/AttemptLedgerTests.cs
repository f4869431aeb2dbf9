using Carillon.Client;
using Carillon.Protocols;
using Xunit;

namespace Gateway.Tests.Client;

/// <summary>The folding of attempts into a verdict (3-vector-exchange.md, "What rejected means").</summary>
public sealed class AttemptLedgerTests
{
    private static readonly Problem NoQuorum = new() { Status = 503, Code = "no-quorum", Retryable = true };
    private static readonly Problem Fenced = new() { Status = 409, Code = "key-rejected" };
    private static readonly Problem NoBucket = new() { Status = 404, Code = "bucket-not-found" };
    private static readonly Problem Gone = Problem.Own("connection-lost", "gone");

    [Fact]
    public void Every_attempt_rejected_is_rejected()
    {
        AttemptLedger ledger = default;
        ledger.Add(AttemptEnd.Rejected, NoQuorum);
        Assert.False(ledger.Final);
        ledger.Add(AttemptEnd.Rejected, NoQuorum);
        Assert.Equal(Verdict.Rejected, ledger.Verdict);
        Assert.Equal("no-quorum", ledger.Problem!.Code);
    }

    [Fact]
    public void A_lost_attempt_makes_it_unknown_whatever_the_next_server_says()
    {
        AttemptLedger ledger = default;
        ledger.Add(AttemptEnd.Lost, Gone);
        ledger.Add(AttemptEnd.Rejected, NoQuorum);
        ledger.Add(AttemptEnd.Rejected, NoBucket);
        Assert.Equal(Verdict.Unknown, ledger.Verdict);
        Assert.Equal("connection-lost", ledger.Problem!.Code);
    }

    [Fact]
    public void A_fenced_key_is_rejected_even_after_a_lost_attempt()
    {
        AttemptLedger ledger = default;
        ledger.Add(AttemptEnd.Lost, Gone);
        ledger.Add(AttemptEnd.Rejected, Fenced);
        Assert.Equal(Verdict.Rejected, ledger.Verdict);
        Assert.True(ledger.Final);
        Assert.Equal("key-rejected", ledger.Problem!.Code);
    }

    [Fact]
    public void Acceptance_after_a_lost_attempt_is_accepted()
    {
        AttemptLedger ledger = default;
        ledger.Add(AttemptEnd.Lost, Gone);
        ledger.Add(AttemptEnd.Accepted, null);
        Assert.Equal(Verdict.Accepted, ledger.Verdict);
        Assert.True(ledger.Final);
        Assert.Null(ledger.Problem);
    }

    [Fact]
    public void What_was_never_sent_is_rejected()
    {
        AttemptLedger ledger = default;
        ledger.Add(AttemptEnd.NeverSent, Problem.Own("unreachable", "refused"));
        Assert.Equal(Verdict.Rejected, ledger.Verdict);
        Assert.Equal(Failure.Unreachable, ledger.Problem!.Failure);
    }

    [Theory]
    [InlineData(503, "no-quorum", "Rejected")]
    [InlineData(503, "http-503", "Lost")]
    [InlineData(507, "full", "Rejected")]
    [InlineData(501, "needs-feed", "Rejected")]
    [InlineData(504, "outcome-unknown", "Lost")]
    [InlineData(500, "internal", "Lost")]
    [InlineData(502, "http-502", "Lost")]
    [InlineData(409, "key-mismatch", "Rejected")]
    [InlineData(413, "too-large", "Rejected")]
    public void An_answer_ends_an_attempt_as_its_status_says(int status, string code, string end) =>
        Assert.Equal(end, AttemptLedger.EndOf(new Problem { Status = status, Code = code }).ToString());

    [Fact]
    public void Any_order_of_ends_gives_the_verdict_that_the_rule_gives()
    {
        var random = new RandomSource(20_260_101);
        for (int run = 0; run < 10_000; run++)
        {
            AttemptLedger ledger = default;
            var ends = new List<AttemptEnd>();
            bool fenced = false;
            for (int i = random.Below(6); i >= 0; i--)
            {
                var end = (AttemptEnd)random.Below(4);
                Problem problem = random.Chance(0.2) ? Fenced : NoQuorum;
                fenced |= end == AttemptEnd.Rejected && problem == Fenced;
                ends.Add(end);
                ledger.Add(end, end == AttemptEnd.Rejected ? problem : Gone);
            }

            Verdict expected = ends.Contains(AttemptEnd.Accepted) ? Verdict.Accepted
                : fenced || !ends.Contains(AttemptEnd.Lost) ? Verdict.Rejected : Verdict.Unknown;
            Assert.Equal(expected, ledger.Verdict);
        }
    }
}
