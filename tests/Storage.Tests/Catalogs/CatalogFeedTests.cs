using System.Collections.Immutable;
using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Submissions;
using Carillon.Storage.Catalogs;
using Xunit;
using static Carillon.Storage.Tests.Catalogs.Samples;

namespace Carillon.Storage.Tests.Catalogs;

/// <summary>Applying in feed order: the rules of 3-vector-exchange.md, "Superseded in the feed", and pages of the feed.</summary>
public sealed class CatalogFeedTests : IDisposable
{
    private readonly CatalogMemory _memory = new();
    private Catalog _catalog;
    private CatalogReader _reader;

    public CatalogFeedTests()
    {
        _catalog = Catalog.Open(CatalogLocation.InMemory(_memory), Options);
        _reader = _catalog.OpenReader();
    }

    private static CatalogOptions Options { get; } = new() { OutcomeTtl = TimeSpan.FromHours(1), LeastKeys = 1, FeedCount = 20 };

    public void Dispose()
    {
        _reader.Dispose();
        _catalog.Dispose();
        _memory.Dispose();
    }

    [Fact]
    public void Entries_are_applied_in_order_and_versions_carry_their_numbers()
    {
        Assert.Equal([new(Number(1), FeedVerdict.Applied), new(Number(2), FeedVerdict.None), new(Number(3), FeedVerdict.Applied)],
            Apply(Submission(Tag(10), Put("a")), null, Submission(Tag(20), Delete("a"), Put("b"))));
        Assert.Equal(Number(3), _catalog.AppliedNumber);
        Assert.Equal(Number(3), _reader.AppliedNumber);
        Assert.Equal([Number(3), Number(1)], _reader.Versions(Name("a")).Select(v => v.Number));
        ListPage page = _reader.List(new ListQuery("bucket", Versions: true));
        Assert.Equal(Number(3), page.Number);
        Assert.Equal([3UL, 1, 3], page.Objects.Select(v => v.Number.Value));
        Assert.Equal(new FeedOutcome(Number(1), FeedVerdict.Applied), _reader.Sequenced(Tag(10)));
        Assert.Equal(default, _reader.Sequenced(Tag(11)));
    }

    [Fact]
    public void Record_of_a_number_stays_for_servers_that_lag_until_it_is_collected()
    {
        Submission[] given = [.. Enumerable.Range(1, 15).Select(i => Submission(Tag(i), Put("a", $"{i}")))];
        Apply([.. given, null, Submission(Tag(5), Put("b"))]);
        for (int i = 1; i <= 15; i++)
        {
            Assert.True(_reader.TryFindNumber(Number(i), out Assignment value, out byte[]? record));
            Assert.Equal(given[i - 1].Encoded.ToArray(), record);
            Assert.Equal(default, value);
        }

        Assert.True(_reader.TryFindNumber(Number(16), out _, out byte[]? none) && none is null);
        Assert.False(_reader.TryFindNumber(Number(18), out _, out _));
        _catalog.Apply(new CatalogBatch(0, [], []) { CollectUpTo = Number(14) });
        Assert.Equal(Number(14), _reader.Collected);
        Assert.False(_reader.TryFindNumber(Number(14), out _, out _));
        Assert.True(_reader.TryFindNumber(Number(15), out _, out byte[]? kept) && kept is not null);
        Assert.Equal(given[10].Encoded.ToArray(), _reader.Submission(Tag(11)));
        Assert.Null(_reader.Submission(Tag(1)));
    }

    [Fact]
    public void Plain_put_or_delete_below_the_current_one_is_an_older_version_and_no_conflict_INT03()
    {
        Apply(Submission(Tag(20), Put("a", "new")));
        Assert.Equal([FeedVerdict.Superseded, FeedVerdict.Superseded], Apply(
            Submission(Tag(10), Put("a", "old")), Submission(Tag(5), Delete("a"))).Select(o => o.Verdict));
        Assert.Equal([Tag(20), Tag(10), Tag(5)], _reader.Versions(Name("a")).Select(v => v.Tag));
        Assert.Equal(FeedVerdict.Superseded, _reader.Sequenced(Tag(10)).Verdict);
    }

