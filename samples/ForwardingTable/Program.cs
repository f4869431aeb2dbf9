using System.Net;
using System.Runtime.InteropServices;
using Carillon.Client;
using Carillon.Client.Groups;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Submissions;
using ForwardingTable;

if (args.Length is not (2 or 3) || !GroupName.TryParse(args[1], out GroupName group))
{
    Console.Error.WriteLine("usage: forwarding-table URL[,URL…] GROUP [BUCKET/PREFIX]    (the last is where checkpoints are kept)");
    return 2;
}

using var stop = new CancellationTokenSource();
using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
using var client = new CarillonClient(new CarillonClientOptions { Servers = [.. args[0].Split(',').Select(url => new Uri(url))] });
string[] place = args.Length == 3 ? args[2].Split('/', 2) : [];
var options = new TableOptions<IPNetwork, Route>
{
    Checkpoints = place is [var bucket, var prefix] ? new ObjectName(bucket, prefix) : null,
    CheckpointEvery = 100,
    KeyCodec = new NetworkCodec(),
    ValueCodec = new RouteCodec(),
    Changed = change => Console.WriteLine($"  [{change.Number}] {change.Key} {(change.Removed ? "is gone" : $"to {change.Value!.NextHop}")}"),
    Observer = Console.Error.WriteLine,
};
try
{
    await using ReplicatedTable<IPNetwork, Route> table =
        await ReplicatedTable<IPNetwork, Route>.OpenAsync(client, group, options, stop.Token);
    var controller = new Controller(table);
    while (!stop.IsCancellationRequested && await Console.In.ReadLineAsync(stop.Token) is { } line)
    {
        if (!await controller.RunAsync(line, stop.Token))
        {
            break;
        }
    }

    return 0;
}
catch (OperationCanceledException) when (stop.IsCancellationRequested)
{
    return 0;
}
catch (CarillonException fault)
{
    Console.Error.WriteLine($"forwarding-table: {fault.Message}");
    return 1;
}

void Stop(PosixSignalContext signal)
{
    signal.Cancel = true;
    stop.Cancel();
}
