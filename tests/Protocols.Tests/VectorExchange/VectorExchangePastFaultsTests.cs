using Carillon.Protocols.VectorExchange;
using Xunit;

namespace Carillon.Protocols.Tests.VectorExchange;

/// <summary>Faults that the simulator found, each in its smallest form.</summary>
public sealed class VectorExchangePastFaultsTests
{
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);

    [Fact]
    public void Key_that_is_fenced_already_is_reported_again_while_nothing_else_is_written()
    {
        // The own fence was counted when the log's next flush ended, and a server at rest has none.
        var lab = new ExchangeLab(1, 1);
        var told = new List<TagState>();
        for (int i = 0; i < 2; i++)
        {
            lab["s1"].Core.Show("key", lab["s1"].Moment, answer => told.Add(answer.State));
            lab["s1"].Settle();
            lab.Run(Second * 5);
        }

        Assert.Equal([TagState.Fenced, TagState.Fenced], told);
    }

    [Fact]
    public void Accepted_tag_whose_record_everybody_has_trimmed_is_not_fetched_for_ever()
    {
        var lab = new ExchangeLab(3, 1);
        lab.Isolate("s3");
        lab["s1"].Put("a", "first", "k1");
        lab.Run(Second);
        (Tag tag, Carillon.Protocols.Submissions.Submission submission) = lab["s1"].Catalog.Single();
        lab["s1"].Trimmed.Add(tag);
        lab["s2"].Trimmed.Add(tag);
        lab.Heal();
        lab.Carry(NodeId.Parse("s1"), NodeId.Parse("s3"), MessageCodec.Encode(new Vector(tag, submission.Hash, 1, 0, Value: true, 0b011, Again: false)));
        lab.Run(Second * 10);
        Assert.Equal(0, lab["s3"].Core.OpenTags);
    }
}
