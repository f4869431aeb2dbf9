using Carillon.Protocols;

namespace Carillon.Simulator;

/// <summary>The deliberate bugs (<see cref="SeededBug"/>) that are compiled in by <c>-p:SeededBugs=true</c>; docs/reliability.md says what
/// each breaks.</summary>
internal static class SeededBugs
{
    /// <summary>All of them, in order; a test compares them with the source.</summary>
    public static IReadOnlyList<string> All { get; } =
    [
        "abort-without-successor",
        "ack-before-flush",
        "answered-before-the-verdict",
        "answers-from-mere-assignment",
        "answers-without-carried-records",
        "assignment-before-message",
        "assignment-of-an-older-epoch",
        "base-is-the-own-number",
        "bit-before-flush",
        "bit-without-file",
        "bits-after-closing",
        "carried-tags-forgotten",
        "catalog-applies-changeset-partly",
        "catalog-last-applied-wins",
        "catalog-skips-listed-chunks",
        "checkpoint-digests-not-compared",
        "chunk-ack-before-flush",
        "chunk-ack-before-hash-check",
        "chunk-collect-ignores-intent",
        "chunk-count-nondistinct-servers",
        "closing-not-durable",
        "collected-beyond-the-checkpoint",
        "commit-before-a-majority",
        "commit-inferred-from-another-epoch",
        "committed-number-forgotten",
        "committed-number-hidden",
        "conditional-bit-beside-plain",
        "conditional-ones-contend",
        "contended-push-taken",
        "datagram-replay-accepted",
        "dead-tag-exchanged",
        "decided-tag-forgotten",
        "disk-goes-before-those-that-stay-are-settled",
        "disqualified-never-stands",
        "duplicate-delivered",
        "early-message-not-held",
        "epoch-not-above-promise",
        "epoch-of-any-incarnation",
        "epoch-promise-not-durable",
        "epochs-given-again",
        "epochs-of-the-table-given-again",
        "feed-applies-a-key-twice",
        "feed-applies-what-is-stale",
        "feed-ignores-preconditions",
        "fence-ignored",
        "fence-raised-by-bid",
        "forgotten-by-its-name",
        "given-up-key-fenced",
        "grant-of-another-epoch-counts",
        "grant-without-lease",
        "grants-after-restart",
        "key-fence-ignored",
        "key-not-answered",
        "learnt-no-forgotten",
        "lease-from-the-answer",
        "lease-of-a-replaced-disk-is-the-new-ones",
        "log-accepts-corrupt-middle",
        "log-complete-before-flush",
        "log-frees-before-cut-is-durable",
        "log-trusts-the-kernels-cache",
        "lower-epoch-wins",
        "membership-accepts-lower-incarnation",
        "merge-skips-tombstones",
        "message-numbered-twice",
        "message-stays-at-two-numbers",
        "no-abort-at-start",
        "no-allowance",
        "no-late-fetch",
        "no-round-after-resends",
        "no-rounds",
        "no-withdrawal",
        "no-withdrawal-of-a-push",
        "noes-forgotten",
        "numbered-before-k-data",
        "numbers-before-applying",
        "numbers-behind-a-change",
        "overtaken-message-counts",
        "own-bit-unchecked",
        "own-renewal-unchecked",
        "plain-bit-beside-conditional",
        "prepared-by-a-minority",
        "primary-exists-if-connected",
        "promise-before-flush",
        "promise-hides-its-bit",
        "promise-ignored",
        "promise-not-durable",
        "proposed-before-a-quorum-closed",
        "push-ack-before-flush",
        "push-without-quorum",
        "quorum-one-short",
        "rank-not-frozen",
        "read-asks-minority",
        "read-before-all-is-recovered",
        "read-before-the-number",
        "read-beside-a-change",
        "read-by-number-at-once",
        "read-counts-only-round-zero",
        "read-ignores-held",
        "read-passes-carried-tags-over",
        "read-takes-what-the-feed-decides",
        "read-without-lease",
        "reassigned-before-fetch",
        "rejected-without-fence",
        "renewal-inferred-from-an-echo",
        "renews-under-another-version",
        "replaced-disk-forgotten",
        "rival-entries",
        "round-follows-the-first-bit",
        "round-ignores-bits",
        "round-of-a-minority",
        "settled-forgotten",
        "stale-push-taken",
        "stamps-reused-after-restart",
        "stands-without-quorum",
        "successor-forgotten",
        "superseded-is-a-conflict",
        "timestamp-of-the-last-sending",
        "two-bits-per-key",
        "unnumbered-push-taken",
        "unnumbered-taken-for-forgotten",
        "vector-of-another-version",
        "version-before-its-entry-is-durable",
        "votes-after-forgetting",
        "votes-again-before-it-is-durable",
        "withdrawal-frees-a-former-life",
    ];

    /// <summary>Those of primacy: they are looked for in seeds that have services (<see cref="ServiceSeeds"/>).</summary>
    public static IReadOnlySet<string> OfPrimacy { get; } = new HashSet<string>(StringComparer.Ordinal)
    {
        "disqualified-never-stands",
        "epoch-not-above-promise",
        "epoch-of-any-incarnation",
        "epoch-promise-not-durable",
        "fence-ignored",
        "fence-raised-by-bid",
        "grant-of-another-epoch-counts",
        "grant-without-lease",
        "grants-after-restart",
        "lease-from-the-answer",
        "no-allowance",
        "no-withdrawal",
        "own-bit-unchecked",
        "own-renewal-unchecked",
        "primary-exists-if-connected",
        "rank-not-frozen",
        "renewal-inferred-from-an-echo",
        "stands-without-quorum",
        "withdrawal-frees-a-former-life",
    };

    /// <summary>Switches one on; false with the reason where that can't be.</summary>
    public static bool TrySwitchOn(string name, out string reason)
    {
        if (!All.Contains(name))
        {
            reason = $"there is no bug '{name}'; the bugs are:\n  {string.Join("\n  ", All)}";
            return false;
        }

#if SEEDED_BUGS
        SeededBug.Active = name;
        reason = "";
        return true;
#else
        reason = "this build has no bugs on purpose; build one with them, in a folder of its own: "
            + $"dotnet run -c Release --project src/Carillon.Simulator -p:SeededBugs=true -- --seeds 200 --bug {name}";
        return false;
#endif
    }
}
