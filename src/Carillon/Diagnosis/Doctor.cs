using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Carillon.Benchmarks;
using Carillon.Client;
using Carillon.CommandLine;
using Carillon.Node.Identity;
using Carillon.Options;
using Carillon.Protocols.Cluster;
using Carillon.Runtime.Security;
using Carillon.Runtime.Storage;
using Carillon.Storage;

namespace Carillon.Diagnosis;

/// <summary>Looks at a machine as a server would need it, and with a configuration at that server's own files and ports.</summary>
internal static class Doctor
{
    // A segment log's reserve and spares, a chunk segment being compacted, and room to decide what is open.
    private const long LeastFreeBytes = 1L << 30;
    private const long WantedSocketBuffer = 4 << 20;
    private const long WantedFiles = 65_536;
    private const double SlowFlushMs = 20;
    private const int FlushSamples = 50;
    private static readonly TimeSpan DoubtfulClock = TimeSpan.FromSeconds(5);

    /// <summary>Looks at everything.</summary>
    public static async Task<List<Finding>> ExamineAsync(CommandContext context, string? file)
    {
        List<Finding> findings = [.. Machine()];
        string folder = ".";
        if (file is not null)
        {
            Configuration configuration = ConfigurationLoader.Load(file, ConfigurationLoader.ProcessEnvironment(), []);
            findings.AddRange(configuration.Faults.Select(f => new Finding(Grade.Bad, "configuration", f)));
            if (configuration.Faults.IsEmpty)
            {
                findings.Add(new Finding(
                    Grade.Good, "configuration", $"server {configuration.Options.Name} of cluster {configuration.Options.Cluster.Name}"));
                folder = configuration.Options.Resolve(configuration.Options.Files.Data);
                findings.AddRange(Secrets(configuration.Options));
                findings.AddRange(Ports(configuration.Options));
                findings.Add(Identity(configuration.Options, folder));
            }
        }

        findings.AddRange(Disk(folder));
        findings.Add(await ClockAsync(context));
        return findings;
    }

    private static IEnumerable<Finding> Machine()
    {
        if (ReadNumber("/proc/sys/net/core/rmem_max") is { } buffer)
        {
            string found = Quantities.Size(buffer);
            yield return buffer >= WantedSocketBuffer
                ? new Finding(Grade.Good, "net.core.rmem_max", found)
                : new Finding(Grade.Doubtful, "net.core.rmem_max", found,
                    $"bursts of datagrams may be lost; sysctl -w net.core.rmem_max={WantedSocketBuffer}");
        }

        if (OpenFiles() is { } files)
        {
            string found = files.ToString(CultureInfo.InvariantCulture);
            yield return files >= WantedFiles
                ? new Finding(Grade.Good, "open files", found)
                : new Finding(
                    Grade.Doubtful, "open files", found, $"many clients need more; ulimit -n {WantedFiles}, or LimitNOFILE in the unit");
        }
    }

    private static IEnumerable<Finding> Secrets(ServerOptions options)
    {
        string folder = options.Resolve(options.Files.Secrets);
        Finding finding;
        try
        {
            using Keyring keyring = Keyring.Load(folder);
            string? fault = keyring.Name.Name != options.Name ? $"the certificate is {keyring.Name}'s"
                : keyring.Cluster != options.Cluster.Name ? $"the certificate is for cluster {keyring.Cluster}" : null;
            finding = fault is null
                ? new Finding(Grade.Good, "secrets", $"{folder}: certificate and keys, readable by their owner only")
                : new Finding(Grade.Bad, "secrets", $"{folder}: {fault}", "copy this server's own folder here");
        }
        catch (Exception fault) when (fault is SecurityFileException or IOException or UnauthorizedAccessException)
        {
            finding = new Finding(
                Grade.Bad, "secrets", fault.Message, "copy the folder that cluster init made, and chmod 600 what is in it");
        }

        yield return finding;
        if (File.Exists(Path.Combine(folder, ClusterAuthority.KeyFile)))
        {
            yield return new Finding(
                Grade.Doubtful, "secrets", "the authority's key is here", "it is no server's business; keep it elsewhere");
        }
    }

    private static IEnumerable<Finding> Ports(ServerOptions options)
    {
        ServerRecord record = options.Record!;
        IPAddress peers = options.Listen.AddressOf(record);
        yield return Port("HTTP", options.Http.Address, options.Http.Port, SocketType.Stream, ProtocolType.Tcp);
        yield return Port("tunnel", peers, record.TunnelPort, SocketType.Stream, ProtocolType.Tcp);
        yield return Port("datagrams", peers, record.DatagramPort, SocketType.Dgram, ProtocolType.Udp);
    }

