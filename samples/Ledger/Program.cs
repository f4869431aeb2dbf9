using Carillon.Client;
using Carillon.Client.Services;
using Ledger;

if (args.Length != 2)
{
    Console.Error.WriteLine("usage: ledger URL[,URL…] FOLDER    (FOLDER keeps this program's state; each program has its own)");
    return 2;
}

using var stop = new CancellationTokenSource();
Console.CancelKeyPress += (_, pressed) =>
{
    pressed.Cancel = true;
    stop.Cancel();
};
using var client = new CarillonClient(new CarillonClientOptions { Servers = [.. args[0].Split(',').Select(url => new Uri(url))] });
var options = new ServiceProgramOptions { Folder = args[1], Observer = Console.WriteLine };
await ServiceProgram.RunAsync(client, "ledger", new LedgerService(client, "ledger"), options, stop.Token);
return 0;
