using System.Collections.Immutable;
using Carillon.Protocols;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.VectorExchange;
using Carillon.Simulator.World;
using Carillon.Storage.Catalogs;

namespace Carillon.Simulator.Workloads;

/// <summary>One client: does one thing after the other, until the workload has had its operations.</summary>
internal sealed class SimulatedClient(SimulatedWorld world, Workload workload, string name, RandomSource random)
{
    private static readonly TimeSpan TimeoutOfReads = TimeSpan.FromSeconds(5);

    private const double TurnShare = 0.05;

    /// <summary>True while something is under way.</summary>
    public bool Busy { get; private set; }

    /// <summary>Begins.</summary>
    public void Start() => Think();

    private WorkloadOptions Options => workload.Options;

    private void Think() => world.Queue.After(random.Below(Options.ThinkMost), Act);

    private void Act()
    {
        if (!workload.TakeTurn())
        {
            return;
        }

        Busy = true;
        if (Options.Answers == AgreedAnswers.Turned && random.Chance(TurnShare))
        {
            TurnAnswers();
            return;
        }

        ActionMix mix = Options.Mix;
        int pick = random.Below(mix.Total);
        if ((pick -= mix.Put) < 0)
        {
            Write([workload.Contents.Put(workload.AnyName(random), random)]);
        }
        else if ((pick -= mix.Delete) < 0)
        {
            Write([new PlannedOperation(OperationKind.Delete, workload.AnyName(random), null, default, [])]);
        }
        else if ((pick -= mix.Changeset) < 0)
        {
            Write(workload.Contents.Changeset(workload, random));
        }
        else if ((pick -= mix.Get) < 0)
        {
            Get(workload.AnyName(random), world.Queue.Now, random.Below(world.Servers.Count), Options.Attempts, Rest);
        }
        else if ((pick -= mix.List) < 0)
        {
            List();
        }
        else if (pick - mix.Show < 0)
        {
            Show();
        }
        else
        {
            UseBucket();
        }
    }

    private void Rest()
    {
        Busy = false;
        Think();
    }

    // Of a changeset's names some depend on what was seen of them.
    private ImmutableArray<PlannedOperation> WithConditions(ImmutableArray<PlannedOperation> operations)
    {
        if (!random.Chance(Options.ConditionalShare))
        {
            return operations;
        }

        return
        [
            .. operations.Select(operation =>
            {
                if (operations.Length > 1 && random.Chance(0.6))
                {
                    return operation;
                }

                (Uid uid, string? value) = random.Chance(0.1) ? default : workload.Evidence.LastSeen(operation.Target);
                return operation with
                {
                    Precondition = value is null ? Precondition.Absent : Precondition.Match(uid), Expected = value,
                };
            }),
        ];
    }

    private void Write(ImmutableArray<PlannedOperation> operations)
    {
        operations = WithConditions(operations);
        WriteRecord record = workload.NewWrite(name, operations);
        workload.Write(record, random, Rest);
        if (random.Chance(Options.RepeatShare))
        {
            // The user runs the same command again while the first one is still at it.
            workload.Repeat(record, random);
        }
    }

    /// <summary>Reads a name linearizably, from one server after another until one can tell.</summary>
    public void Get(ObjectName target, Instant invoked, int place, int attempts, Action done)
    {
        SimulatedServer server = world.Servers[place % world.Servers.Count];
        workload.Connection.Ask<ReadOutcome>(
            server,
            TimeoutOfReads,
            (node, now, answer) => node.Read(target, now, answer),
            (end, outcome) =>
            {
                if (outcome is ReadOutcome.Found or ReadOutcome.Absent)
                {
                    workload.Evidence.AddGet(name, new SeenVersion(server.Name, target, invoked, world.Queue.Now, outcome));
                    done();
                }
                else if (attempts <= 1)
                {
                    workload.Evidence.FailedGets++;
                    done();
                }
                else
                {
                    Get(target, invoked, place + 1, attempts - 1, done);
                }
            });
    }

    private void List()
    {
        SimulatedServer server = world.Servers[random.Below(world.Servers.Count)];
        workload.Connection.Ask<ListPage>(
            server,
            TimeoutOfReads,
            (node, now, answer) => node.CatchUp(
                now, () => answer(node.List(new ListQuery(Workload.Bucket, Versions: random.Chance(0.3))))),
            (_, page) =>
            {
                if (page is not null)
                {
                    workload.Evidence.Pages.Add(new SeenPage(server.Name, world.Queue.Now, page));
                }

                Rest();
            });
    }

    private void Show()
    {
        List<WriteRecord> writes = workload.Evidence.Writes;
        SimulatedServer server = world.Servers[random.Below(world.Servers.Count)];
        if (writes.Count == 0 || random.Chance(0.1))
        {
            // The key of a write that is still to come: it is fenced, unless the write is quicker.
            Show(server, workload.NextKey());
            return;
        }

        IReadOnlyList<Tag> tags = workload.Evidence.Submissions.Tags;
        if (tags.Count == 0 || random.Chance(0.5))
        {
            Show(server, writes[Math.Max(0, writes.Count - 1 - random.Below(20))].Key);
            return;
        }

        Tag tag = tags[Math.Max(0, tags.Count - 1 - random.Below(20))];
        workload.Connection.Ask<SubmissionReport>(
            server,
            TimeoutOfReads,
            (node, now, answer) => node.Show(tag, now, report =>
            {
                workload.Evidence.Show(server, tag, report);
                answer(report);
            }),
            (_, _) => Rest());
    }

    private void Show(SimulatedServer server, string key) => workload.Connection.Ask<SubmissionReport?>(
        server,
        TimeoutOfReads,
        (node, now, answer) => node.Show(key, now, report =>
        {
            if (report is not null)
            {
                workload.Evidence.Show(server, key, report);
            }

            answer(report);
        }),
        (_, _) => Rest());

    /// <summary>Whether writes into the common bucket may be answered at their agreement is another thing from now on, or the
    /// same.</summary>
    private void TurnAnswers()
    {
        SimulatedServer server = world.Servers[random.Below(world.Servers.Count)];
        BucketSettings settings = Workload.SettingsOf(allowsAgreed: random.Chance(0.4));
        string key = workload.NewKey();
        workload.Connection.Ask<SubmitOutcome>(
            server, Options.RequestTimeout,
            (node, now, answer) => node.CreateBucket(Workload.Bucket, settings, key, now, answer, replace: true), (_, _) => Rest());
    }

    private void UseBucket()
    {
        SimulatedServer server = world.Servers[random.Below(world.Servers.Count)];
        string bucket = Workload.RacedBucket;
        string key = workload.NewKey();
        if (random.Chance(0.4))
        {
            Write([workload.Contents.Put(new ObjectName(bucket, FormattableString.Invariant($"raced-{random.Below(2)}")), random)]);
            return;
        }

        if (random.Chance(0.3))
        {
            Write([new PlannedOperation(
                OperationKind.Delete, new ObjectName(bucket, FormattableString.Invariant($"raced-{random.Below(2)}")), null, default, [])]);
            return;
        }

        bool creates = random.Chance(0.5);
        var settings = new BucketSettings { Versions = 10 + random.Below(2) };
        workload.Connection.Ask<SubmitOutcome>(
            server,
            Options.RequestTimeout,
            (node, now, answer) =>
            {
                if (creates)
                {
                    node.CreateBucket(bucket, settings, key, now, answer);
                }
                else
                {
                    node.RemoveBucket(bucket, key, now, answer);
                }
            },
            (_, _) => Rest());
    }
}
