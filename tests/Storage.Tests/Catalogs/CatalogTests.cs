using System.Collections.Immutable;
using System.Text;
using Carillon.Protocols;
using Carillon.Protocols.IndexMerge;
using Carillon.Protocols.Primacy;
using Carillon.Protocols.Submissions;
using Carillon.Storage.Catalogs;
using Xunit;
using static Carillon.Storage.Tests.Catalogs.Samples;

namespace Carillon.Storage.Tests.Catalogs;

/// <summary>What a catalog says after some submissions, in memory.</summary>
public sealed class CatalogTests : IDisposable
{
    private readonly CatalogMemory _memory = new();
    private readonly Catalog _catalog;
    private readonly CatalogReader _reader;
    private ulong _position;

    public CatalogTests()
    {
        _catalog = Catalog.Open(CatalogLocation.InMemory(_memory), new CatalogOptions { LeastKeys = 2 });
        _reader = _catalog.OpenReader();
    }

    public void Dispose()
    {
        _reader.Dispose();
        _catalog.Dispose();
        _memory.Dispose();
    }

    [Fact]
    public void Current_is_the_greatest_uid_whatever_came_last()
    {
        Apply(Submission(Tag(20), Put("a", "new")), Submission(Tag(10), Put("a", "old")));

        VersionEntry current = _reader.Current(Name("a"))!;
        Assert.Equal(Tag(20), current.Tag);
        Assert.Equal("new", Encoding.UTF8.GetString(current.Manifest!.Inline.Span));
        Assert.Equal(Tag(20).Uid, _reader.GreatestUid(Name("a")));
        Assert.Equal("old", Encoding.UTF8.GetString(_reader.Version(Name("a"), Tag(10).Uid)!.Manifest!.Inline.Span));
        Assert.Equal([Tag(20), Tag(10)], _reader.Versions(Name("a")).Select(v => v.Tag));
    }

    [Fact]
    public void Fenced_submission_is_found_in_all_its_parts()
    {
        var fence = new Fence(ServiceName.Parse("counter"), new Epoch(3));
        ImmutableArray<Operation> operations = [Put("a", "one"), Put("b", "two")];
        Apply(Protocols.Submissions.Submission.Create(Tag(10), default, new DiskId(7), "key", operations, fence));

        Assert.Equal("one", Encoding.UTF8.GetString(_reader.Current(Name("a"))!.Manifest!.Inline.Span));
        Assert.Equal("two", Encoding.UTF8.GetString(_reader.Current(Name("b"))!.Manifest!.Inline.Span));
    }

    [Fact]
    public void Greatest_key_is_the_last_in_the_order_of_utf8_bytes()
    {
        Assert.Equal("", _reader.GreatestKey);

        Apply(
            Submission(Tag(10), "b", Put("a")), Submission(Tag(20), "\U0001F600", Put("b")), Submission(Tag(30), "\uFFFD", Put("c")));

        Assert.Equal("\U0001F600", _reader.GreatestKey);
        Assert.True(Utf8Order.Compare("\U0001F600", "\uFFFD") > 0);
    }

    [Fact]
    public void Names_that_never_were_have_no_uid_and_no_version()
    {
        Apply(Submission(Tag(10), Put("a")));

        Assert.True(_reader.GreatestUid(Name("b")).IsNone);
        Assert.Null(_reader.Current(Name("b")));
        Assert.Null(_reader.Version(Name("a"), Tag(11).Uid));
        Assert.True(_reader.GreatestUid(Name("a", "other")).IsNone);
    }

    [Fact]
    public void Servers_order_versions_of_one_stamp()
    {
        Apply(Submission(Tag(10, server: 1), Put("a", "s10")), Submission(Tag(10, server: 2), Put("a", "s2")),
            Submission(Tag(10, server: 0), Put("a", "s1")));

        Assert.Equal(["s2", "s10", "s1"], _reader.Versions(Name("a")).Select(v => v.Uid.Server.Name));
    }