    private static Finding Port(string use, IPAddress address, int port, SocketType type, ProtocolType protocol)
    {
        string check = $"port {port} ({use})";
        using var socket = new Socket(address.AddressFamily, type, protocol);
        try
        {
            if (type == SocketType.Stream)
            {
                socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.ReuseAddress, true);
            }

            socket.Bind(new IPEndPoint(address, port));
            return new Finding(Grade.Good, check, "free");
        }
        catch (SocketException fault) when (fault.SocketErrorCode == SocketError.AddressAlreadyInUse)
        {
            return new Finding(Grade.Doubtful, check, "in use", "fine if it is this server, running");
        }
        catch (SocketException fault)
        {
            return new Finding(Grade.Bad, check, $"can't be listened on at {address}: {fault.Message}");
        }
    }

    private static IEnumerable<Finding> Disk(string folder)
    {
        string existing = Path.GetFullPath(folder);
        while (!Directory.Exists(existing))
        {
            existing = Path.GetDirectoryName(existing)!;
        }

        long free = new DriveInfo(existing).AvailableFreeSpace;
        yield return free >= LeastFreeBytes
            ? new Finding(Grade.Good, "free space", $"{Quantities.Size(free)} at {existing}")
            : new Finding(Grade.Bad, "free space", $"{Quantities.Size(free)} at {existing}",
                $"a server needs {Quantities.Size(LeastFreeBytes)} to work in");
        yield return Flushes(existing);
    }

    private static Finding Identity(ServerOptions options, string folder)
    {
        const string Check = "data directory";
        if (!Directory.Exists(folder))
        {
            return new Finding(Grade.Good, Check, $"{folder} is not there yet; the first start makes it");
        }

        try
        {
            if (DiskIdentity.Find(new FileDevice(folder), options.Cluster.Name, options.Record!.Name) is not { } identity)
            {
                return new Finding(Grade.Good, Check, $"{folder} was never started");
            }

            if (identity.Disk != options.Record.Disk)
            {
                string found = $"{folder} is disk {identity.Disk}, the configuration says {options.Record.Disk}";
                return new Finding(Grade.Bad, Check, found, "it does not vote so; use the configuration that it was started with");
            }

            return identity.IsRebuilding
                ? new Finding(Grade.Doubtful, Check, $"{folder}: its catalog is being rebuilt; it does not vote until then")
                : new Finding(Grade.Good, Check, $"{folder}: disk {identity.Disk}, started {identity.Incarnation} times");
        }
        catch (Exception fault) when (fault is WrongDiskException or StorageException or IOException or UnauthorizedAccessException)
        {
            return new Finding(Grade.Bad, Check, fault.Message);
        }
    }

    private static Finding Flushes(string folder)
    {
        string scratch = Path.Combine(folder, ".carillon-doctor-" + Environment.ProcessId.ToString(CultureInfo.InvariantCulture));
        try
        {
            (double median, double percentile) = MachineLimits.MeasureFlushes(scratch, FlushSamples);
            string found = string.Create(CultureInfo.InvariantCulture, $"p50 {median:0.###} ms, p99 {percentile:0.###} ms");
            return median <= SlowFlushMs
                ? new Finding(Grade.Good, "disk flush", found)
                : new Finding(Grade.Doubtful, "disk flush", found, "each put waits for several flushes in a row; use a faster disk");
        }
        catch (Exception fault) when (fault is IOException or UnauthorizedAccessException or StorageException)
        {
            return new Finding(Grade.Bad, "disk flush", fault.Message, "the data folder must be writable");
        }
        finally
        {
            if (Directory.Exists(scratch))
            {
                Directory.Delete(scratch, recursive: true);
            }
        }
    }

    // Against the servers, where one answers: what counts is that they agree, and membership refuses what is too far off.
    private static async Task<Finding> ClockAsync(CommandContext context)
    {
        try
        {
            CarillonClientOptions options = context.ClientOptions();
            using var client = new CarillonClient(
                options with { Timeout = TimeSpan.FromSeconds(2), AttemptTimeout = TimeSpan.FromSeconds(1) });
            ClusterStatus status = (await client.ClusterStatusAsync(context.Cancellation)).Value;
            double worst = status.Servers.Select(s => Math.Abs(s.ClockOffsetMs ?? 0)).DefaultIfEmpty(0).Max();
            string found = string.Create(
                CultureInfo.InvariantCulture, $"the servers' clocks are at most {worst:0.#} ms from the asked one's");
            return worst < DoubtfulClock.TotalMilliseconds
                ? new Finding(Grade.Good, "clock", found)
                : new Finding(Grade.Doubtful, "clock", found, "run an NTP client on every server; 30 s off is refused");
        }
        catch (CarillonException)
        {
            bool plausible = DateTimeOffset.UtcNow.Year >= 2024;
            return plausible
                ? new Finding(Grade.Good, "clock", string.Create(
                    CultureInfo.InvariantCulture, $"{DateTimeOffset.UtcNow:u}; no server answers to compare it with"))
                : new Finding(Grade.Bad, "clock", string.Create(CultureInfo.InvariantCulture, $"{DateTimeOffset.UtcNow:u}"), "set it");
        }
    }

    private static long? ReadNumber(string file) =>
        File.Exists(file) && long.TryParse(File.ReadAllText(file).Trim(), NumberStyles.None, CultureInfo.InvariantCulture, out long number)
            ? number
            : null;

    // "Max open files 1024 1048576 files": the soft limit, which .NET raises to the hard one by itself.
    private static long? OpenFiles()
    {
        const string Limits = "/proc/self/limits";
        if (!File.Exists(Limits))
        {
            return null;
        }

        string? line = File.ReadLines(Limits).FirstOrDefault(l => l.StartsWith("Max open files", StringComparison.Ordinal));
        string[] words = line?.Split(' ', StringSplitOptions.RemoveEmptyEntries) ?? [];
        return words.Length > 4 && long.TryParse(words[4], NumberStyles.None, CultureInfo.InvariantCulture, out long hard) ? hard : null;
    }
}
