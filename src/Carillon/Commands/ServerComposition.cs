using System.Globalization;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Carillon.CommandLine;
using Carillon.Gateway;
using Carillon.Hosting;
using Carillon.Node.Identity;
using Carillon.Options;
using Carillon.Protocols;
using Carillon.Runtime;
using Carillon.Runtime.Guarding;
using Carillon.Runtime.Security;
using Carillon.Runtime.Services;
using Carillon.Runtime.Serving;
using Carillon.Storage;
using Carillon.Storage.Catalogs;
using Microsoft.Extensions.Logging;

namespace Carillon.Commands;

/// <summary>Puts a server together from its configuration, and runs it.</summary>
internal static class ServerComposition
{
    private static readonly TimeSpan LastAnswers = TimeSpan.FromSeconds(1);

    /// <summary>Runs until it is asked to stop, or can't go on.</summary>
    public static async Task<int> RunAsync(ServerOptions options, CommandContext context, CancellationToken stop)
    {
        using ILoggerFactory loggers = CreateLoggers(options.Logging);
        try
        {
            using Keyring keyring = LoadKeyring(options);
            await using ServerHost host = await ServerHost.StartAsync(HostOptions(options, keyring), loggers);
            await using HttpGateway gateway = await HttpGateway.StartAsync(
                GatewayOptionsOf(options), host.Server, loggers, host.Services, host.Groups, stop);
            return await RunAsync(options, host, gateway, loggers, stop);
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            // Asked to stop while it started.
            return ExitCode.Ok;
        }
        catch (Exception fault) when (CodeOf(fault) is { } code)
        {
            throw new ExitException(code, $"server {options.Name}: {fault.Message}");
        }
    }

    /// <summary>Reads what a start would read, but for the data: certificates, keys and tokens.</summary>
    /// <exception cref="ExitException">Something is missing or wrong.</exception>
    public static void Check(ServerOptions options)
    {
        try
        {
            using Keyring keyring = LoadKeyring(options);
            using X509Certificate2? certificate = GatewayOptionsOf(options).Certificate;
        }
        catch (Exception fault) when (CodeOf(fault) is { } code)
        {
            throw new ExitException(code, $"server {options.Name}: {fault.Message}");
        }
    }

    private static async Task<int> RunAsync(
        ServerOptions options, ServerHost host, HttpGateway gateway, ILoggerFactory loggers, CancellationToken stop)
    {
        using var manager = ServiceManager.FromEnvironment();
        manager.Ready($"server {options.Name} of cluster {options.Cluster.Name}, HTTP at {gateway.Address}");
        Task<string> failed = host.Failed;
        await using HostedServices hosted = HostedServices.Start(options, new Uri(AddressOf(options)), loggers);
        await WaitAsync(manager, host, failed, stop);
        if (failed.IsCompleted && !stop.IsCancellationRequested)
        {
            string why = await failed;

            // What is in progress can't come to its end here, but for the answers that are on their way.
            using var soon = new CancellationTokenSource(LastAnswers);
            await gateway.StopAsync(soon.Token);
            throw new ExitException(host.IsExcluded ? ExitCode.Conflict : ExitCode.Failed, $"server {options.Name} stops: {why}");
        }

        manager.Stopping();
        await hosted.DisposeAsync();
        await gateway.StopAsync(CancellationToken.None);
        await host.StopAsync();
        return ExitCode.Ok;
    }

    // Until it fails or is asked to stop; and while its event loop turns, whoever watches is told so.
    private static async Task WaitAsync(ServiceManager manager, ServerHost host, Task failed, CancellationToken stop)
    {
        using var end = CancellationTokenSource.CreateLinkedTokenSource(stop);
        Task watching = manager.WatchAsync(host.TurnAsync, end.Token);
        await Task.WhenAny(failed, Task.Delay(Timeout.InfiniteTimeSpan, stop));
        await end.CancelAsync();
        // It ends by that, or has ended because the loop did: which is what "failed" tells.
        await Task.WhenAny(watching);
    }

    private static ILoggerFactory CreateLoggers(LoggingOptions options) => LoggerFactory.Create(logging => logging
        .SetMinimumLevel(options.Level)
        .AddFilter("Microsoft", LogLevel.Warning)
        // What keeps a listener from starting is told once, as the reason for which the server ends.
        .AddFilter("Microsoft.Extensions.Hosting", LogLevel.None)
        .AddSimpleConsole(console =>
        {
            console.SingleLine = true;
            console.TimestampFormat = "yyyy-MM-ddTHH:mm:ss.fffZ ";
            console.UseUtcTimestamp = true;
        }));

    private static Keyring LoadKeyring(ServerOptions options)
    {
        string folder = options.Resolve(options.Files.Secrets);
        Keyring keyring = Keyring.Load(folder);
        if (keyring.Name.Name == options.Name && keyring.Cluster == options.Cluster.Name)
        {
            return keyring;
        }

        string found = $"server {keyring.Name} of cluster '{keyring.Cluster}'";
        keyring.Dispose();
        string wanted = $"{options.Name} of '{options.Cluster.Name}'";
        throw new ExitException(ExitCode.Failed, $"server {options.Name}: the certificate in {folder} is of {found}, not of {wanted}");
    }

    private static ServerHostOptions HostOptions(ServerOptions options, Keyring keyring) => new(
        options.Cluster.ToConfiguration(),
        NodeId.Parse(options.Name),
        options.Resolve(options.Files.Data),
        keyring,
        options.Listen.AddressOf(options.Record!),
        options.Node,
        options.Loop,
        ServicesOf(options));

    private static ServiceOptions ServicesOf(ServerOptions options)
    {
        (string program, IReadOnlyList<string> before) = ThisProgram.Find();
        return options.Services with
        {
            Guard = options.Services.Commands ? new GuardLauncher(program, before) : null,
            ServerAddress = options.Services.ServerAddress.Length > 0
                ? options.Services.ServerAddress : AddressOf(options),
        };
    }

    private static string AddressOf(ServerOptions options) => string.Create(
        CultureInfo.InvariantCulture,
        $"{(options.Files.HttpCertificate.Length > 0 ? "https" : "http")}://{options.Record!.Host}:{options.Record.HttpPort}");

    private static GatewayOptions GatewayOptionsOf(ServerOptions options)
    {
        GatewayOptions gateway = options.Http with
        {
            Certificate = options.Files.HttpCertificate.Length > 0
                ? X509Certificate2.CreateFromPemFile(options.Resolve(options.Files.HttpCertificate), options.Resolve(options.Files.HttpKey))
                : null,
        };
        if (gateway.RequiresToken)
        {
            gateway = gateway with { Tokens = BearerTokens.Load(options.Resolve(options.Files.Secrets)) };
        }

        return gateway.Validate() is { IsEmpty: false } faults
            ? throw new ExitException(ExitCode.Usage, $"server {options.Name}: {string.Join("; ", faults)}")
            : gateway;
    }

    // What a machine or its files can do to a server; null for a fault of the program.
    private static int? CodeOf(Exception fault) => fault switch
    {
        StorageException { Fault: StorageFault.Full } => ExitCode.Full,
        WrongDiskException or SecurityFileException or CatalogTooNewException or StorageException => ExitCode.Failed,
        IOException or UnauthorizedAccessException or CryptographicException => ExitCode.Failed,
        _ => null,
    };
}
