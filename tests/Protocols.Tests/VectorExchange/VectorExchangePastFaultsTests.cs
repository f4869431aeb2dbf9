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
        lab.Carry(NodeId.Parse("s1"), NodeId.Parse("s3"),
            MessageCodec.Encode(new Vector(tag, submission.Hash, 1, 0, Value: true, 0b011, Again: false)));
        lab.Run(Second * 10);
        Assert.Equal(0, lab["s3"].Core.OpenTags);
    }

    [Fact]
    public void Push_that_comes_after_the_quorum_of_bits_is_applied()
    {
        // Seed 85: the bits overtook the push, and the fetch that they began found the record there already.
        var lab = new ExchangeLab(3, 1);
        lab.Isolate("s3");
        lab["s1"].Put("a", "first", "k1");
        lab.Run(Second);
        Carillon.Protocols.Submissions.Submission submission = lab["s1"].Catalog.Single().Value;
        lab.Cut.Clear();
        Vector bit = new(submission.Tag, submission.Hash, 1, 0, Value: true, 0b001, Again: false);
        lab["s3"].Receive(NodeId.Parse("s1"), MessageCodec.Encode(bit));
        lab["s3"].Receive(NodeId.Parse("s2"), MessageCodec.Encode(bit with { Bits = 0b010 }));
        lab["s3"].Receive(NodeId.Parse("s1"), MessageCodec.Encode(new Push(lab.Moment().Wall, 1, submission.Encoded)));
        lab.Run(Second);
        Assert.Equal("first", lab["s3"].Content("a"));
        Assert.Equal(0, lab["s3"].Core.OpenTags);
    }

    [Fact]
    public void Key_that_one_server_alone_has_fenced_is_not_reported_as_fenced()
    {
        // Seed 128: an inquiry fenced the key at one server and found no quorum; then it was accepted by the others.
        var lab = new ExchangeLab(3, 1);
        lab.Isolate("s1");
        lab["s1"].Core.Show("k", lab["s1"].Moment, _ => { });
        lab["s1"].Settle();
        lab.Run(Second * 3);
        lab["s2"].Put("a", "first", "k");
        lab.Run(Second);
        lab.Heal();
        SubmitOutcome? outcome = null;
        lab["s1"].Put("a", "first", "k", told => outcome = told);
        lab.Run(Second * 5);
        Assert.True(Assert.IsType<SubmitOutcome.Accepted>(outcome).Replayed);
    }
}