    [Fact]
    public void Superseded_one_that_is_too_old_to_be_kept_is_remembered_with_its_number()
    {
        Apply(Submission(Tag(20), Put("a", versions: 1)), Submission(Tag(10), Put("a")));
        Assert.Equal([Tag(20)], _reader.Versions(Name("a")).Select(v => v.Tag));
        Assert.Equal(new FeedOutcome(Number(2), FeedVerdict.Superseded), _reader.Sequenced(Tag(10)));
        Apply(Submission(Tag(30), Put("a", versions: 1)));
        Assert.Equal(new FeedOutcome(Number(1), FeedVerdict.Applied), _reader.Sequenced(Tag(20)));
    }

    [Fact]
    public void Changeset_and_conditional_one_below_a_greater_UID_are_stale_and_leave_their_key_free()
    {
        Apply(Submission(Tag(20), Put("a")));
        Submission changeset = Submission(Tag(10), "key", Put("a"), Put("b"));
        Submission conditional = Submission(Tag(11), Put("a") with { Precondition = Precondition.Absent });
        ImmutableArray<FeedOutcome> outcomes = Apply(changeset, conditional);
        var stale = new FeedOutcome(Number(2), FeedVerdict.Stale)
        {
            Target = Name("a"), Winner = Tag(20).Uid, IsWinnerLive = true, Key = changeset.Key,
        };
        Assert.Equal([stale, stale with { Number = Number(3), Key = conditional.Key }], outcomes);
        Assert.Equal(stale, _reader.Sequenced(Tag(10)));
        Assert.Null(_reader.Current(Name("b")));
        Assert.Null(_reader.Key("key"));

        // Stamped afresh it takes effect.
        Assert.Equal([FeedVerdict.Applied], Apply(changeset.Restamp(Tag(30))).Select(o => o.Verdict));
        Assert.Equal(Tag(30), _reader.Key("key")?.Tag);
    }

    [Fact]
    public void Preconditions_are_evaluated_against_the_greatest_UID_in_feed_order()
    {
        Operation match = Put("a", "2") with { Precondition = Precondition.Match(Tag(10).Uid) };
        Operation absent = Put("a", "3") with { Precondition = Precondition.Absent };
        ImmutableArray<FeedOutcome> outcomes = Apply(
            Submission(Tag(10), Put("a", "1")), Submission(Tag(20), match), Submission(Tag(30), match), Submission(Tag(40), absent),
            Submission(Tag(50), Delete("a")), Submission(Tag(60), "key", Put("b"), match), Submission(Tag(70), absent));
        Assert.Equal(
            [FeedVerdict.Applied, FeedVerdict.Applied, FeedVerdict.Refused, FeedVerdict.Refused, FeedVerdict.Applied, FeedVerdict.Refused,
                FeedVerdict.Applied],
            outcomes.Select(o => o.Verdict));
        Assert.Equal((Name("a"), Tag(20).Uid, true), (outcomes[2].Target, outcomes[2].Winner, outcomes[2].IsWinnerLive));
        Assert.Equal((Name("a"), Tag(50).Uid, false), (outcomes[5].Target, outcomes[5].Winner, outcomes[5].IsWinnerLive));
        Assert.Null(_reader.Current(Name("b")));
        Assert.Equal([Tag(70), Tag(50), Tag(20), Tag(10)], _reader.Versions(Name("a")).Select(v => v.Tag));
    }

    [Fact]
    public void First_of_two_conditional_ones_wins_though_the_other_has_the_greater_UID()
    {
        Operation absent = Put("a") with { Precondition = Precondition.Absent };
        Assert.Equal([FeedVerdict.Applied, FeedVerdict.Refused], Apply(
            Submission(Tag(10), absent), Submission(Tag(20), absent)).Select(o => o.Verdict));
        Assert.Equal(Tag(10).Uid, _reader.GreatestUid(Name("a")));
    }