    [Fact]
    public void Tombstone_is_current_and_hides_the_name_from_listings()
    {
        Apply(Submission(Tag(10), Put("a")), Submission(Tag(20), Delete("a")), Submission(Tag(11), Put("b")));

        Assert.Equal(OperationKind.Delete, _reader.Current(Name("a"))!.Kind);
        Assert.Equal(["b"], _reader.List(new ListQuery("bucket")).Objects.Select(o => o.Target.Name));
        Assert.Equal(["a", "a", "b"], _reader.List(new ListQuery("bucket", Versions: true)).Objects.Select(o => o.Target.Name));
        Assert.Equal(1, _reader.NameCount("bucket"));
    }

    [Fact]
    public void Listing_shows_media_type_and_metadata_of_each_version()
    {
        Operation put = Put("a", "text");
        string large = new('ü', 2000);
        ObjectManifest manifest = put.Manifest! with { ContentType = "text/plain", Metadata = [new("empty", ""), new("large", large)] };
        Apply(Submission(Tag(10), put with { Manifest = manifest }, Put("b")), Submission(Tag(20), Delete("a")));

        ImmutableArray<ListedVersion> listed = _reader.List(new ListQuery("bucket", Versions: true)).Objects;

        Assert.Equal(["", "text/plain", ""], listed.Select(version => version.ContentType));
        Assert.Equal([0, 2, 0], listed.Select(version => version.Metadata.Length));
        Assert.Equal(manifest.Metadata, listed[1].Metadata);
    }

    [Fact]
    public void Changeset_gives_every_name_the_same_uid()
    {
        Submission changeset = Submission(Tag(10), Put("a", "1"), Delete("b"), Put("c", "333"));
        Apply(changeset);

        Assert.Equal(Tag(10).Uid, _reader.GreatestUid(Name("a")));
        Assert.Equal(Tag(10).Uid, _reader.GreatestUid(Name("b")));
        Assert.Equal("333", Encoding.UTF8.GetString(_reader.Current(Name("c"))!.Manifest!.Inline.Span));
        Assert.Equal(changeset.Encoded.ToArray(), _reader.Submission(Tag(10)));
    }

    [Fact]
    public void Versions_beyond_the_puts_own_number_are_trimmed_with_their_records()
    {
        Apply([.. Enumerable.Range(1, 5).Select(i => Submission(Tag(i), Put("a", $"{i}", versions: 3)))]);

        Assert.Equal([Tag(5), Tag(4), Tag(3)], _reader.Versions(Name("a")).Select(v => v.Tag));
        Assert.Null(_reader.Submission(Tag(2)));
        Assert.NotNull(_reader.Submission(Tag(3)));
        Assert.Equal(TagOutcome.Accepted, _reader.Outcome(Tag(1)));
    }

    [Fact]
    public void Versions_kept_can_be_raised_and_lowered_from_put_to_put()
    {
        Apply([.. Enumerable.Range(1, 5).Select(i => Submission(Tag(i), Put("a", versions: 2)))]);
        Apply([.. Enumerable.Range(6, 5).Select(i => Submission(Tag(i), Put("a", versions: 5)))]);
        Assert.Equal(5, _reader.Versions(Name("a")).Length);

        Apply(Submission(Tag(20), Put("a", versions: 1)));
        Assert.Equal([Tag(20)], _reader.Versions(Name("a")).Select(v => v.Tag));
    }

    [Fact]
    public void Tombstones_do_not_count_towards_versions_and_are_few()
    {
        Apply([.. Enumerable.Range(1, 40).Select(i => Submission(Tag(i), i % 2 == 0 ? Delete("a") : Put("a", versions: 15)))]);

        ImmutableArray<VersionEntry> versions = _reader.Versions(Name("a"));
        Assert.Equal(15, versions.Count(v => v.Kind == OperationKind.Put));
        Assert.Equal(10, versions.Count(v => v.Kind == OperationKind.Delete));
        Assert.Equal(Tag(40), versions[0].Tag);
    }

    [Fact]
    public void Greatest_uid_stays_when_it_is_a_tombstone_behind_many_others()
    {
        Apply([.. Enumerable.Range(1, 30).Select(i => Submission(Tag(i), Delete("a")))]);

        Assert.Equal(Tag(30).Uid, _reader.GreatestUid(Name("a")));
        Assert.Equal(10, _reader.Versions(Name("a")).Length);
    }

