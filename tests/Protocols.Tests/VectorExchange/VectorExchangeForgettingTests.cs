using Carillon.Protocols.Submissions;
using Carillon.Protocols.VectorExchange;
using Carillon.Protocols.Wire;
using Xunit;

namespace Carillon.Protocols.Tests.VectorExchange;

/// <summary>What a server must not forget of a tag when it forgets its outcome.</summary>
public sealed class VectorExchangeForgettingTests
{
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);

    [Theory]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, true)]
    public void Learnt_no_of_a_tag_that_got_a_bit_binds_when_it_is_forgotten(bool compacts, bool restarts)
    {
        // Seed 705: a server with a no bit learnt that the tag was decided no, and had too many noes to remember. Asked for the tag, whose
        // name had not gone on, it promised, and showed no bit.
        var lab = new ExchangeLab(3, 1);
        var tag = new Tag(new Uid(Timestamp.At(lab.Moment().Wall), NodeId.Parse("s3")), 1);
        var ask = new Ask(tag, 1, 129, new ObjectName("files", "a"));
        lab["s1"].Receive(NodeId.Parse("s2"), MessageCodec.Encode(ask));
        lab.Run(Second);
        lab["s1"].Receive(NodeId.Parse("s2"), MessageCodec.Encode(new Vector(tag, default, 1, 129, Value: false, 0b010, Again: false)));
        lab["s1"].Receive(NodeId.Parse("s2"), MessageCodec.Encode(new Decided(tag, TagState.Rejected, default)));
        lab.Run(Second);
        if (compacts)
        {
            lab["s1"].Compact();
        }

        if (restarts)
        {
            lab["s1"].Crash();
            lab["s1"].Start();
            lab.Reconnect();
        }

        lab["s1"].ForgetNoes();
        lab["s1"].OutcomesSince = tag.Uid.Stamp.Next;
        bool hasPromised = false;
        lab.OnSend = (from, _, message) =>
            hasPromised |= from == NodeId.Parse("s1") && message.Span[1] == (byte)MessageType.Promise;
        lab["s1"].Receive(NodeId.Parse("s2"), MessageCodec.Encode(ask with { Round = 193 }));
        lab.Run(Second);
        Assert.False(hasPromised);
        Assert.Equal(0, lab["s1"].Core.OpenTags);
    }

    [Theory]
    [InlineData(false, SubmissionState.Rejected)]
    [InlineData(true, SubmissionState.Forgotten)]
    public void Tag_whose_successor_may_be_forgotten_is_not_told_as_rejected(bool isOld, SubmissionState told)
    {
        // Seed 2429: a tag was stamped afresh and its content accepted; those who had been told of the successor forgot it, and decided
        // the tag *no* when somebody asked for it while its server was away.
        var lab = new ExchangeLab(3, 1, hasFeed: true);
        var tag = new Tag(new Uid(Timestamp.At(lab.Moment().Wall), NodeId.Parse("s1")), 1);
        foreach (string name in new[] { "s2", "s3" })
        {
            lab[name].OutcomesSince = isOld ? tag.Uid.Stamp.Next : tag.Uid.Stamp;
        }

        lab["s1"].Crash();
        lab.Reconnect();
        SubmissionState? state = null;
        lab["s2"].Core.Show(tag, lab["s2"].Moment, report => state = report.State);
        lab.Run(10 * Second);
        Assert.Equal(told, state);
    }

    [Fact]
    public void Chunk_that_only_a_stored_list_may_name_is_needed_until_the_submission_is_applied()
    {
        // Seed 2254: power cuts took the catalogs back behind an accepted object whose list of chunks is in a chunk; no record named the
        // content's chunks any more, and all copies were collected before the feed was applied anew.
        var lab = new ExchangeLab(3, 1);
        var list = new ChunkReference(ChunkId.Of("list"u8), 64, 64, Compression.None);
        var manifest = new ObjectManifest
        {
            Size = 10, Sha256 = Digest.Of("content"u8), Form = ContentForm.ChunkedList, Chunks = [list],
        };
        var content = ChunkId.Of("content"u8);
        Assert.False(lab["s2"].Core.Refers(content));
        lab["s1"].Submit([new Operation(OperationKind.Put, new ObjectName("files", "a"), manifest)], "k");
        lab.Run(TimeSpan.FromMilliseconds(3));
        Assert.True(lab["s2"].Core.Refers(content));
        lab.Run(60 * Second);
        Assert.False(lab["s2"].Core.Refers(content));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Tag_below_the_horizon_gets_no_promise_where_it_is_not_held(bool isBelow)
    {
        // Beside seed 705: what is given up is on record up to the horizon only.
        var lab = new ExchangeLab(3, 1);
        var tag = new Tag(new Uid(Timestamp.At(lab.Moment().Wall), NodeId.Parse("s3")), 1);
        lab["s1"].OutcomesSince = tag.Uid.Stamp.Next;
        lab["s1"].OutcomeHorizon = isBelow ? tag.Uid.Stamp.Next : tag.Uid.Stamp;
        bool hasPromised = false;
        lab.OnSend = (from, _, message) =>
            hasPromised |= from == NodeId.Parse("s1") && message.Span[1] == (byte)MessageType.Promise;
        lab["s1"].Receive(NodeId.Parse("s2"), MessageCodec.Encode(new Ask(tag, 1, 129, new ObjectName("files", "a"))));
        lab.Run(Second);
        Assert.Equal(!isBelow, hasPromised);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Server_that_gave_up_a_record_fences_its_key_for_nobody(bool restarts)
    {
        // A fence by those who gave the record up, with others that never had it, could meet an acceptance by the rest.
        var lab = new ExchangeLab(3, 1);
        var tag = new Tag(new Uid(Timestamp.At(lab.Moment().Wall), NodeId.Parse("s3")), 1);
        Submission submission = Submission.Create(
            tag, default, lab.Configuration.Find(NodeId.Parse("s3"))!.Disk, "k",
            [new Operation(OperationKind.Put, new ObjectName("files", "a"), LabServer.Manifest("x"))]);
        lab["s1"].Receive(NodeId.Parse("s3"), MessageCodec.Encode(new Push(lab.Moment().Wall, 1, submission.Encoded)));
        lab.Run(Second);
        lab["s1"].Receive(NodeId.Parse("s2"), MessageCodec.Encode(new Decided(tag, TagState.TooOld, default)));
        lab.Run(Second);
        Assert.Equal(0, lab["s1"].Core.OpenTags);
        if (restarts)
        {
            lab["s1"].Compact();
            lab["s1"].Crash();
            lab["s1"].Start();
            lab.Reconnect();
        }

        Assert.Equal((TagState.TooOld, tag), AskForKey(lab, "s1", "k"));
        Assert.Equal(TagState.Fenced, AskForKey(lab, "s1", "other").State);
        lab["s1"].OutcomeHorizon = tag.Uid.Stamp.Next;
        lab["s1"].Compact();
        Assert.Equal(TagState.Fenced, AskForKey(lab, "s1", "k").State);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Tag_that_the_feed_has_not_had_is_not_called_too_old_though_much_was_decided_since(bool isNumbered)
    {
        // Seed 1385 with services: s3 had missed it; s1 and s2 had accepted it, and a power cut left them nothing but their bits. Told that
        // it was too old, they dropped them.
        var lab = new ExchangeLab(3, 1, hasFeed: true);
        var tag = new Tag(new Uid(Timestamp.At(lab.Moment().Wall), NodeId.Parse("s2")), 1);
        lab["s3"].OutcomesSince = tag.Uid.Stamp.Next;
        if (isNumbered)
        {
            lab["s3"].InFeed.Add(tag);
        }

        bool isTooOld = false;
        lab.OnSend = (from, _, message) =>
            isTooOld |= from == NodeId.Parse("s3") && message.Span[1] == (byte)MessageType.Decided;
        lab["s3"].Receive(
            NodeId.Parse("s1"), MessageCodec.Encode(new Vector(tag, Digest.Of("x"u8), 1, 0, Value: true, Bits: 0b11, Again: true)));
        lab.Run(Second);
        Assert.Equal(isNumbered, isTooOld);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Late_question_about_a_tag_that_the_feed_refused_and_that_is_forgotten_gets_no_promise(bool isNumbered)
    {
        // Seed 592: its name has not gone on, since the tag had no effect on it.
        var lab = new ExchangeLab(3, 1, hasFeed: true);
        var tag = new Tag(new Uid(Timestamp.At(lab.Moment().Wall), NodeId.Parse("s2")), 1);
        lab["s3"].OutcomesSince = tag.Uid.Stamp.Next;
        if (isNumbered)
        {
            lab["s3"].InFeed.Add(tag);
        }

        bool hasPromised = false;
        lab.OnSend = (from, _, message) =>
            hasPromised |= from == NodeId.Parse("s3") && message.Span[1] == (byte)MessageType.Promise;
        lab["s3"].Receive(NodeId.Parse("s1"), MessageCodec.Encode(new Ask(tag, 1, 65, new ObjectName("files", "a"))));
        lab.Run(Second);
        Assert.Equal(!isNumbered, hasPromised);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Accepted_tag_of_a_disk_that_was_replaced_is_not_decided_anew_where_its_outcome_is_forgotten(bool hasRecord)
    {
        // Seed 89 with changes: the feed had had it, in the session of s1's former disk; in that of the new one it was not found.
        var lab = new ExchangeLab(3, 1, hasFeed: true);
        var tag = new Tag(new Uid(Timestamp.At(lab.Moment().Wall), NodeId.Parse("s1")), 1);
        if (hasRecord)
        {
            // s2 was away when it was accepted, and has it from the push.
            var record = Submission.Create(tag, default, new DiskId(1), "k",
                [new Operation(OperationKind.Put, new ObjectName("files", "a"), LabServer.Manifest("x"))]);
            lab["s2"].Receive(NodeId.Parse("s1"), MessageCodec.Encode(new Push(lab.Moment().Wall, 1, record.Encoded)));
            lab.Run(Second);
        }

        lab["s3"].Put("a", "newer", "k3");
        lab.Run(Second);
        lab.Change(lab.Replacement("s1", 11), "s2", "s3");
        lab["s1"].Crash();
        lab.Reconnect();
        foreach (LabServer server in lab.Servers.Values)
        {
            server.OutcomesSince = tag.Uid.Stamp.Next;
            server.InFeed.Add(tag);
            server.NumberedOf = new DiskId(1);
        }

        SubmissionReport? report = null;
        lab["s2"].Core.Show(tag, lab.Moment(), shown => report = shown);
        lab["s2"].Settle();
        lab.Run(Second * 60);
        Assert.All(lab.Servers.Values, s => Assert.DoesNotContain(tag, s.Noes.Keys));
        Assert.NotEqual(SubmissionState.Rejected, report?.State);
        Assert.All(lab.Servers.Values, s => Assert.DoesNotContain(tag, s.Core.OpenTagList()));
    }

    [Fact]
    public void Who_promised_itself_a_round_for_a_tag_that_a_replaced_disk_made_and_nobody_has_drops_it()
    {
        // Seed 74 with changes: those that were asked looked for its record, found none, and were asked again, for ever.
        var lab = new ExchangeLab(3, 1, hasFeed: true);
        var tag = new Tag(new Uid(Timestamp.At(lab.Moment().Wall), NodeId.Parse("s1")), 1);
        lab.Change(lab.Replacement("s1", 11), "s2", "s3");
        lab["s1"].Crash();
        lab.Reconnect();
        lab["s3"].OutcomesSince = tag.Uid.Stamp.Next;
        lab["s2"].Core.Show(tag, lab.Moment(), _ => { });
        lab["s2"].Settle();
        lab.Run(Second * 60);
        Assert.All(lab.Servers.Values, s => Assert.DoesNotContain(tag, s.Noes.Keys));
        Assert.All(lab.Servers.Values, s => Assert.DoesNotContain(tag, s.Core.OpenTagList()));
    }

    private static (TagState State, Tag Tag) AskForKey(ExchangeLab lab, string server, string key)
    {
        KeyAnswer? told = null;
        lab.OnSend = (from, _, message) =>
        {
            if (from == NodeId.Parse(server) && message.Span[1] == (byte)MessageType.KeyAnswer)
            {
                var reader = new WireReader(message.Span[2..]);
                Assert.True(KeyAnswer.TryRead(ref reader, out KeyAnswer answer));
                told = answer;
            }
        };
        lab[server].Receive(NodeId.Parse("s2"), MessageCodec.Encode(new KeyAsk(77, key, Fence: true)));
        lab.Run(Second);
        lab.OnSend = null;
        Assert.NotNull(told);
        return (told.Value.State, told.Value.Tag);
    }
}
