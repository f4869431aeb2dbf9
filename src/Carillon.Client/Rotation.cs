namespace Carillon.Client;

/// <summary>
/// The order in which one call goes through the servers: from the one that answered last, each at most once; those that are learned
/// meanwhile join it.
/// </summary>
internal sealed class Rotation(Transport transport)
{
    private readonly int _first = transport.Preferred;

    // Bit i: server i had its turn. CarillonClientOptions.MaxServers is the width.
    private ulong _visited;

    /// <summary>True if nobody is left to ask, as far as is known now.</summary>
    public bool IsOver => Next() < 0;

    /// <summary>The next server, or -1; before it gives up it waits for what is being learned at present.</summary>
    public async ValueTask<int> NextAsync(CancellationToken cancellation)
    {
        int server = Next();
        if (server < 0 && !cancellation.IsCancellationRequested)
        {
            await transport.WaitForLearningAsync();
            server = Next();
        }

        if (server >= 0)
        {
            _visited |= 1UL << server;
        }

        return server;
    }

    /// <summary>
    /// A server answered that it takes no part, or stops: others do, and it can still tell which they are.
    /// </summary>
    public void Answered(int server, Problem problem)
    {
        if (problem.Code is "not-voting" or "not-ready" or "stopping")
        {
            transport.Learn(server);
        }
    }

    private int Next()
    {
        int count = transport.ServerCount;
        for (int i = 0; i < count; i++)
        {
            int server = (_first + i) % count;
            if ((_visited & (1UL << server)) == 0)
            {
                return server;
            }
        }

        return -1;
    }
}
