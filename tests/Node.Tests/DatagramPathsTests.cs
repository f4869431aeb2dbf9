using Carillon.Protocols;
using Xunit;

namespace Carillon.Node.Tests;

/// <summary>When a server is taken to be reached by datagrams.</summary>
public sealed class DatagramPathsTests
{
    private static readonly NodeId Peer = NodeId.Parse("s2");
    private static readonly TimeSpan Step = TimeSpan.FromMilliseconds(250);

    private readonly DatagramPaths _here = new();
    private readonly DatagramPaths _there = new();
    private readonly byte[] _question = new byte[DatagramPaths.QuestionBytes];
    private readonly byte[] _answer = new byte[DatagramPaths.QuestionBytes];
    private Instant _now = new(TimeSpan.TicksPerDay);

    [Fact]
    public void Path_is_good_after_three_answers_in_a_row_and_until_one_is_missing()
    {
        for (int i = 0; i < 3; i++)
        {
            Assert.False(_here.IsGood(Peer, _now));
            Ask(answered: true);
        }

        Assert.True(_here.IsGood(Peer, _now));
        Ask(answered: false);
        Assert.True(_here.IsGood(Peer, _now - Step + TimeSpan.FromMilliseconds(99)), "the answer may be on its way");
        Assert.False(_here.IsGood(Peer, _now));
        _now += TimeSpan.FromSeconds(1);

        for (int i = 0; i < 3; i++)
        {
            Assert.False(_here.IsGood(Peer, _now));
            Ask(answered: true);
        }

        Assert.True(_here.IsGood(Peer, _now));
    }

    [Fact]
    public void Answers_count_for_a_while_where_nothing_is_sent_and_for_another_life_not_at_all()
    {
        for (int i = 0; i < 3; i++)
        {
            Ask(answered: true);
        }

        Assert.True(_here.IsGood(Peer, _now + TimeSpan.FromSeconds(9)));
        Assert.False(_here.IsGood(Peer, _now + TimeSpan.FromSeconds(11)));
        _here.Forget(Peer);
        Assert.False(_here.IsGood(Peer, _now));
    }

    [Fact]
    public void Answer_that_is_late_or_doubled_or_to_no_question_counts_for_nothing()
    {
        Ask(answered: true);
        Assert.True(_here.TryAsk(Peer, _now, _question));
        Assert.True(_there.Receive(Peer, _question, _now, _answer));
        byte[] late = [.. _answer];
        _now += TimeSpan.FromMilliseconds(101);
        Assert.False(_here.Receive(Peer, late, _now, _answer));
        _now += TimeSpan.FromSeconds(1);
        Ask(answered: true);
        for (int i = 0; i < 5; i++)
        {
            Assert.False(_here.Receive(Peer, late, _now, _answer));
            Assert.False(_here.Receive(Peer, [2, 9, 9, 9, 9], _now, _answer));
            Assert.False(_here.Receive(Peer, [1, 2], _now, _answer));
        }

        Assert.False(_here.IsGood(Peer, _now));
    }

    private void Ask(bool answered)
    {
        Assert.True(_here.TryAsk(Peer, _now, _question));
        Assert.False(_here.TryAsk(Peer, _now, _answer));
        Assert.True(_there.Receive(Peer, _question, _now, _answer));
        if (answered)
        {
            byte[] answer = [.. _answer];
            Assert.False(_here.Receive(Peer, answer, _now, _answer));
        }

        _now += Step;
    }
}
