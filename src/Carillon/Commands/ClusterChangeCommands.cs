using System.CommandLine;
using System.Security.Cryptography;
using System.Text.Json;
using Carillon.Client;
using Carillon.Clusters;
using Carillon.CommandLine;
using Carillon.Gateway.Json;
using Carillon.Options;
using Carillon.Protocols;
using Carillon.Protocols.Cluster;

namespace Carillon.Commands;

/// <summary><c>carillon cluster add|remove|replace|set</c>: one server of a running cluster at a time.</summary>
internal static class ClusterChangeCommands
{
    /// <summary>Adds them to their parent.</summary>
    public static void AddTo(Command parent, CommandRunner runner)
    {
        parent.Add(Add(runner));
        parent.Add(Remove(runner));
        parent.Add(Replace(runner));
        parent.Add(Set(runner));
    }

    private static DocumentedCommand Add(CommandRunner runner)
    {
        var server = new Argument<string>("SERVER") { Description = "NAME=HOST[:PORT], as in 'cluster init'" };
        Option<string> authority = Authority();
        var command = new DocumentedCommand("add", "Let a server join the running cluster, and write its folder")
        {
            Examples = ["carillon cluster add s4=10.0.0.4 --authority ./cluster"],
        };
        command.Add(server);
        command.Add(authority);
        runner.Run(command, async context =>
        {
            string root = context.Parse.GetRequiredValue(authority);
            ServerFolder.Check(root);
            ServerRecord record = ClusterPlan.Parse(context.Parse.GetRequiredValue(server));
            ClusterConfiguration made = await ChangeAsync(context, new ClusterChange(ClusterChangeKind.Add, record));
            TellFolder(context, made, record, root);
            return ExitCode.Ok;
        });
        return command;
    }

    private static DocumentedCommand Replace(CommandRunner runner)
    {
        Argument<string> name = Name();
        var at = new Option<string?>("--at") { Description = "It is on another machine now [where it was]", HelpName = "HOST[:PORT]" };
        Option<string> authority = Authority();
        var command = new DocumentedCommand(
            "replace", "Let a new, empty disk take the place of a server's that is lost or damaged, and write its configuration")
        {
            Examples = ["carillon cluster replace s1 --authority ./cluster", "carillon cluster replace s1 --at 10.0.0.9 --authority ./cluster"],
        };
        command.Add(name);
        command.Add(at);
        command.Add(authority);
        runner.Run(command, async context =>
        {
            string root = context.Parse.GetRequiredValue(authority);
            ServerFolder.Check(root);
            ServerRecord old = await FindAsync(context, name);
            var disk = new DiskId(new UInt128(BitConverter.ToUInt64(RandomNumberGenerator.GetBytes(8)), BitConverter.ToUInt64(
                RandomNumberGenerator.GetBytes(8))));
            ServerRecord record = context.Parse.GetValue(at) is { } place
                ? ClusterPlan.Parse($"{old.Name}={place}") with
                {
                    Disk = disk, Entry = old.Entry, Storage = old.Storage, FailureDomain = old.FailureDomain, Weight = old.Weight,
                }
                : old with { Disk = disk };
            ClusterConfiguration made = await ChangeAsync(context, new ClusterChange(ClusterChangeKind.Replace, record));
            TellFolder(context, made, record, root);
            return ExitCode.Ok;
        });
        return command;
    }

    private static DocumentedCommand Remove(CommandRunner runner)
    {
        Argument<string> name = Name();
        var command = new DocumentedCommand("remove", "Take a server out of the running cluster for good; it takes part in nothing any more, and stops by itself")
        {
            Examples = ["carillon cluster remove s4"],
        };
        command.Add(name);
        runner.Run(command, async context =>
        {
            ServerRecord old = await FindAsync(context, name);
            ClusterConfiguration made = await ChangeAsync(context, new ClusterChange(ClusterChangeKind.Remove, old));
            Tell(context, made, $"{old.Name} is not in the cluster any more");
            return ExitCode.Ok;
        });
        return command;
    }

    private static DocumentedCommand Set(CommandRunner runner)
    {
        Argument<string> name = Name();
        var domain = new Option<string?>("--domain") { Description = "Its failure domain", HelpName = "NAME" };
        var weight = new Option<int?>("--weight") { Description = "Its share of the chunks [100]", HelpName = "N" };
        var command = new DocumentedCommand("set", "Change a server's failure domain or weight; chunks move accordingly")
        {
            Examples = ["carillon cluster set s2 --domain rack-2 --weight 200"],
        };
        command.Add(name);
        command.Add(domain);
        command.Add(weight);
        runner.Run(command, async context =>
        {
            if (context.Parse.GetValue(domain) is null && context.Parse.GetValue(weight) is null)
            {
                throw new UsageException("give at least one of --domain and --weight");
            }

            ServerRecord old = await FindAsync(context, name);
            int share = context.Parse.GetValue(weight) ?? old.Weight;
            if (share is < 1 or > ServerRecord.MaxWeight)
            {
                throw new UsageException($"--weight {share}: use 1 to {ServerRecord.MaxWeight}");
            }

            ServerRecord record = old with { FailureDomain = context.Parse.GetValue(domain) ?? old.FailureDomain, Weight = share };
            ClusterConfiguration made = await ChangeAsync(context, new ClusterChange(ClusterChangeKind.Set, record));
            Tell(context, made, $"{record.Name} has failure domain '{record.FailureDomain}' and weight {record.Weight}");
            return ExitCode.Ok;
        });
        return command;
    }