    [Fact]
    public void Record_of_a_changeset_stays_while_one_of_its_versions_does()
    {
        Apply(Submission(Tag(1), Put("a", "1", versions: 1), Put("b", "1", versions: 1)), Submission(Tag(2), Put("a", "2", versions: 1)));
        Assert.NotNull(_reader.Submission(Tag(1)));
        Assert.Null(_reader.Version(Name("a"), Tag(1).Uid));

        Apply(Submission(Tag(3), Put("b", "2", versions: 1)));
        Assert.Null(_reader.Submission(Tag(1)));
    }

    [Fact]
    public void Chunks_are_referenced_as_long_as_a_kept_manifest_lists_them()
    {
        Apply(Submission(Tag(1), Chunked("a", ContentForm.Chunks, 1, 1, 2)), Submission(Tag(2), Chunked("b", ContentForm.Chunks, 1, 2, 3)));
        Assert.Equal([true, true, true, false], Enumerable.Range(1, 4).Select(i => _reader.IsReferenced(Chunk(i))));

        Apply(Submission(Tag(3), Put("a", versions: 1)));
        Assert.Equal([false, true, true], Enumerable.Range(1, 3).Select(i => _reader.IsReferenced(Chunk(i))));

        Apply(Submission(Tag(4), Put("b", versions: 1)));
        Assert.False(_reader.IsReferenced(Chunk(2)));
    }

    [Fact]
    public void List_of_chunks_is_unread_until_the_last_of_what_it_names_is_added()
    {
        Apply(
            Submission(Tag(1), Chunked("plain", ContentForm.Chunks, 1, 9)),
            Submission(Tag(2), Chunked("a", ContentForm.ChunkedList, 1, 1, 2)));
        UnreadList first = _reader.NextUnreadList()!.Value;
        UnreadList second = _reader.NextUnreadList(first.Id)!.Value;
        Assert.Equal([Chunk(1), Chunk(2)], [first.Part, second.Part]);
        Assert.Null(_reader.NextUnreadList(second.Id));

        _catalog.AddListed(first.Id, [Chunk(100), Chunk(101)], isLast: false);
        Assert.Equal(first, _reader.NextUnreadList());
        _catalog.AddListed(first.Id, [Chunk(101), Chunk(102)], isLast: true);
        Assert.Equal(second, _reader.NextUnreadList());
        _catalog.AddListed(second.Id, [], isLast: true);
        Assert.Null(_reader.NextUnreadList());
        Assert.Equal([true, true, true, false], Enumerable.Range(100, 4).Select(i => _reader.IsReferenced(Chunk(i))));
    }

    [Fact]
    public void What_a_list_names_is_referenced_as_long_as_a_kept_version_has_the_list()
    {
        Apply(
            Submission(Tag(1), Chunked("a", ContentForm.ChunkedList, 1, 1)),
            Submission(Tag(2), Chunked("b", ContentForm.ChunkedList, 1, 1)));
        _catalog.AddListed(_reader.NextUnreadList()!.Value.Id, [Chunk(100)], isLast: true);
        Assert.Null(_reader.NextUnreadList());

        Apply(Submission(Tag(3), Put("a", versions: 1)));
        Assert.True(_reader.IsReferenced(Chunk(100)));
        Apply(Submission(Tag(4), Put("b", versions: 1)));
        Assert.False(_reader.IsReferenced(Chunk(100)));
        Assert.False(_reader.IsReferenced(Chunk(1)));
    }

    [Fact]
    public void List_that_goes_and_comes_back_while_it_is_read_is_read_again()
    {
        Apply(Submission(Tag(1), Chunked("a", ContentForm.ChunkedList, 1, 1)));
        long before = _reader.NextUnreadList()!.Value.Id;
        _catalog.AddListed(before, [Chunk(100)], isLast: false);
        Apply(Submission(Tag(2), Put("a", versions: 1)));
        Assert.Null(_reader.NextUnreadList());
        Apply(Submission(Tag(3), Chunked("b", ContentForm.ChunkedList, 1, 1)));
        _catalog.AddListed(before, [Chunk(101)], isLast: true);

        UnreadList again = _reader.NextUnreadList()!.Value;
        Assert.NotEqual(before, again.Id);
        Assert.Equal(Chunk(1), again.Part);
        Assert.Equal([false, false], Enumerable.Range(100, 2).Select(i => _reader.IsReferenced(Chunk(i))));
    }

