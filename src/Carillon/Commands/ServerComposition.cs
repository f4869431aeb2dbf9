using System.Net;
using System.Security.Cryptography.X509Certificates;
using Carillon.CommandLine;
using Carillon.Gateway;
using Carillon.Node;
using Carillon.Node.Identity;
using Carillon.Options;
using Carillon.Protocols;
using Carillon.Protocols.Cluster;
using Carillon.Runtime.Security;
using Carillon.Runtime.Serving;
using Carillon.Storage;
using Carillon.Storage.Catalogs;
using Microsoft.Extensions.Logging;

namespace Carillon.Commands;

/// <summary>Puts a server together from its configuration, and runs it.</summary>
internal static class ServerComposition
{
    /// <summary>Runs until it is asked to stop, or can't go on.</summary>
    public static async Task<int> RunAsync(ServerOptions options, CommandContext context, CancellationToken stop)
    {
        using ILoggerFactory loggers = LoggerFactory.Create(logging => logging
            .SetMinimumLevel(LogLevel.Information)
            .AddFilter("Microsoft", LogLevel.Warning)
            .AddSimpleConsole(console =>
            {
                console.SingleLine = true;
                console.TimestampFormat = "yyyy-MM-ddTHH:mm:ss.fffZ ";
                console.UseUtcTimestamp = true;
            }));
        try
        {
            using Keyring keyring = Keyring.Load(options.Resolve(options.Files.Secrets));
            CheckIdentity(options, keyring);
            await using ServerHost host = await ServerHost.StartAsync(HostOptions(options, keyring), loggers);
            await using HttpGateway gateway = await HttpGateway.StartAsync(GatewayOptions(options), host.Server, loggers, stop);
            Task<string> failed = host.Failed;
            await Task.WhenAny(failed, Task.Delay(Timeout.Infinite, stop));
            if (failed.IsCompleted && !stop.IsCancellationRequested)
            {
                throw new ExitException(ExitCode.Failed, $"server {options.Name} stops: {await failed}");
            }

            await gateway.StopAsync(CancellationToken.None);
            await host.StopAsync();
            return ExitCode.Ok;
        }
        catch (Exception fault) when (fault is WrongDiskException or SecurityFileException or CatalogTooNewException or IOException or ArgumentException)
        {
            throw new ExitException(ExitCode.Failed, $"server {options.Name}: {fault.Message}");
        }
        catch (StorageException fault)
        {
            throw new ExitException(fault.Fault == StorageFault.Full ? ExitCode.Full : ExitCode.Failed, $"server {options.Name}: {fault.Message}");
        }
    }

    private static void CheckIdentity(ServerOptions options, Keyring keyring)
    {
        if (keyring.Name.Name != options.Name || keyring.Cluster != options.Cluster.Name)
        {
            throw new ExitException(
                ExitCode.Failed,
                $"server {options.Name}: the certificate in {options.Resolve(options.Files.Secrets)} is of server {keyring.Name} of cluster '{keyring.Cluster}', not of {options.Name} of '{options.Cluster.Name}'");
        }
    }

    private static ServerHostOptions HostOptions(ServerOptions options, Keyring keyring)
    {
        ClusterConfiguration configuration = options.Cluster.ToConfiguration();
        ServerRecord record = options.Record!;
        IPAddress listen = IPAddress.TryParse(record.Host, out IPAddress? address) ? address : record.Host == "localhost" ? IPAddress.Loopback : IPAddress.Any;
        var node = new NodeOptions
        {
            Membership = options.Membership,
            Exchange = options.Exchange,
            Log = options.Log,
            Chunks = options.Chunks,
            Catalog = options.Catalog,
        };
        return new ServerHostOptions(configuration, NodeId.Parse(options.Name), options.Resolve(options.Files.Data), keyring, listen, node, options.Loop);
    }

    private static GatewayOptions GatewayOptions(ServerOptions options)
    {
        ServerRecord record = options.Record!;
        return new GatewayOptions
        {
            Address = options.Http.Address,
            Port = record.HttpPort,
            Insecure = options.Http.Insecure,
            Certificate = options.Files.HttpCertificate.Length > 0
                ? X509Certificate2.CreateFromPemFile(options.Resolve(options.Files.HttpCertificate), options.Files.HttpKey.Length > 0 ? options.Resolve(options.Files.HttpKey) : null)
                : null,
        };
    }
}