    [Fact]
    public void Tag_or_key_that_comes_again_has_its_first_outcome()
    {
        Submission refused = Submission(Tag(20), "key", Put("a") with { Precondition = Precondition.Absent });
        Submission put = Submission(Tag(10), Put("a"));
        Apply(put, refused);
        FeedOutcome first = _reader.Sequenced(Tag(20));
        ImmutableArray<FeedOutcome> outcomes = Apply(refused, put, Submission(Tag(30), "key", Put("a", "other")));
        Assert.Equal(
            [first, new(Number(1), FeedVerdict.Applied), new(Number(5), FeedVerdict.Repeated) { First = Tag(20) }], outcomes);
        Assert.Equal((Tag(20), refused.Fingerprint), (_reader.Key("key")!.Value.Tag, _reader.Key("key")!.Value.Fingerprint));
        Assert.Equal(outcomes[2], _reader.Sequenced(Tag(30)));
        Assert.Single(_reader.Versions(Name("a")));
        Assert.Equal(Number(5), _catalog.AppliedNumber);
    }

    [Fact]
    public void Key_may_be_used_again_once_its_time_is_over()
    {
        Submission first = Submission(Tag(1000), "key", Put("a"));
        Apply(first, Submission(Tag(1000 + (2 * 3_600_000)), Put("b")));
        Submission second = Submission(Tag(1001 + (2 * 3_600_000)), "key", Put("a", "other"));
        Assert.Equal([FeedVerdict.Applied], Apply(second).Select(o => o.Verdict));
    }

    [Fact]
    public void Entries_that_were_applied_before_the_crash_only_tell_their_outcomes()
    {
        SequencedEntry[] entries = [.. new[] { Submission(Tag(10), Put("a")), Submission(Tag(5), Put("a"), Put("b")) }.Select(
            (s, i) => new SequencedEntry(Number(i + 1), s))];
        ImmutableArray<FeedOutcome> before = _catalog.Apply(
            new CatalogBatch(1, [], []) { Entries = [.. entries], Sessions = new byte[] { 1 } });
        SequencedEntry next = new(Number(3), Submission(Tag(30), Put("c")));
        ImmutableArray<FeedOutcome> again = _catalog.Apply(
            new CatalogBatch(1, [], []) { Entries = [.. entries], Sessions = new byte[] { 9 } });
        Assert.Equal(before, again);
        Assert.Equal("2 01", Sessions());
        _catalog.Apply(new CatalogBatch(1, [], []) { Entries = [.. entries, next], Sessions = new byte[] { 2 } });
        Assert.Equal("3 02", Sessions());
    }

    [Fact]
    public void Gap_and_what_has_no_number_are_refused_and_change_nothing()
    {
        Apply(Submission(Tag(10), Put("a")));
        Digest digest = _reader.ContentDigest();
        Assert.ThrowsAny<Exception>(() => _catalog.Apply(new CatalogBatch(1, [], [])
        {
            Entries = [new(Number(2), Submission(Tag(20), Put("b"))), new(Number(4), null)],
        }));
        Assert.ThrowsAny<Exception>(() => _catalog.Apply(new CatalogBatch(1, [Submission(Tag(20), Put("b"))], [])));
        Assert.Equal(digest, _reader.ContentDigest());
        Assert.Equal(Number(1), _reader.AppliedNumber);
        Assert.Equal([FeedVerdict.Applied], Apply(Submission(Tag(20), Put("b"))).Select(o => o.Verdict));
    }