    [Fact]
    public void Key_finds_the_accepted_tag_with_the_least_uid()
    {
        Submission first = Submission(Tag(10), "same", Put("a"));
        Apply(Submission(Tag(20), "same", Put("a")), first, Submission(Tag(30), "other", Put("a")));
        Reject(new RejectedTag(Tag(5), "same"), new RejectedTag(Tag(6), "failed"));

        Assert.Equal(new KeyEntry(Tag(10), TagOutcome.Accepted, first.Fingerprint), _reader.Key("same"));
        Assert.Equal(new KeyEntry(Tag(6), TagOutcome.Rejected, default), _reader.Key("failed"));
        Assert.Null(_reader.Key("never"));
    }

    [Fact]
    public void Rejected_tags_are_remembered_and_never_become_accepted()
    {
        Reject(new RejectedTag(Tag(10), "key"));
        Assert.Equal(TagOutcome.Rejected, _reader.Outcome(Tag(10)));
        Assert.Equal(TagOutcome.Unknown, _reader.Outcome(Tag(11)));

        Assert.Throws<InvariantBrokenException>(() => Apply(Submission(Tag(10), Put("a"))));
        Assert.Throws<InvariantBrokenException>(() =>
        {
            Apply(Submission(Tag(11), Put("a")));
            Reject(new RejectedTag(Tag(11), "key"));
        });
        Assert.Equal(TagOutcome.Accepted, _reader.Outcome(Tag(11)));
    }

    [Fact]
    public void Outcomes_are_forgotten_a_day_later_by_the_stamps()
    {
        const long Day = 24 * 3600 * 1000L;
        Apply(Submission(Tag(Day), "old", Put("a", versions: 1)), Submission(Tag(Day + 1), Put("a", versions: 1)));
        Reject(new RejectedTag(Tag(Day + 2), "bad"));

        Apply(Submission(Tag((2 * Day) + 1000), Put("b")));
        Assert.Equal(TagOutcome.Accepted, _reader.Outcome(Tag(Day)));
        Assert.Equal(TagOutcome.Rejected, _reader.Outcome(Tag(Day + 2)));
        Assert.NotNull(_reader.Key("old"));

        Apply(Submission(Tag((2 * Day) + 60_000), Put("b")));
        Assert.Equal(TagOutcome.Unknown, _reader.Outcome(Tag(Day)));
        Assert.Equal(TagOutcome.Unknown, _reader.Outcome(Tag(Day + 2)));
        Assert.Null(_reader.Key("old"));
        Assert.Null(_reader.Key("bad"));
        Assert.Equal(TagOutcome.Accepted, _reader.Outcome(Tag(Day + 1)));
    }

    [Fact]
    public void Newest_keys_are_remembered_whatever_their_age_by_the_stamps()
    {
        // Seed 297 of a build before: one server's clock jumped ahead, the next put took the newest stamp with it and ended the memory of
        // a key that was being retried, and the retry made a second version.
        const long Day = 24 * 3600 * 1000L;
        Apply(Submission(Tag(Day), "oldest", Put("a")), Submission(Tag(Day + 1), "retried", Put("b")));
        Apply(Submission(Tag(9 * Day), "ahead", Put("c")));
        Assert.Null(_reader.Key("oldest"));
        Assert.Equal(Tag(Day + 1), _reader.Key("retried")?.Tag);

        Apply(Submission(Tag((9 * Day) + 1), "later", Put("d")));
        Assert.Null(_reader.Key("retried"));
        Assert.NotNull(_reader.Key("ahead"));
    }

