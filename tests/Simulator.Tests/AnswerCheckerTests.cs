using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.VectorExchange;
using Carillon.Simulator.Checkers;
using Carillon.Simulator.Workloads;
using Carillon.Storage.Catalogs;
using Xunit;

namespace Carillon.Simulator.Tests;

/// <summary>Checkers of what clients were told: each lets a good history pass, and finds the one that breaks its rule.</summary>
public sealed class AnswerCheckerTests
{
    private readonly HandMade _made = new();

    [Fact]
    public void A2_accepted_write_that_every_catalog_has_passes()
    {
        PlannedOperation put = _made.Put("a", "v1");
        _made.Wrote(LibraryVerdict.Accepted, HandMade.TagOf(5), 1, 2, null, put);
        NothingLostChecker.Check(_made.Evidence, [HandMade.Image(HandMade.S1, HandMade.Version(put, HandMade.TagOf(5)))], 2);
    }

    [Fact]
    public void A2_accepted_write_that_a_catalog_lacks_is_found()
    {
        _made.Wrote(LibraryVerdict.Accepted, HandMade.TagOf(5), 1, 2, null, _made.Put("a", "v1"));
        HandMade.Breaks("A2", () => NothingLostChecker.Check(_made.Evidence, [HandMade.Image(HandMade.S1)], 2));
    }

    [Fact]
    public void A2_older_version_in_the_place_of_an_accepted_one_is_found()
    {
        PlannedOperation older = _made.Put("a", "v1");
        _made.Wrote(LibraryVerdict.Accepted, HandMade.TagOf(5), 1, 2, null, _made.Put("a", "v2"));
        HandMade.Breaks("A2", () => NothingLostChecker.Check(
            _made.Evidence, [HandMade.Image(HandMade.S1, HandMade.Version(older, HandMade.TagOf(4)))], 2));
    }

    [Fact]
    public void A2_version_is_missed_only_while_it_would_be_kept()
    {
        PlannedOperation newer = _made.Put("a", "v2");
        _made.Wrote(LibraryVerdict.Accepted, HandMade.TagOf(5), 1, 2, null, _made.Put("a", "v1"));
        ServerImage image = HandMade.Image(HandMade.S1, HandMade.Version(newer, HandMade.TagOf(6)));
        NothingLostChecker.Check(_made.Evidence, [image], versionsKept: 1);
        HandMade.Breaks("A2", () => NothingLostChecker.Check(_made.Evidence, [image], versionsKept: 2));
    }

    [Fact]
    public void A3_rejected_write_that_nobody_sees_passes_and_one_that_a_catalog_shows_is_found()
    {
        PlannedOperation put = _made.Put("a", "v1");
        _made.Wrote(LibraryVerdict.Rejected, default, 1, 2, null, put);
        FalsePositiveChecker.Check(_made.Evidence, [HandMade.Image(HandMade.S1)]);
        HandMade.Breaks("A3", () => FalsePositiveChecker.Check(
            _made.Evidence, [HandMade.Image(HandMade.S1, HandMade.Version(put, HandMade.TagOf(5)))]));
    }

    [Fact]
    public void A3_rejected_write_that_a_get_returned_is_found()
    {
        PlannedOperation put = _made.Put("a", "v1");
        _made.Wrote(LibraryVerdict.Rejected, default, 1, 2, null, put);
        var manifest = new ObjectManifest { Size = put.Content.Length, Sha256 = Digest.Of(put.Content.Span), Inline = put.Content };
        _made.Evidence.AddGet("c2", new SeenVersion(
            HandMade.S1, put.Target, HandMade.At(3), HandMade.At(4), new ReadOutcome.Found(default, HandMade.TagOf(5), manifest)));
        HandMade.Breaks("A3", () => FalsePositiveChecker.Check(_made.Evidence, []));
    }

    [Fact]
    public void A4_tag_that_is_accepted_here_and_rejected_there_is_found()
    {
        _made.Wrote(LibraryVerdict.Accepted, HandMade.TagOf(5), 1, 2, "k", _made.Put("a", "v1"));
        _made.Evidence.Shown.Add(new ShownState(HandMade.S1, HandMade.TagOf(5), "k", SubmissionState.Accepted));
        VerdictChecker.Check(_made.Evidence, _made.Evidence.Submissions);
        _made.Evidence.Shown.Add(new ShownState(HandMade.S2, HandMade.TagOf(5), null, SubmissionState.Rejected));
        HandMade.Breaks("A4", () => VerdictChecker.Check(_made.Evidence, _made.Evidence.Submissions));
    }

    [Fact]
    public void A4_tag_that_was_stamped_afresh_shares_its_successors_verdict()
    {
        Tag first = HandMade.TagOf(5);
        Tag second = HandMade.TagOf(6);
        PlannedOperation put = _made.Put("a", "v1");
        _made.Evidence.Submissions.Add(Submission.Create(second, first, new DiskId(1), "k", [ToOperation(put)]));
        _made.Wrote(LibraryVerdict.Accepted, second, 1, 2, "k", put);
        VerdictChecker.Check(_made.Evidence, _made.Evidence.Submissions);
        _made.Evidence.Shown.Add(new ShownState(HandMade.S2, first, null, SubmissionState.Rejected));
        HandMade.Breaks("A4", () => VerdictChecker.Check(_made.Evidence, _made.Evidence.Submissions));
    }

