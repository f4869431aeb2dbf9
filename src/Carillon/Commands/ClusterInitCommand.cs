using System.CommandLine;
using Carillon.Clusters;
using Carillon.CommandLine;
using Carillon.Protocols.Cluster;

namespace Carillon.Commands;

/// <summary><c>carillon cluster init</c>: the authority, and a folder per server.</summary>
internal static class ClusterInitCommand
{
    public static Command Create(CommandRunner runner)
    {
        Option<string> folder = FolderOption();
        Option<string[]> servers = ServersOption();
        Option<string> name = NameOption();
        Option<bool> insecure = InsecureOption();
        var command = new DocumentedCommand(
            "init", "Make a cluster's authority, and per server a folder with its configuration, certificate and keys")
        {
            Examples =
            [
                "carillon cluster init --out ./cluster --server s1=10.0.0.1 --server s2=10.0.0.2 --server s3=10.0.0.3",
                "scp -r ./cluster/s1 10.0.0.1:/etc/carillon && ssh 10.0.0.1 carillon server --config /etc/carillon/server.json",
                "carillon cluster status --server https://10.0.0.1:7410 --ca-file ./cluster/authority.pem --token-file ./cluster/admin.token",
            ],
        };
        command.Add(folder);
        command.Add(servers);
        command.Add(name);
        command.Add(insecure);
        runner.Run(command, context =>
        {
            ClusterPlan plan = ClusterPlan.Of(context.Parse.GetRequiredValue(name), context.Parse.GetRequiredValue(servers));
            string path = context.Parse.GetRequiredValue(folder);
            ClusterFolder.Write(plan, path, context.Parse.GetValue(insecure), DateTimeOffset.UtcNow);
            Report(context, plan, path);
            return Task.FromResult(ExitCode.Ok);
        });
        return command;
    }

    /// <summary>Where the new cluster's folders go.</summary>
    public static Option<string> FolderOption() => new("--out")
    {
        Description = "The folder to write to; empty or not there", HelpName = "DIR", Required = true,
    };

    /// <summary>The new cluster's servers.</summary>
    public static Option<string[]> ServersOption() => new("--server")
    {
        Description = "One server; PORT is HTTP's (7410), tunnel PORT+1 and datagrams PORT+2 "
            + "unless ,tunnel=PORT and ,datagrams=PORT say otherwise; ,domain=NAME is its failure domain",
        HelpName = "NAME=HOST[:PORT]",
        Required = true,
        Arity = ArgumentArity.OneOrMore,
        AllowMultipleArgumentsPerToken = false,
    };

    /// <summary>The new cluster's name.</summary>
    public static Option<string> NameOption() => new("--name")
    {
        Description = "The cluster's name", HelpName = "N", DefaultValueFactory = _ => "carillon",
    };

    /// <summary>Whether HTTP beyond loopback goes without TLS.</summary>
    public static Option<bool> InsecureOption() => new("--http-insecure")
    {
        Description = "Servers beyond loopback speak HTTP without TLS: tokens and content can be read on the way",
    };

    /// <summary>Tells where everything is.</summary>
    public static void Report(CommandContext context, ClusterPlan plan, string folder)
    {
        if (context.IsJson)
        {
            context.WriteJson(writer =>
            {
                writer.WriteStartObject();
                writer.WriteString("cluster", plan.Name);
                writer.WriteStartArray("servers");
                foreach (ServerRecord server in plan.Servers)
                {
                    writer.WriteStartObject();
                    writer.WriteString("name", server.Name.Name);
                    writer.WriteString("disk", server.Disk.ToString());
                    writer.WriteString("config", Path.Combine(folder, server.Name.Name, ClusterFolder.ConfigurationFile));
                    writer.WriteEndObject();
                }

                writer.WriteEndArray();
                writer.WriteString("token", Path.Combine(folder, ClusterFolder.TokenFile));
                writer.WriteEndObject();
            });
            return;
        }

        foreach (ServerRecord server in plan.Servers)
        {
            string path = Path.Combine(folder, server.Name.Name);
            context.Out.WriteLine(context.Format == OutputFormat.Name
                ? path
                : $"{server.Name}: copy {path} to {server.Host}, then: carillon server --config {ClusterFolder.ConfigurationFile}");
        }

        context.Say($"keep {Path.Combine(folder, "authority.key")} in a safe place; it is no server's business");
        bool isSecured = plan.Servers.Any(s => File.Exists(Path.Combine(folder, s.Name.Name, ClusterFolder.HttpCertificateFile)));
        context.Say($"clients give --token-file {Path.Combine(folder, ClusterFolder.TokenFile)}"
            + (isSecured ? $" and --ca-file {Path.Combine(folder, "authority.pem")}" : ""));
    }
}
