using Carillon.Protocols;
using Carillon.Protocols.Primacy;
using Carillon.Simulator.Checkers;
using Carillon.Simulator.World;

namespace Carillon.Simulator.Workloads;

/// <summary>
/// What must come true of services on a healed cluster (E5): each has one primary whom all know, somebody keeps the table, and where
/// nothing else fails a primary whose server dies is replaced within the time that the protocol's page gives.
/// </summary>
internal sealed class ServiceJudge(SimulatedWorld world, ServiceWorkload services, SeedOptions options)
{
    // Far above what a good run takes, so that a miss means "never".
    private static readonly TimeSpan Bound = TimeSpan.FromSeconds(90);
    private static readonly TimeSpan Step = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan FineStep = TimeSpan.FromMilliseconds(5);

    // Quiet times of voters, the longest lease, and the providers that get ready are over by then.
    private static readonly TimeSpan Settling = TimeSpan.FromSeconds(4);

    private static readonly TimeSpan SelectionTime = TimeSpan.FromMilliseconds(200);

    /// <summary>Judges all of it.</summary>
    /// <param name="voters">Who takes part in agreement.</param>
    /// <param name="isSound">True if no fault may have damaged any disk.</param>
    public void Judge(Func<IReadOnlyList<SimulatedServer>> voters, bool isSound)
    {
        Await(() => services.FaultOf(voters()) is null, "E5", () => services.FaultOf(voters())!);
        JudgeManager();
        if (isSound && world.Servers.Count >= 3 && voters().Count == world.Servers.Count)
        {
            JudgeFailover(voters);
        }
    }

    private void JudgeManager()
    {
        bool isAsking = false;
        ServiceAnswer last = default;
        bool isDone = false;
        Await(
            () =>
            {
                if (!isAsking)
                {
                    isAsking = true;
                    services.AskForNothing(answer =>
                    {
                        isAsking = false;
                        last = answer;
                        isDone |= answer.Result == ServiceResult.Done;
                    });
                }

                return isDone;
            },
            "RMM-45",
            () => $"no replica manager answers: {last}");
    }

    private void JudgeFailover(Func<IReadOnlyList<SimulatedServer>> voters)
    {
        world.RunFor(Settling);
        if (services.FaultOf(voters()) is not null)
        {
            // It moves at this moment, as the table wants it.
            return;
        }

        Acting former = world.Primacy.Primaries(ServiceWorkload.Job).Single();
        SimulatedServer server = world.Servers.Find(s => s.Name == former.Node)!;
        server.Stop(options.Seed % 2 == 0 ? CrashStyle.LoseAll : null);
        Instant died = world.Queue.Now;
        TimeSpan bound = FailoverBound();
        bool isReplaced = world.RunUntil(
            () => world.Primacy.Primaries(ServiceWorkload.Job).Any(a => a.Epoch > former.Epoch), bound + FineStep, FineStep);
        CheckFailover(former, isReplaced ? world.Queue.Now - died : null, bound);
        server.Start();
    }

    /// <summary>The rule itself.</summary>
    /// <param name="former">Who died.</param>
    /// <param name="took">After how long another acted; null if none did within the bound.</param>
    /// <param name="bound">How long it may take.</param>
    public static void CheckFailover(Acting former, TimeSpan? took, TimeSpan bound)
    {
        if (took is null || took > bound + FineStep)
        {
            throw Violation.TooSlow("E5", $"{former} is dead for {bound.TotalSeconds:F3} s, and nobody acts in its place");
        }
    }

    // heartbeat.timeout + lease + 200 ms, and what the simulated network and disks take by themselves: a round trip for each provider
    // that is called and for the bid, and a flush at the voters and at the candidate, each of which may wait for one that is under way.
    private TimeSpan FailoverBound()
    {
        TimeSpan roundTrip = 2 * (world.Network.Conditions.Latency + world.Network.Conditions.Jitter);
        TimeSpan flush = options.World.DiskSpeed.Flush + options.World.DiskSpeed.FlushJitter;
        return options.Node.Membership.HeartbeatTimeout + options.LeaseDuration + SelectionTime
            + (roundTrip * (world.Servers.Count + 1)) + (4 * flush);
    }

    private void Await(Func<bool> isTrue, string rule, Func<string> otherwise)
    {
        if (!world.RunUntil(isTrue, Bound, Step))
        {
            throw Violation.TooSlow(rule, otherwise());
        }
    }
}
