using Carillon.Protocols;
using Carillon.Simulator.World;

namespace Carillon.Simulator.Workloads;

/// <summary>How one request of a client ended.</summary>
internal enum AnswerEnd
{
    /// <summary>With an answer.</summary>
    Answered,

    /// <summary>The server could not be reached: it has seen nothing.</summary>
    NeverSent,

    /// <summary>Nobody knows: no answer in time, or the connection broke.</summary>
    Lost,
}

/// <summary>A client's way to the servers: requests and answers take their time, and connections break.</summary>
internal sealed class Connection(SimulatedWorld world, RandomSource random, WorkloadOptions options)
{
    private static readonly TimeSpan LatencyMost = TimeSpan.FromMilliseconds(2);

    /// <summary>True from healing on: nothing is lost any more.</summary>
    public bool Healed { get; set; }

    /// <summary>
    /// Asks one server. <paramref name="request"/> is run at the server and calls back there; <paramref name="done"/> is called once, at
    /// the client.
    /// </summary>
    public void Ask<T>(
        SimulatedServer server, TimeSpan timeout, Action<INodeUnderTest, Moment, Action<T>> request, Action<AnswerEnd, T?> done)
    {
        bool closed = false;
        bool answered = false;
        void Finish(AnswerEnd end, T? value)
        {
            if (!closed)
            {
                closed = true;
                done(end, value);
            }
        }

        void Lost() => world.Queue.After(random.Below(LatencyMost), () => Finish(AnswerEnd.Lost, default));

        bool losesRequest = Loses();
        bool losesAnswer = Loses();
        world.Queue.After(random.Below(LatencyMost), () =>
        {
            if (closed)
            {
                return;
            }

            if (server.State == ServerState.Down)
            {
                world.Queue.After(random.Below(LatencyMost), () => Finish(AnswerEnd.NeverSent, default));
                return;
            }

            if (losesRequest)
            {
                Lost();
                return;
            }

            server.Call(
                (node, now) => request(node, now, value =>
                {
                    Once(ref answered, server);
                    server.Close(Lost);
                    if (losesAnswer)
                    {
                        Lost();
                        return;
                    }

                    world.Queue.After(random.Below(LatencyMost), () => Finish(AnswerEnd.Answered, value));
                }),
                Lost);
        });
        world.Queue.After(timeout, () => Finish(AnswerEnd.Lost, default));
    }

    private static void Once(ref bool answered, SimulatedServer server)
    {
        if (answered)
        {
            throw new SimulationFailedException(FailureKind.Safety, "one answer", $"{server.Name} answered one request twice");
        }

        answered = true;
    }

    private bool Loses() => !Healed && random.Chance(options.LostRequests);
}
