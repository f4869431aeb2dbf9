using System.Collections;
using System.Collections.Immutable;
using Carillon.Protocols;
using Carillon.Protocols.Primacy;

namespace Carillon.Runtime.Services;

/// <summary>A command's surroundings: whether its program exists, and the environment that it gets.</summary>
internal static class CommandPrograms
{
    /// <summary>What is the server's own, and would mislead a command.</summary>
    private static readonly string[] Withheld = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "DOTNET_EnableDiagnostics"];

    /// <summary>True if the program could be started from this folder, as execvp(3) looks for it.</summary>
    public static bool Exists(string program, string folder)
    {
        if (program.Contains('/'))
        {
            return IsExecutable(Path.Combine(folder, program));
        }

        string[] places = (Environment.GetEnvironmentVariable("PATH") ?? "/usr/bin:/bin").Split(':', StringSplitOptions.RemoveEmptyEntries);
        return places.Any(place => IsExecutable(Path.Combine(place, program)));
    }

    /// <summary>The environment of a run: the server's, without what is for the server, and what the run is told.</summary>
    public static ImmutableArray<string> EnvironmentOf(
        ServiceName service, NodeId node, ServiceRole role, Epoch epoch, string serverAddress)
    {
        var variables = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach (DictionaryEntry each in Environment.GetEnvironmentVariables())
        {
            var name = (string)each.Key;
            if (!name.StartsWith("CARILLON__", StringComparison.Ordinal) && !Withheld.Contains(name))
            {
                variables[name] = (string?)each.Value ?? "";
            }
        }

        if (serverAddress.Length > 0)
        {
            variables.TryAdd("CARILLON_SERVER", serverAddress);
        }

        variables["CARILLON_SERVICE"] = service.Name;
        variables["CARILLON_NODE"] = node.Name;
        variables["CARILLON_ROLE"] = role == ServiceRole.Primary ? "primary" : "secondary";
        variables.Remove("CARILLON_EPOCH");
        if (role == ServiceRole.Primary)
        {
            variables["CARILLON_EPOCH"] = epoch.ToString();
        }

        return [.. variables.Select(each => $"{each.Key}={each.Value}")];
    }

    private static bool IsExecutable(string path)
    {
        const UnixFileMode Any = UnixFileMode.UserExecute | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute;
        return File.Exists(path) && !OperatingSystem.IsWindows() && (File.GetUnixFileMode(path) & Any) != UnixFileMode.None;
    }
}
