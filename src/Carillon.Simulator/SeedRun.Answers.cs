using System.Collections.Immutable;
using Carillon.Protocols;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.VectorExchange;
using Carillon.Protocols.Wire;
using Carillon.Simulator.Checkers;
using Carillon.Simulator.Workloads;
using Carillon.Simulator.World;
using Carillon.Storage.Catalogs;

namespace Carillon.Simulator;

/// <content>What servers answer once all is healed: every tag, every key, every name, every byte.</content>
internal sealed partial class SeedRun
{
    // Any tag may be asked about, also one that was stamped afresh long ago.
    private void ShowTags()
    {
        SimulatedServer[] voters = [.. Voters()];
        int number = 0;
        foreach (Tag tag in _workload.Evidence.Submissions.Tags.TakeLast(100).ToArray())
        {
            SimulatedServer server = voters[number++ % voters.Length];
            bool answered = false;
            server.Input((node, now) => node.Show(tag, now, report =>
            {
                answered = true;
                _workload.Evidence.Show(server, tag, report);
            }));
            Await(() => answered, AnswerBound, "A6", () => $"{server.Name} does not say what became of {tag}");
        }
    }

    private static string DescribeOpen(SimulatedServer server) =>
        $"{server.Name} has {server.Node!.OpenSubmissions} ({server.Node!.DescribeOpen()})";

    // The first tries may still meet a server that has just learned of the others.
    private void PutThrough(SimulatedServer server)
    {
        WriteRecord? put = null;
        Await(
            () =>
            {
                put = put is null or { Returned: not null, Verdict: not LibraryVerdict.Accepted }
                    ? _workload.PutQuietly(_workload.Names.First(), server.Place)
                    : put;
                return put.Verdict == LibraryVerdict.Accepted;
            },
            DecisionBound,
            "A6",
            () => $"{server.Name} takes no put on a healed cluster: {put!.Attempts.LastOrDefault()?.Answer?.ToString() ?? "no answer"}");
    }

    // Every write whose outcome the client did not learn is asked about, at several servers.
    private void ShowAll()
    {
        foreach (WriteRecord write in _workload.Evidence.Writes.ToArray())
        {
            SubmissionReport? report = null;
            bool answered = false;
            SimulatedServer[] voters = [.. Voters()];
            SimulatedServer server = voters[write.Number % voters.Length];
            server.Input((node, now) => node.Show(write.Key, now, shown =>
            {
                answered = true;
                report = shown;
                if (shown is not null)
                {
                    _workload.Evidence.Show(server, write.Key, shown);
                }
            }));
            Await(() => answered, AnswerBound, "A6", () => $"{server.Name} does not say what became of {write}");
            if (report is null or { State: SubmissionState.Pending })
            {
                throw Violation.TooSlow("A6",
                    $"{server.Name} can't say what became of {write}, on a healed cluster: {report?.State.ToString() ?? "no quorum"}");
            }
        }
    }

    private void ReadAll()
    {
        foreach (SimulatedServer server in Voters())
        {
            foreach (ObjectName name in _workload.Names)
            {
                int before = _workload.Evidence.FailedGets;
                bool done = false;
                _workload.GetQuietly(name, server.Place, () => done = true);
                Await(() => done, AnswerBound, "A6", () => $"{server.Name} does not answer a get of {name}");
                if (_workload.Evidence.FailedGets > before)
                {
                    throw Violation.TooSlow("A6", $"{server.Name} can't tell what {name} is, on a healed cluster");
                }

                if (_workload.Evidence.Gets[^1].Outcome is ReadOutcome.Found { Manifest.Chunks.Length: > 0 } found)
                {
                    ReadContent(server, name, found.Manifest);
                }
            }
        }
    }

    // C6: what is read is whole, and what its manifest says.
    private void ReadContent(SimulatedServer server, ObjectName name, ObjectManifest manifest)
    {
        IEnumerable<ChunkReference> chunks = manifest.Form == ContentForm.ChunkedList
            ? manifest.Chunks.SelectMany(part => ReferencesIn(ReadChunk(server, name, part.Id)))
            : manifest.Chunks;
        using var content = new MemoryStream();
        foreach (ChunkReference chunk in chunks)
        {
            content.Write(ReadChunk(server, name, chunk.Id));
        }

        ContentChecker.Check(server.Name, name, manifest, content.ToArray());
    }

    // A damaged copy may cost a try or two.
    private byte[] ReadChunk(SimulatedServer server, ObjectName name, ChunkId chunk)
    {
        byte[]? bytes = null;
        bool asking = false;
        Await(
            () =>
            {
                if (bytes is null && !asking)
                {
                    asking = true;
                    server.Input((node, now) => node.FetchChunk(chunk, now, fetched =>
                    {
                        bytes = fetched;
                        asking = false;
                    }));
                }

                return bytes is not null;
            },
            AnswerBound,
            "A2",
            () => $"{server.Name} can't get chunk {chunk} of {name}, on a healed cluster; it is on {string.Join(", ", Voters().Where(s => s.Node!.HasChunk(chunk)).Select(s => s.Name))}");
        return bytes!;
    }

    private static List<ChunkReference> ReferencesIn(byte[] list)
    {
        var reader = new WireReader(list);
        var references = new List<ChunkReference>();
        while (reader.Remaining > 0)
        {
            references.Add(ChunkReference.Read(ref reader));
        }

        return references;
    }

    private void JudgeAnswers()
    {
        Evidence evidence = _workload.Evidence;
        VerdictChecker.Check(evidence, evidence.Submissions);
        _world.Servers.ForEach(_feed.Look);
        _feed.Check(evidence);
        FalsePositiveChecker.Check(evidence, []);
        ChangesetChecker.Check(evidence, []);
        UidOrderChecker.Check(evidence);
        if (_options.Faults.IsCalm)
        {
            _traffic.Check();
        }

        LinearizabilityVerdict verdict = new LinearizabilityChecker().Check(evidence.ToHistory());
        _hasNoVerdict = verdict.Result is LinearizabilityResult.TooFew or LinearizabilityResult.Undecided;
        if (verdict.Result == LinearizabilityResult.NotLinearizable)
        {
            throw Violation.Of("linearizability", verdict.Explain());
        }
    }

    private static ImmutableArray<ListedVersion> ListAll(SimulatedServer server, string bucket)
    {
        var all = ImmutableArray.CreateBuilder<ListedVersion>();
        var query = new ListQuery(bucket, Versions: true);
        while (true)
        {
            ListPage page = server.Node!.List(query);
            all.AddRange(page.Objects);
            if (page.Next.Length == 0)
            {
                return all.DrainToImmutable();
            }

            query = query with { After = page.Next };
        }
    }
}
