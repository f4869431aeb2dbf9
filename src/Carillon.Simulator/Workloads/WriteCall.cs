using System.Collections.Immutable;
using Carillon.Protocols;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.VectorExchange;
using Carillon.Simulator.World;

namespace Carillon.Simulator.Workloads;

/// <summary>
/// One write as the client library does it: servers are tried in turn under one key, and their answers folded as "What rejected means"
/// says: rejected only if every attempt that left was answered so, or one answer fenced the key; one that was lost makes it unknown for
/// good, unless another says accepted. An unknown one may be asked about afterwards.
/// </summary>
internal sealed class WriteCall(
    SimulatedWorld world, Connection connection, RandomSource random, WorkloadOptions options, Evidence evidence, WriteRecord record,
        int place, Action done)
{
    private const int MaxQuestions = 12;

    private int _attempts;
    private int _place = place;
    private int _questions;
    private bool _lost;

    /// <summary>Begins.</summary>
    public void Start() => TryNext();

    private void TryNext()
    {
        if (_attempts == options.Attempts)
        {
            Settle(_lost ? LibraryVerdict.Unknown : LibraryVerdict.Rejected);
            return;
        }

        _attempts++;
        SimulatedServer server = world.Servers[_place++ % world.Servers.Count];
        var attempt = new AttemptRecord(server.Name);
        if (record.Operations.Any(operation => operation.Chunks.Length > 0))
        {
            Upload(server, attempt);
        }
        else
        {
            Submit(server, attempt, default, []);
        }
    }

    private void Upload(SimulatedServer server, AttemptRecord attempt)
    {
        PlannedOperation chunked = record.Operations.Single(operation => operation.Chunks.Length > 0);
        connection.Ask<StoredContent>(
            server,
            options.RequestTimeout,
            (node, now, answer) => node.StoreContent(chunked.Target.Bucket, chunked.Chunks, now, answer),
            (end, stored) =>
            {
                if (end == AnswerEnd.Answered && stored.Refusal is null)
                {
                    world.Queue.After(random.Below(options.UploadRestMost), () =>
                    {
                        evidence.Rested?.Invoke(server, stored);
                        Submit(server, attempt, stored.Upload, stored.Chunks);
                    });
                    return;
                }

                // Nothing was submitted, so nothing is lost.
                Rest();
            });
    }

    private void Submit(SimulatedServer server, AttemptRecord attempt, Tag upload, ImmutableArray<ChunkReference> chunks)
    {
        record.Attempts.Add(attempt);
        ImmutableArray<Operation> operations = [.. record.Operations.Select(operation => ToOperation(operation, chunks))];
        connection.Ask<SubmitOutcome>(
            server,
            options.RequestTimeout,
            (node, now, answer) => node.Submit(operations, record.Key, upload, now, outcome =>
            {
                attempt.Answer = outcome;
                evidence.Answered?.Invoke(server, record, outcome);
                answer(outcome);
            }, record.Ack),
            (end, outcome) =>
            {
                attempt.Heard = end;
                Take(end, outcome);
            });
    }

    private static Operation ToOperation(PlannedOperation planned, ImmutableArray<ChunkReference> chunks)
    {
        if (planned.Kind == OperationKind.Delete)
        {
            return new Operation(OperationKind.Delete, planned.Target, null) { Precondition = planned.Precondition };
        }

        bool isChunked = planned.Chunks.Length > 0;
        return new Operation(OperationKind.Put, planned.Target, new ObjectManifest
        {
            Size = planned.Content.Length, Sha256 = Digest.Of(planned.Content.Span),
            VersionsKept = Workload.VersionsKept,
            Form = !isChunked ? ContentForm.Inline : planned.Lists > 0 ? ContentForm.ChunkedList : ContentForm.Chunks,
            Inline = isChunked ? default : planned.Content,
            Chunks = !isChunked ? [] : planned.Lists > 0 ? chunks[^planned.Lists..] : chunks,
        })
        {
            Precondition = planned.Precondition,
        };
    }

    private void Take(AnswerEnd end, SubmitOutcome? outcome)
    {
        if (record.Returned is not null)
        {
            return;
        }

        switch (end, outcome)
        {
            case (AnswerEnd.Answered, SubmitOutcome.Accepted accepted):
                record.Tag = accepted.Tag;
                Settle(LibraryVerdict.Accepted);
                break;
            case (AnswerEnd.Answered, SubmitOutcome.Refused refused):
                // The key has that outcome for good, whatever became of other attempts.
                record.Refusal = refused.Sequenced;
                Settle(LibraryVerdict.Refused);
                break;
            case (AnswerEnd.Answered, SubmitOutcome.Rejected { Reason: RejectionReason.KeyFenced }):
                Settle(LibraryVerdict.Rejected);
                break;
            case (AnswerEnd.Answered, SubmitOutcome.Rejected
            {
                Reason: RejectionReason.BucketNotFound or RejectionReason.BucketExists or RejectionReason.BucketNotEmpty
            }):
                Settle(_lost ? LibraryVerdict.Unknown : LibraryVerdict.Rejected);
                break;
            case (AnswerEnd.Answered, SubmitOutcome.Rejected { Reason: RejectionReason.KeyMismatch } mismatch):
                throw new SimulationFailedException(
                    FailureKind.Safety, "A5",
                        $"{record} was answered 'key mismatch' ({mismatch.Detail}), but the key was never used for anything else");
            case (AnswerEnd.Answered, SubmitOutcome.Rejected) or (AnswerEnd.NeverSent, _):
                Rest();
                break;
            default:
                _lost = true;
                Rest();
                break;
        }
    }

    private void Rest() => world.Queue.After(TimeSpan.FromMilliseconds(10) + random.Below(TimeSpan.FromMilliseconds(200)), TryNext);

    private void Settle(LibraryVerdict verdict)
    {
        if (verdict == LibraryVerdict.Unknown && _questions < MaxQuestions && (_questions > 0 || random.Chance(0.7)))
        {
            _questions++;
            world.Queue.After(random.Below(TimeSpan.FromSeconds(1)), AskAbout);
            return;
        }

        record.Verdict = verdict;
        record.Returned = world.Queue.Now;
        done();
    }

    private void AskAbout()
    {
        SimulatedServer server = world.Servers[random.Below(world.Servers.Count)];
        connection.Ask<SubmissionReport?>(
            server,
            options.RequestTimeout,
            (node, now, answer) => node.Show(record.Key, now, report =>
            {
                if (report is not null)
                {
                    evidence.Show(server, record.Key, report);
                }

                answer(report);
            }),
            (end, report) =>
            {
                switch (report?.State)
                {
                    case SubmissionState.Accepted:
                        record.Tag = report.Id;
                        Settle(LibraryVerdict.Accepted);
                        break;
                    case SubmissionState.Rejected when report.Sequenced.Verdict == FeedVerdict.Refused:
                        record.Refusal = report.Sequenced;
                        Settle(LibraryVerdict.Refused);
                        break;
                    case SubmissionState.Rejected:
                        Settle(LibraryVerdict.Rejected);
                        break;
                    default:
                        Settle(LibraryVerdict.Unknown);
                        break;
                }
            });
    }
}
