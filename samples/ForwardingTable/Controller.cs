using System.Net;
using Carillon.Client;
using Carillon.Client.Groups;
using Carillon.Protocols.AtomicMulticast;

namespace ForwardingTable;

/// <summary>
/// One controller: it has the whole table here, looks routes up in it without asking anybody, and changes it by a message that all
/// controllers apply in the same place of the same order.
/// </summary>
internal sealed class Controller(ReplicatedTable<IPNetwork, Route> table)
{
    /// <summary>Runs one line of input; false to end.</summary>
    public async Task<bool> RunAsync(string line, CancellationToken cancellation)
    {
        string[] words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        try
        {
            switch (words)
            {
                case []:
                    return true;
                case ["quit"]:
                    return false;
                case ["set", var network, var hop, var way]:
                    Tell("is set", await table.SetAsync(IPNetwork.Parse(network), new Route(IPAddress.Parse(hop), way), cancellation));
                    return true;
                case ["remove", var network]:
                    Tell("is removed", await table.RemoveAsync(IPNetwork.Parse(network), cancellation));
                    return true;
                case ["route", var address]:
                    Console.WriteLine(Find(IPAddress.Parse(address)) is var (found, route)
                        ? $"{address} goes by {found} to {route.NextHop} over {route.Interface}" : $"{address} goes nowhere");
                    return true;
                case ["show"]:
                    Show();
                    return true;
                default:
                    Console.WriteLine("set NETWORK HOP INTERFACE | remove NETWORK | route ADDRESS | show | quit");
                    return true;
            }
        }
        catch (FormatException fault)
        {
            Console.WriteLine(fault.Message);
        }
        catch (CarillonException fault)
        {
            Console.WriteLine($"not done: {fault.Message}");
        }

        return true;
    }

    /// <summary>The longest prefix that matches.</summary>
    public (IPNetwork Network, Route Route)? Find(IPAddress address)
    {
        (IPNetwork Network, Route Route)? best = null;
        foreach ((IPNetwork network, Route route) in table.Snapshot().Entries)
        {
            if (network.Contains(address) && (best is null || network.PrefixLength > best.Value.Network.PrefixLength))
            {
                best = (network, route);
            }
        }

        return best;
    }

    private void Show()
    {
        (SequenceNumber number, KeyValuePair<IPNetwork, Route>[] entries) = table.Snapshot();
        foreach ((IPNetwork network, Route route) in entries.OrderBy(e => e.Key.ToString(), StringComparer.Ordinal))
        {
            Console.WriteLine($"{network}  {route.NextHop}  {route.Interface}");
        }

        Console.WriteLine($"{entries.Length} routes, as of message {number}");
    }

    private static void Tell(string what, SequenceNumber number) => Console.WriteLine($"{what}, as message {number}, here and soon everywhere");
}
