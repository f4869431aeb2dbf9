using System.Runtime.InteropServices;
using Carillon.Client;
using Carillon.Client.Services;
using Ledger;

if (args.Length != 2)
{
    Console.Error.WriteLine("usage: ledger URL[,URL…] FOLDER    (FOLDER keeps this program's state; each program has its own)");
    return 2;
}

using var stop = new CancellationTokenSource();
using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
using PosixSignalRegistration terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
using var client = new CarillonClient(new CarillonClientOptions { Servers = [.. args[0].Split(',').Select(url => new Uri(url))] });
var options = new ServiceProgramOptions { Folder = args[1], Observer = Console.WriteLine };
try
{
    await ServiceProgram.RunAsync(client, LedgerService.Name, new LedgerService(client), options, stop.Token);
    return 0;
}
catch (CarillonException fault)
{
    Console.Error.WriteLine($"ledger: {fault.Message}");
    return 1;
}

// The role is given up in good order, and the other program goes on at once.
void Stop(PosixSignalContext signal)
{
    signal.Cancel = true;
    stop.Cancel();
}
