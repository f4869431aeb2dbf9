using System.Reflection;
using System.Runtime.Loader;
using Carillon.Client;
using Carillon.Client.Services;
using Carillon.Options;
using Microsoft.Extensions.Logging;

namespace Carillon.Hosting;

/// <summary>
/// Services of a user's own that live in the server's process: classes of one assembly, each with a session with this very server, so that
/// they are held to their leases as a program of its own is. One that does not stop in time ends the server.
/// </summary>
internal sealed partial class HostedServices : IAsyncDisposable
{
    private readonly CancellationTokenSource _stop = new();
    private readonly List<CarillonClient> _clients = [];
    private readonly List<Task> _programs = [];
    private int _stopped;

    private HostedServices()
    {
    }

    /// <summary>Starts all that the assembly has; nothing where none is named.</summary>
    /// <exception cref="IOException">The assembly can't be read, or a class of it can't be made.</exception>
    public static HostedServices Start(ServerOptions options, Uri server, ILoggerFactory loggers)
    {
        var services = new HostedServices();
        if (options.Files.Services.Length == 0)
        {
            return services;
        }

        ILogger logger = loggers.CreateLogger("Carillon.Services");
        string token = options.Files.ServicesToken.Length > 0 ? File.ReadAllText(options.Resolve(options.Files.ServicesToken)).Trim() : "";
        foreach ((string name, Type type) in Find(Load(options.Resolve(options.Files.Services))))
        {
            var client = new CarillonClient(new CarillonClientOptions { Servers = [server], Token = token.Length > 0 ? token : null });
            services._clients.Add(client);
            var program = new ServiceProgramOptions
            {
                Folder = Path.Combine(options.Resolve(options.Files.Data), "services", name, "hosted"),
                FirstServerOnly = true,
                Observer = line => Said(logger, line),
            };
            services._programs.Add(ServiceProgram.RunAsync(client, name, Make(type, client), program, services._stop.Token));
        }

        return services;
    }

    /// <summary>Gives all roles up in good order.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _stopped, 1) != 0)
        {
            return;
        }

        await _stop.CancelAsync();
        await Task.WhenAll(_programs);
        _clients.ForEach(client => client.Dispose());
        _stop.Dispose();
    }

    /// <summary>The classes that are services, and their names.</summary>
    internal static IReadOnlyList<(string Name, Type Type)> Find(Assembly assembly)
    {
        var found = new List<(string Name, Type Type)>();
        foreach (Type type in assembly.GetExportedTypes().Where(type => type is { IsClass: true, IsAbstract: false }))
        {
            if (type.GetCustomAttribute<HostedServiceAttribute>() is { } named && type.IsAssignableTo(typeof(IHighlyAvailableService)))
            {
                found.Add((named.Name, type));
            }
        }

        return found;
    }

    // Into the program's own context: the interface that the class implements must be the one that is known here.
    private static Assembly Load(string path)
    {
        var resolver = new AssemblyDependencyResolver(path);
        AssemblyLoadContext.Default.Resolving += (context, wanted) =>
            resolver.ResolveAssemblyToPath(wanted) is { } found ? context.LoadFromAssemblyPath(found) : null;
        try
        {
            return AssemblyLoadContext.Default.LoadFromAssemblyPath(path);
        }
        catch (BadImageFormatException fault)
        {
            throw new IOException($"{path} is no .NET assembly: {fault.Message}", fault);
        }
    }

    private static IHighlyAvailableService Make(Type type, CarillonClient client)
    {
        try
        {
            object? service = type.GetConstructor([typeof(CarillonClient)]) is { } withClient
                ? withClient.Invoke([client]) : Activator.CreateInstance(type);
            return (IHighlyAvailableService)service!;
        }
        catch (Exception fault) when (fault is TargetInvocationException or MissingMethodException)
        {
            throw new IOException($"{type.FullName} can't be made: {(fault.InnerException ?? fault).Message}", fault);
        }
    }

    [LoggerMessage(1, LogLevel.Information, "{Line}")]
    private static partial void Said(ILogger logger, string line);
}
