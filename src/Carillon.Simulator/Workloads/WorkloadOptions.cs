using Carillon.Protocols;

namespace Carillon.Simulator.Workloads;

/// <summary>What clients do, how many there are, and how patient; drawn per seed.</summary>
internal sealed record WorkloadOptions
{
    /// <summary>Clients at once. Many clients on few names make rivals.</summary>
    public int Clients { get; init; } = 4;

    /// <summary>Names that all of them use.</summary>
    public int Names { get; init; } = 8;

    /// <summary>Names of one changeset, at most.</summary>
    public int ChangesetNames { get; init; } = 4;

    /// <summary>Operations of all clients together; then they rest.</summary>
    public int Operations { get; init; } = 250;

    /// <summary>The longest rest of a client between two operations.</summary>
    public TimeSpan ThinkMost { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>How long a client waits for one answer before it turns to the next server.</summary>
    public TimeSpan RequestTimeout { get; init; } = TimeSpan.FromSeconds(8);

    /// <summary>Servers that a client tries in turn under one key.</summary>
    public int Attempts { get; init; } = 3;

    /// <summary>Share of requests, and of answers, that a broken connection swallows.</summary>
    public double LostRequests { get; init; } = 0.01;

    /// <summary>Share of writes that are run a second time under the same key while the first is still at it.</summary>
    public double RepeatShare { get; init; } = 0.02;

    /// <summary>Share of contents that are stored as chunks.</summary>
    public double ChunkedShare { get; init; } = 0.1;

    /// <summary>The largest chunk of one of those, in bytes.</summary>
    public int ChunkBytes { get; init; } = 16 << 10;

    /// <summary>The longest rest between a content's chunks being stored and its submission: a slow client, or a large file.</summary>
    public TimeSpan UploadRestMost { get; init; }

    /// <summary>Share of writes that are answered when they are agreed.</summary>
    public double AgreedShare { get; init; }

    /// <summary>What the common bucket says about answers at agreement.</summary>
    public AgreedAnswers Answers { get; init; }

    /// <summary>Share of writes that depend on what the name was last seen to be.</summary>
    public double ConditionalShare { get; init; }

    /// <summary>Relative frequency of each action.</summary>
    public ActionMix Mix { get; init; } = new();

    /// <summary>Draws a workload that takes about as long as the safety phase, in a few runs much less: then clients are at work all the
    /// time.</summary>
    public static WorkloadOptions Draw(RandomSource random, TimeSpan duration)
    {
        bool hot = random.Chance(0.4);
        int clients = 1 + random.Below(16);
        int operations = 60 + random.Below(240);
        double think = random.Chance(0.15) ? 0.01 : 2 * duration.TotalSeconds * clients / operations;
        return new WorkloadOptions
        {
            AgreedShare = random.Chance(0.5) ? random.Fraction() : 0,
            ConditionalShare = random.Chance(0.7) ? 0.6 * random.Fraction() : 0,
            Clients = clients,
            Names = hot ? 1 + random.Below(3) : 4 + random.Below(60),
            ChangesetNames = 2 + random.Below(6),
            Operations = operations,
            ThinkMost = TimeSpan.FromSeconds(think),
            RequestTimeout = TimeSpan.FromSeconds(1 + (random.Fraction() * 14)),
            Attempts = 1 + random.Below(5),
            LostRequests = random.Chance(0.5) ? 0.05 * random.Fraction() : 0,
            ChunkedShare = random.Chance(0.5) ? 0.3 * random.Fraction() : 0,
            ChunkBytes = 4096 << random.Below(5),
            UploadRestMost = random.Chance(0.5) ? TimeSpan.FromSeconds(20 * random.Fraction()) : default,
            Mix = ActionMix.Draw(random),
        };
    }

    /// <inheritdoc/>
    public override string ToString() => FormattableString.Invariant(
        $"{Clients} clients, {Names} names, ≤ {Operations} operations, think ≤ {ThinkMost.TotalMilliseconds:F0} ms, timeout {RequestTimeout.TotalSeconds:F1} s, ")
        + FormattableString.Invariant($"{Attempts} attempts, {AgreedShare:P0} agreed ({Answers}), {ConditionalShare:P0} conditional, lost {LostRequests:P1}, chunked {ChunkedShare:P0} of ≤ {ChunkBytes} B resting ≤ {UploadRestMost.TotalSeconds:F1} s, {Mix}");
}

/// <summary>Whether a bucket allows that its writes are answered at their agreement.</summary>
internal enum AgreedAnswers
{
    /// <summary>It does.</summary>
    Allowed = 0,

    /// <summary>It does not, from its creation on: reads may ask the feed's sequencer.</summary>
    Never = 1,

    /// <summary>Clients turn it on and off.</summary>
    Turned = 2,
}

/// <summary>Relative frequencies of what clients do.</summary>
internal sealed record ActionMix
{
    public int Put { get; init; } = 10;

    public int Delete { get; init; } = 2;

    public int Changeset { get; init; } = 2;

    public int Get { get; init; } = 10;

    public int List { get; init; } = 2;

    public int Show { get; init; } = 1;

    public int Bucket { get; init; }

    /// <summary>Sum of all.</summary>
    public int Total => Put + Delete + Changeset + Get + List + Show + Bucket;

    /// <summary>Draws a mix: something of most, now and then none of one.</summary>
    public static ActionMix Draw(RandomSource random) => new()
    {
        Put = 5 + random.Below(10), Delete = random.Below(5), Changeset = random.Below(5), Get = 5 + random.Below(10),
            List = random.Below(4),
        Show = random.Below(3), Bucket = random.Chance(0.3) ? 1 + random.Below(3) : 0,
    };

    /// <inheritdoc/>
    public override string ToString() =>
        FormattableString.Invariant($"put {Put} delete {Delete} changeset {Changeset} get {Get} list {List} show {Show} bucket {Bucket}");
}
