using System.CommandLine;
using System.Text.Json;
using Carillon.Backups;
using Carillon.Client;
using Carillon.CommandLine;

namespace Carillon.Commands;

/// <summary><c>carillon backup</c>: a copy of all that a running cluster has accepted.</summary>
internal static class BackupCommand
{
    public static Command Create(CommandRunner runner)
    {
        var folder = new Argument<string>("DIR") { Description = "The backup; a folder that is empty or not there, or an earlier backup" };
        var keep = new Option<int?>("--keep")
        {
            Description = "Checkpoints that stay in it; older ones go, and what only they need [all stay]", HelpName = "N",
        };
        var verify = new Option<bool>("--verify")
        {
            Description = "Read what is there again, and fetch anew what is damaged; takes as long as a first backup",
        };
        var command = new DocumentedCommand("backup", "Copy all that the cluster has accepted, as of one moment; only what is new is fetched")
        {
            Examples = ["carillon backup /backup/files", "carillon backup /backup/files --keep 7 -o json"],
        };
        command.Add(folder);
        command.Add(keep);
        command.Add(verify);
        runner.Run(command, async context =>
        {
            int kept = context.Parse.GetValue(keep) ?? int.MaxValue;
            if (kept < 1)
            {
                throw new UsageException($"--keep {kept}: at least the one that is made stays");
            }

            string path = context.Parse.GetRequiredValue(folder);
            if (path.Length == 0)
            {
                throw new UsageException("DIR is empty; give a folder");
            }

            using CarillonClient client = context.CreateClient();
            ClusterStatus status = (await client.ClusterStatusAsync(context.Cancellation)).Value;
            var backup = BackupFolder.OpenOrMake(path, status.Cluster);
            var run = new BackupRun(client, backup, context.Parse.GetValue(verify));
            BackupReport report = await ProgressDisplay.ShowAsync(
                context, path, meter => run.RunAsync(kept, meter.Advanced, context.Cancellation));
            Tell(context, report);
            return report.Damaged.IsEmpty
                ? ExitCode.Ok
                : throw new ExitException(
                    ExitCode.Integrity,
                    $"the new checkpoint is good; of {string.Join(", ", report.Damaged)} something is missing or damaged, so nothing was "
                        + $"removed: give such a checkpoint up by removing its list ({backup.ListPath(report.Damaged[0])})");
        });
        return command;
    }

    private static void Tell(CommandContext context, BackupReport report)
    {
        if (context.IsJson)
        {
            context.WriteJson(writer => Write(writer, report));
            return;
        }

        context.Out.WriteLine(context.Format == OutputFormat.Name
            ? report.Name
            : $"checkpoint {report.Name}: {report.Versions} versions, {report.Chunks} chunks; {report.Fetched} blocks and chunks "
                + $"({Quantities.Size(report.FetchedBytes)}) were new, {report.Removed} are not needed any more");
    }

    private static void Write(Utf8JsonWriter writer, BackupReport report)
    {
        writer.WriteStartObject();
        writer.WriteString("checkpoint", report.Name);
        writer.WriteNumber("sequence", report.Checkpoint.Number.Value);
        writer.WriteString("digest", report.Checkpoint.Digest.ToString());
        writer.WriteNumber("versions", report.Versions);
        writer.WriteNumber("chunks", report.Chunks);
        writer.WriteNumber("fetched", report.Fetched);
        writer.WriteNumber("fetchedBytes", report.FetchedBytes);
        writer.WriteNumber("removed", report.Removed);
        writer.WriteStartArray("damaged");
        foreach (string name in report.Damaged)
        {
            writer.WriteStringValue(name);
        }

        writer.WriteEndArray();
        writer.WriteEndObject();
    }
}
