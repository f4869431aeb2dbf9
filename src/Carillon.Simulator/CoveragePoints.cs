namespace Carillon.Simulator;

/// <summary>
/// The places (<see cref="Protocols.Sometimes"/>) that runs come to now and then, and the rare branches
/// (<see cref="Protocols.Buggify"/>) that they take on purpose. The fixed seeds must come to all of them but the few that are known to be
/// rarer; the campaign's report names those that were never come to. A test compares the lists with the source.
/// </summary>
internal static class CoveragePoints
{
    /// <summary>From the first seed on, so many come to all that are not rare.</summary>
    public const int SeedsThatReachAll = 100;

    /// <summary>Marks, in order.</summary>
    public static IReadOnlyList<string> Marks { get; } =
    [
        "acceptor-asked-before-its-exchange",
        "agreed-without-the-record",
        "bit-waits-for-a-rival-of-its-key",
        "chunk-collected",
        "chunk-damaged-on-disk",
        "chunk-damaged-on-its-way",
        "chunk-repaired",
        "chunk-segment-sealed-at-start",
        "chunk-store-failed",
        "chunk-store-refused-a-batch",
        "clock-in-quarantine",
        "damaged-group-archive-does-not-vote",
        "damaged-group-log-does-not-vote",
        "damaged-log-does-not-vote",
        "effect-fenced",
        "group-sequencer-deposed",
        "group-skipped-to-checkpoint",
        "group-snapshot-written",
        "intents-follow-a-successor",
        "key-fenced-by-a-quorum",
        "key-followed",
        "log-cut",
        "log-drops-a-torn-tail",
        "log-failed",
        "log-found-corrupt",
        "log-writes-its-last-batch-again",
        "member-failed",
        "merge-brings-a-no",
        "merge-brings-a-record",
        "merge-compares-parts",
        "merge-leaves-some-for-later",
        "merge-while-not-voting",
        "no-acknowledged-by-all",
        "outcome-answered-from-memory",
        "peer-restarted",
        "primacy-bit-given",
        "primacy-fenced-at-home",
        "primacy-moved",
        "primacy-stands-anyway",
        "probe-refutes-a-suspicion",
        "promise-bars-a-bit",
        "promise-shows-a-bit",
        "push-is-stale",
        "push-meets-a-fence",
        "push-meets-a-promise",
        "push-repeated-for-a-rival",
        "read-helps-a-tag",
        "read-passes-a-tag-over",
        "read-unavailable",
        "record-fetched-late",
        "replica-manager-active",
        "replica-manager-fenced",
        "round-barred-by-a-rival",
        "round-decides-no",
        "round-decides-yes",
        "snapshot-written",
        "stand-in-asked",
        "stand-in-let-go",
        "start-aborts-own-tag",
        "start-goes-on-with-a-tag",
        "start-still-has-a-no-to-tell",
        "successor-taken",
        "tag-stamped-afresh",
        "tag-too-old",
        "temporary-swept",
    ];

    /// <summary>Rare branches, in order.</summary>
    public static IReadOnlyList<string> Branches { get; } =
    [
        "bit-put-off",
        "broadcast-misses-one",
        "catalog-batch-of-one",
        "catalog-late",
        "chunk-batch-of-one",
        "chunk-put-not-queued",
        "chunk-segment-closed-early",
        "collected-without-grace",
        "collection-hurried",
        "exchange-timeout-short",
        "group-snapshot-early",
        "log-batch-of-one",
        "log-keeps-few-segments",
        "log-segment-left-early",
        "merge-hurried",
        "merge-in-parts",
        "merge-sends-one-record",
        "no-bit-missed",
        "no-told-late",
        "outcome-not-told",
        "probe-fails",
        "push-misses-one",
        "push-refused",
        "push-timeout-short",
        "repair-hurried",
        "round-at-once",
        "round-uncalled-for",
        "silence-suspected-early",
        "snapshot-early",
        "stamps-used-up",
        "temporary-swept-early",
        "vector-missed",
        "vector-repeated-early",
    ];

    /// <summary>Marks that the fixed seeds may miss; longer campaigns come to them.</summary>
    public static IReadOnlySet<string> Rare { get; } = new HashSet<string>(StringComparer.Ordinal)
    {
        "acceptor-asked-before-its-exchange",
        "bit-waits-for-a-rival-of-its-key",
        "chunk-damaged-on-disk",
        "chunk-store-failed",
        "collected-without-grace",
        "damaged-group-archive-does-not-vote",
        "damaged-group-log-does-not-vote",
        "damaged-log-does-not-vote",
        "group-sequencer-deposed",
        "group-skipped-to-checkpoint",
        "log-drops-a-torn-tail",
        "log-found-corrupt",
        "no-bit-missed",
        "primacy-fenced-at-home",
        "push-meets-a-promise",
        "replica-manager-fenced",
        "round-barred-by-a-rival",
        "temporary-swept-early",
    };

    /// <summary>Marks and branches.</summary>
    public static IReadOnlyList<string> All { get; } = [.. Marks, .. Branches];

    /// <summary>Those that were not come to.</summary>
    public static string[] Missed(IReadOnlyDictionary<string, int> reached) => [.. All.Where(place => !reached.ContainsKey(place))];
}