    [Fact]
    public void Outcomes_forgotten_for_their_number_are_below_the_stamp_that_memory_is_whole_from()
    {
        using var memory = new CatalogMemory();
        using Catalog catalog = Catalog.Open(CatalogLocation.InMemory(memory), new CatalogOptions { TrimmedCount = 3, RejectedCount = 2 });
        using CatalogReader reader = catalog.OpenReader();
        Assert.Equal(default, reader.OutcomesSince);

        // All five below 10 are trimmed once 10 is there, and two of them are too many to remember.
        int[] order = [3, 10, 1, 2, 4, 5];
        foreach (int stamp in order)
        {
            catalog.Apply(new CatalogBatch(1, [Submission(Tag(stamp), Put("a", versions: 1))], []));
        }

        Assert.Equal(TagOutcome.Unknown, reader.Outcome(Tag(2)));
        Assert.Equal(TagOutcome.Accepted, reader.Outcome(Tag(3)));
        Assert.Equal(Tag(2).Uid.Stamp.Next, reader.OutcomesSince);

        catalog.Apply(new CatalogBatch(1, [], [.. Enumerable.Range(20, 4).Select(i => new RejectedTag(Tag(i), $"{i}", Tag(i + 50)))]));
        Assert.Equal(TagOutcome.Unknown, reader.Outcome(Tag(21)));
        Assert.Equal(TagOutcome.Rejected, reader.Outcome(Tag(22)));
        Assert.Equal(Tag(72), reader.SuccessorOf(Tag(22)));
        Assert.Equal(Tag(21).Uid.Stamp.Next, reader.OutcomesSince);
    }

    [Fact]
    public void Listings_of_rejected_tags_name_their_successors()
    {
        Reject(new RejectedTag(Tag(10), "key", Tag(20)), new RejectedTag(Tag(11), ""));
        Apply(Submission(Tag(20), "key", Put("a")));

        Assert.Equal(
            [
                new MergeItem(Tag(10), TagOutcome.Rejected, "key", Tag(20)), new MergeItem(Tag(11), TagOutcome.Rejected, "", default),
                new MergeItem(Tag(20), TagOutcome.Accepted, "", default),
            ],
            _reader.ItemsIn(MergeRange.Root, default, 10));
    }

    [Fact]
    public void Buckets_are_records_of_the_system_bucket()
    {
        var settings = new BucketSettings { Versions = 3, Replicas = 5 };
        Apply(Submission(Tag(10), Bucket("photos", settings)), Submission(Tag(11), Bucket("albums", new BucketSettings())));
        Assert.Equal(settings, _reader.Bucket("photos"));
        Assert.Equal(["albums", "photos"], _reader.Buckets().Select(b => b.Key));

        Apply(Submission(Tag(12), Bucket("photos", settings with { Versions = 4 })));
        Assert.Equal(4, _reader.Bucket("photos")!.Versions);

        Apply(Submission(Tag(13), Delete("photos", ObjectName.SystemBucket)));
        Assert.Null(_reader.Bucket("photos"));
        Assert.Equal(["albums"], _reader.Buckets().Select(b => b.Key));
    }

    [Fact]
    public void Bucket_has_names_while_one_of_them_has_content()
    {
        Assert.False(_reader.NameCount("bucket") > 0);
        Apply(Submission(Tag(10), Put("a"), Put("b")), Submission(Tag(11), Delete("c")));
        Assert.Equal(2, _reader.NameCount("bucket"));

        Apply(Submission(Tag(12), Delete("a"), Delete("b")));
        Assert.False(_reader.NameCount("bucket") > 0);

        Apply(Submission(Tag(9), Put("b")));
        Assert.False(_reader.NameCount("bucket") > 0);
        Apply(Submission(Tag(13), Put("b")));
        Assert.True(_reader.NameCount("bucket") > 0);
    }

    [Fact]
    public void Position_only_grows()
    {
        Apply(Submission(Tag(1), Put("a")));
        _catalog.Apply(new CatalogBatch(0, [], []));

        Assert.Equal(1UL, _catalog.AppliedPosition);
        Assert.Equal(1UL, _reader.AppliedPosition);
    }

    private static Operation Bucket(string name, BucketSettings settings) =>
        Put(name, Encoding.UTF8.GetString(settings.Write()), bucket: ObjectName.SystemBucket);

    private void Apply(params Submission[] submissions) => _catalog.Apply(new CatalogBatch(++_position, [.. submissions], []));

    private void Reject(params RejectedTag[] rejected) => _catalog.Apply(new CatalogBatch(++_position, [], [.. rejected]));
}