    private static Argument<string> Name() => new("NAME") { Description = "The server" };

    private static Option<string> Authority() => new("--authority")
    {
        Description = "The folder that 'cluster init' wrote: the authority's key, and a folder per server", HelpName = "DIR",
        Required = true,
    };

    private static async Task<ServerRecord> FindAsync(CommandContext context, Argument<string> argument)
    {
        string name = context.Parse.GetRequiredValue(argument);
        using CarillonClient client = context.CreateClient();
        ClusterConfiguration present = Read(await client.ClusterConfigurationAsync(context.Cancellation));
        return present.Servers.FirstOrDefault(s => s.Name.Name == name)
            ?? throw new ExitException(ExitCode.NotFound, $"there is no server '{Shown.Text(name)}' in the cluster");
    }

    private static async Task<ClusterConfiguration> ChangeAsync(CommandContext context, ClusterChange change)
    {
        using CarillonClient client = context.CreateClient();
        try
        {
            return Read(await client.ChangeClusterAsync(Write(change), context.Cancellation));
        }
        catch (CarillonException fault) when (fault.Problem is not { Status: 400 or 401 or 403 })
        {
            // It may have been made all the same: the configuration tells.
            ClusterConfiguration present = Read(await client.ClusterConfigurationAsync(context.Cancellation));
            ServerRecord? found = present.Find(change.Server!.Name);
            bool isMade = change.Kind == ClusterChangeKind.Remove ? found is null : found == change.Server;
            if (!isMade)
            {
                throw;
            }

            return present;
        }
    }

    private static void TellFolder(CommandContext context, ClusterConfiguration made, ServerRecord record, string root)
    {
        string folder = ServerFolder.Write(root, made, record.Name, DateTimeOffset.UtcNow);
        Tell(
            context, made,
            $"{record.Name}: copy {folder} to {record.Host}, then: carillon server --config {ClusterFolder.ConfigurationFile}");
    }

    private static void Tell(CommandContext context, ClusterConfiguration made, string line)
    {
        if (context.IsJson)
        {
            context.WriteJson(writer =>
            {
                writer.WriteStartObject();
                writer.WriteNumber("version", made.Version);
                writer.WriteStartArray("servers");
                foreach (ServerRecord server in made.Servers)
                {
                    ServerJson.Write(writer, server);
                }

                writer.WriteEndArray();
                writer.WriteEndObject();
            });
            return;
        }

        context.Out.WriteLine(
            context.Format == OutputFormat.Name ? made.Version.ToString(System.Globalization.CultureInfo.InvariantCulture) : line);
        context.Say($"version {made.Version} of the configuration is in force");
    }

    private static byte[] Write(ClusterChange change)
    {
        var bytes = new System.Buffers.ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(bytes))
        {
            writer.WriteStartObject();
            writer.WriteString("kind", change.Kind switch
            {
                ClusterChangeKind.Add => "add",
                ClusterChangeKind.Remove => "remove",
                ClusterChangeKind.Replace => "replace",
                _ => "set",
            });
            writer.WritePropertyName("server");
            ServerJson.Write(writer, change.Server!);
            writer.WriteEndObject();
        }

        return bytes.WrittenSpan.ToArray();
    }

    private static ClusterConfiguration Read(byte[] json)
    {
        using var document = JsonDocument.Parse(json);
        JsonElement root = document.RootElement;
        var faults = new List<string>();
        ServerRecord[] servers =
        [
            .. root.GetProperty("servers").EnumerateArray()
                .Select(s => ServerRecordJson.Read(s, "servers", faults)!),
        ];
        if (faults.Count > 0)
        {
            throw new ExitException(ExitCode.Failed, $"the server's answer is not what this release understands: {faults[0]}");
        }

        return new ClusterConfiguration(
            root.GetProperty("cluster").GetString()!, root.GetProperty("version").GetUInt64(), [.. servers],
            root.GetProperty("quorum").GetInt32())
        {
            LeaseDuration = TimeSpan.FromMilliseconds(root.GetProperty("leaseMs").GetInt64()),
        };
    }
}