    [Fact]
    public void A4_key_that_is_fenced_and_accepted_is_found()
    {
        _made.Wrote(LibraryVerdict.Accepted, HandMade.TagOf(5), 1, 2, "k", _made.Put("a", "v1"));
        _made.Evidence.Shown.Add(new ShownState(HandMade.S2, HandMade.TagOf(4), "k", SubmissionState.Rejected));
        HandMade.Breaks("A4", () => VerdictChecker.Check(_made.Evidence, _made.Evidence.Submissions));
    }

    [Fact]
    public void Refusal_of_a_write_that_has_a_precondition_passes_and_of_one_that_has_none_is_found()
    {
        var refused = new SubmitOutcome.Refused(HandMade.TagOf(5), new FeedOutcome(new SequenceNumber(3), FeedVerdict.Refused));
        PlannedOperation put = _made.Put("a", "v1");
        WriteRecord conditional = _made.Wrote(LibraryVerdict.Unknown, default, 1, 2, "k", put with { Precondition = Precondition.Absent });
        conditional.Attempts[0].Answer = refused;
        VerdictChecker.Check(_made.Evidence, _made.Evidence.Submissions);
        _made.Wrote(LibraryVerdict.Unknown, default, 1, 2, "l", put).Attempts[0].Answer = refused;
        HandMade.Breaks("refusal", () => VerdictChecker.Check(_made.Evidence, _made.Evidence.Submissions));
    }

    [Fact]
    public void A5_key_with_one_version_passes_and_with_two_is_found()
    {
        PlannedOperation put = _made.Put("a", "v1");
        _made.Wrote(LibraryVerdict.Accepted, HandMade.TagOf(5), 1, 2, "k", put);
        _made.Wrote(LibraryVerdict.Accepted, HandMade.TagOf(5), 3, 4, "k", put);
        VerdictChecker.Check(_made.Evidence, _made.Evidence.Submissions);
        _made.Wrote(LibraryVerdict.Accepted, HandMade.TagOf(6), 5, 6, "k", put);
        HandMade.Breaks("A5", () => VerdictChecker.Check(_made.Evidence, _made.Evidence.Submissions));
    }

    [Fact]
    public void Order_of_uids_that_is_not_the_order_of_the_answers_is_found()
    {
        _made.Wrote(LibraryVerdict.Accepted, HandMade.TagOf(5), 1, 4, null, _made.Put("a", "v1"));
        _made.Wrote(LibraryVerdict.Accepted, HandMade.TagOf(4), 3, 5, null, _made.Put("a", "v2"));
        UidOrderChecker.Check(_made.Evidence);
        _made.Wrote(LibraryVerdict.Accepted, HandMade.TagOf(3), 6, 7, null, _made.Put("a", "v3"));
        HandMade.Breaks("order", () => UidOrderChecker.Check(_made.Evidence));
    }

    [Fact]
    public void Uid_that_two_submissions_have_is_found()
    {
        SubmissionRegistry registry = _made.Evidence.Submissions;
        Operation operation = ToOperation(_made.Put("a", "v1"));
        registry.Add(Submission.Create(HandMade.TagOf(5, 1), default, new DiskId(1), "k", [operation]));
        registry.Add(Submission.Create(HandMade.TagOf(5, 1), default, new DiskId(1), "k", [operation]));
        HandMade.Breaks("uid", () => registry.Add(Submission.Create(HandMade.TagOf(5, 2), default, new DiskId(1), "l", [operation])));
    }

    [Fact]
    public void Changeset_that_a_page_shows_whole_passes_and_half_is_found()
    {
        PlannedOperation[] both = [_made.Put("a", "v1"), _made.Put("b", "v2")];
        ListedVersion older = HandMade.Version(_made.Put("b", "v0"), HandMade.TagOf(3));
        _made.Wrote(LibraryVerdict.Accepted, HandMade.TagOf(5), 1, 2, null, both);
        ListedVersion[] whole = [.. both.Select(operation => HandMade.Version(operation, HandMade.TagOf(5)))];
        ChangesetChecker.Check(_made.Evidence, [HandMade.Image(HandMade.S1, whole)]);
        HandMade.Breaks("changeset", () => ChangesetChecker.Check(_made.Evidence, [HandMade.Image(HandMade.S1, whole[0], older)]));
        HandMade.Breaks("changeset", () => ChangesetChecker.Check(_made.Evidence, [HandMade.Image(HandMade.S1, whole[0])]));
    }

    [Fact]
    public void Catalogs_that_are_equal_pass_and_ones_that_differ_are_found()
    {
        ListedVersion version = HandMade.Version(_made.Put("a", "v1"), HandMade.TagOf(5));
        ConvergenceChecker.Check([HandMade.Image(HandMade.S1, version), HandMade.Image(HandMade.S2, version)]);
        HandMade.Breaks(
            "convergence", () => ConvergenceChecker.Check([HandMade.Image(HandMade.S1, version), HandMade.Image(HandMade.S2)]));
    }

    [Fact]
    public void Removed_bucket_that_has_a_name_is_found()
    {
        ServerImage image = HandMade.Image(HandMade.S1) with { Raced = [HandMade.Version(_made.Put("a", "v1"), HandMade.TagOf(5))] };
        ConvergenceChecker.Check([image with { RacedExists = true }]);
        HandMade.Breaks("bucket", () => ConvergenceChecker.Check([image]));
    }

    private static Operation ToOperation(PlannedOperation planned) => new(OperationKind.Put, planned.Target, new ObjectManifest
    {
        Size = planned.Content.Length, Sha256 = Digest.Of(planned.Content.Span), Inline = planned.Content,
    });
}
