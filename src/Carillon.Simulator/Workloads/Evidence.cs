using System.Collections.Immutable;
using Carillon.Protocols;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.VectorExchange;
using Carillon.Simulator.Checkers;
using Carillon.Simulator.World;
using Carillon.Storage.Catalogs;

namespace Carillon.Simulator.Workloads;

/// <summary>What a server said of a submission when it was asked.</summary>
/// <param name="Server">Who said it.</param>
/// <param name="Tag">The submission; of one that was stamped afresh, the newest tag if that was accepted, else the one asked about.</param>
/// <param name="Key">The key that it was asked for by, or null.</param>
/// <param name="State">What it said.</param>
internal readonly record struct ShownState(NodeId Server, Tag Tag, string? Key, SubmissionState State);

/// <summary>A page that a client was shown.</summary>
internal readonly record struct SeenPage(NodeId Server, Instant At, ListPage Page);

/// <summary>A get that was answered.</summary>
internal readonly record struct SeenVersion(NodeId Server, ObjectName Name, Instant Invoked, Instant Returned, ReadOutcome Outcome);

/// <summary>
/// Everything that the clients of a run did, asked and were told; the checkers judge it, some of them at once and others at the end.
/// </summary>
internal sealed class Evidence
{
    private readonly Dictionary<Digest, string> _values = [];
    private readonly Dictionary<Digest, ImmutableArray<ChunkId>> _chunks = [];
    private readonly List<HistoryEntry> _gets = [];
    private readonly Dictionary<ObjectName, (Uid Uid, string? Value)> _lastSeen = [];

    /// <summary>All writes.</summary>
    public List<WriteRecord> Writes { get; } = [];

    /// <summary>All submissions that were seen between servers.</summary>
    public SubmissionRegistry Submissions { get; } = new();

    /// <summary>All answers to <c>submission show</c>.</summary>
    public List<ShownState> Shown { get; } = [];

    /// <summary>A server said what became of a tag.</summary>
    public void Show(SimulatedServer server, Tag asked, SubmissionReport report) => Shown.Add(new ShownState(
        server.Name, report.State == SubmissionState.Rejected ? asked : report.Id, null, report.State));

    /// <summary>A server said what became of a key.</summary>
    public void Show(SimulatedServer server, string key, SubmissionReport report) =>
        Shown.Add(new ShownState(server.Name, report.Id, key, report.State));

    /// <summary>All pages.</summary>
    public List<SeenPage> Pages { get; } = [];

    /// <summary>All answered gets.</summary>
    public List<SeenVersion> Gets { get; } = [];

    /// <summary>Gets that nobody could answer.</summary>
    public int FailedGets { get; set; }

    /// <summary>Called when a server answers a submission, before anybody else hears of it.</summary>
    public Action<SimulatedServer, WriteRecord, SubmitOutcome>? Answered { get; set; }

    /// <summary>Called when a client is about to submit what it has uploaded before.</summary>
    public Action<SimulatedServer, StoredContent>? Rested { get; set; }

    /// <summary>Operations that succeeded.</summary>
    public int Successes => Gets.Count + Writes.Count(write => write.Verdict == LibraryVerdict.Accepted);

    /// <summary>Operations that began.</summary>
    public int Operations => Gets.Count + FailedGets + Writes.Count + Shown.Count + Pages.Count;

    /// <summary>Makes a content known, so that it is recognised when it is read.</summary>
    public void Know(Digest sha256, string value, ImmutableArray<ReadOnlyMemory<byte>> chunks)
    {
        _values.Add(sha256, value);
        if (chunks.Length > 0)
        {
            _chunks.Add(sha256, [.. chunks.Select(chunk => ChunkId.Of(chunk.Span))]);
        }
    }

    /// <summary>The chunks of a content; none if it is inline.</summary>
    public ImmutableArray<ChunkId> ChunksOf(Digest sha256) => _chunks.GetValueOrDefault(sha256, []);

    /// <summary>The value that a content stands for.</summary>
    public string ValueOf(Digest sha256) => _values.TryGetValue(sha256, out string? value)
        ? value
        : throw new SimulationFailedException(FailureKind.Safety, "C5", $"a content was read that nobody wrote: {sha256}");

    /// <summary>The value that a listed version stands for; null for a tombstone.</summary>
    public string? ValueOf(ListedVersion version) => version.Kind == OperationKind.Put ? ValueOf(version.Sha256) : null;

    /// <summary>Takes up an answered get.</summary>
    public void AddGet(string client, SeenVersion seen)
    {
        string? value = seen.Outcome is ReadOutcome.Found found ? ValueOf(found.Manifest.Sha256) : null;
        Gets.Add(seen);
        See(seen.Name, seen.Outcome is ReadOutcome.Found version ? version.Uid : default, value);
        _gets.Add(new HistoryEntry
        {
            Client = client, Action = HistoryAction.Get, Name = seen.Name.ToString(), Value = value, Invoked = seen.Invoked.Ticks,
            Returned = seen.Returned.Ticks, Outcome = HistoryOutcome.Ok,
        });
    }

    /// <summary>What was last seen of a name, by anybody: a version that somebody may build upon.</summary>
    public (Uid Uid, string? Value) LastSeen(ObjectName name) => _lastSeen.GetValueOrDefault(name);

    /// <summary>A client knows now what a name is.</summary>
    public void See(ObjectName name, Uid uid, string? value) => _lastSeen[name] = value is null ? default : (uid, value);

    private bool TryGetMet(KeyedWrite write, out string? value)
    {
        value = null;
        if (!write.Refusal.IsWinnerLive)
        {
            return true;
        }

        bool isKnown = Submissions.TryGetContent(write.Refusal.Winner, write.Refusal.Target, out Digest? content) && content is not null;
        value = isKnown ? ValueOf(content!.Value) : null;
        return isKnown;
    }

    /// <summary>The history of all reads and writes; a changeset is a write of each of its names.</summary>
    public History ToHistory()
    {
        var history = new History();
        foreach (KeyedWrite write in KeyedWrite.Join(Writes))
        {
            HistoryOutcome outcome = write.Verdict switch
            {
                LibraryVerdict.Accepted => HistoryOutcome.Ok,
                LibraryVerdict.Rejected or LibraryVerdict.Refused => HistoryOutcome.Failed,
                _ => HistoryOutcome.Unknown,
            };
            foreach (PlannedOperation operation in write.Operations)
            {
                history.Add(new HistoryEntry
                {
                    Client = write.Client, Name = operation.Target.ToString(), Value = operation.Value, Invoked = write.Invoked.Ticks,
                    Action = operation.Kind == OperationKind.Put ? HistoryAction.Put : HistoryAction.Delete,
                    Returned = write.Returned?.Ticks, Outcome = outcome,
                    IsConditional = !operation.Precondition.IsNone, Expected = operation.Expected,
                });
            }

            if (write.Verdict == LibraryVerdict.Refused && TryGetMet(write, out string? met))
            {
                // It has read what it met.
                history.Add(new HistoryEntry
                {
                    Client = write.Client, Action = HistoryAction.Get, Name = write.Refusal.Target.ToString(), Value = met,
                    Invoked = write.Invoked.Ticks, Returned = write.Returned!.Value.Ticks, Outcome = HistoryOutcome.Ok,
                });
            }
        }

        foreach (HistoryEntry get in _gets)
        {
            history.Add(get);
        }

        return history;
    }
}