    [Fact]
    public void Feed_is_read_from_any_number_with_filters_and_limits()
    {
        Apply(
            Submission(Tag(10), Put("x/1", "one")), null, Submission(Tag(20), Put("y/1"), Put("x/2"), Put("x/3", bucket: "other")),
            Submission(Tag(5), Put("x/1", "older")), Submission(Tag(6), Put("x/1"), Put("x/9")), Submission(Tag(30), Delete("x/1")));
        FeedPage all = _reader.Feed(new FeedQuery(Number(1)));
        Assert.Equal([1UL, 3, 4, 6], all.Items.Select(i => i.Number.Value));
        Assert.Equal((Number(7), Number(6), Number(1)), (all.Next, all.Applied, all.Oldest));
        Assert.Equal(
            new FeedOperation(OperationKind.Put, Name("x/1"), 3, Digest.Of("one"u8)), Assert.Single(all.Items[0].Operations));
        Assert.Equal(
            [FeedVerdict.Applied, FeedVerdict.Applied, FeedVerdict.Superseded, FeedVerdict.Applied], all.Items.Select(i => i.Verdict));
        Assert.Equal(new FeedOperation(OperationKind.Delete, Name("x/1"), 0, default), Assert.Single(all.Items[3].Operations));

        FeedPage filtered = _reader.Feed(new FeedQuery(Number(2), "bucket", "x/"));
        Assert.Equal([3UL, 4, 6], filtered.Items.Select(i => i.Number.Value));
        Assert.Equal(Name("x/2"), Assert.Single(filtered.Items[0].Operations).Target);

        FeedPage first = _reader.Feed(new FeedQuery(default, Limit: 2));
        Assert.Equal([1UL, 3], first.Items.Select(i => i.Number.Value));
        Assert.Equal(Number(4), first.Next);
        Assert.Empty(_reader.Feed(new FeedQuery(Number(7))).Items);
        Assert.Equal(Number(100), _reader.Feed(new FeedQuery(Number(100))).Next);
    }

    [Fact]
    public void Feed_below_the_oldest_kept_number_is_too_old_SAM80()
    {
        for (int i = 1; i <= 50; i++)
        {
            Apply(Submission(Tag(i), Put($"{i}")));
        }

        FeedPage page = _reader.Feed(new FeedQuery(Number(30)));
        Assert.True(page.IsTooOld);
        Assert.Equal((0, Number(31), Number(31), Number(50)), (page.Items.Length, page.Next, page.Oldest, page.Applied));
        FeedPage kept = _reader.Feed(new FeedQuery(page.Next));
        Assert.False(kept.IsTooOld);
        Assert.Equal(20, kept.Items.Length);
        Assert.True(_reader.Feed(new FeedQuery(default)).IsTooOld);
    }

    [Fact]
    public void Numbers_survive_a_crash_as_far_as_their_transactions_do()
    {
        Apply(Submission(Tag(10), Put("a")));
        _catalog.MakeDurable();
        Apply(Submission(Tag(20), Put("b")));
        _reader.Dispose();
        _catalog.Dispose();
        _memory.Crash(0);
        _catalog = Catalog.Open(CatalogLocation.InMemory(_memory), Options);
        _reader = _catalog.OpenReader();
        Assert.Equal(Number(1), _catalog.AppliedNumber);
        Assert.Equal([FeedVerdict.Applied], Apply(Submission(Tag(20), Put("b"))).Select(o => o.Verdict));
        Assert.Equal(2, _reader.Feed(new FeedQuery(Number(1))).Items.Length);
    }

    private static SequenceNumber Number(int number) => new((ulong)number);

    private string Sessions()
    {
        (SequenceNumber applied, byte[] state) = _reader.Sessions();
        return $"{applied} {Convert.ToHexString(state)}";
    }

    private ImmutableArray<FeedOutcome> Apply(params Submission?[] submissions)
    {
        SequenceNumber first = _catalog.AppliedNumber.Next;
        return _catalog.Apply(new CatalogBatch(1, [], [])
        {
            Entries = [.. submissions.Select((s, i) => new SequencedEntry(new SequenceNumber(first.Value + (ulong)i), s))],
        });
    }
}
