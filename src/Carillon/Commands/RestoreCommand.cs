using System.CommandLine;
using Carillon.Backups;
using Carillon.Clusters;
using Carillon.CommandLine;
using Carillon.Protocols;

namespace Carillon.Commands;

/// <summary><c>carillon restore</c>: a new cluster with what a backup holds.</summary>
internal static class RestoreCommand
{
    public static Command Create(CommandRunner runner)
    {
        var source = new Argument<string>("DIR") { Description = "The backup" };
        var checkpoint = new Option<string?>("--checkpoint")
        {
            Description = "Which of its checkpoints [the newest]", HelpName = "TIME",
        };
        Option<string> folder = ClusterInitCommand.FolderOption();
        Option<string[]> servers = ClusterInitCommand.ServersOption();
        Option<string> name = ClusterInitCommand.NameOption();
        Option<bool> insecure = ClusterInitCommand.InsecureOption();
        var command = new DocumentedCommand(
            "restore", "Make a new cluster, as 'cluster init' does, whose servers' data directories hold what a backup holds")
        {
            Examples =
            [
                "carillon restore /backup/files --out ./cluster --server s1=10.0.0.1 --server s2=10.0.0.2 --server s3=10.0.0.3",
            ],
        };
        command.Add(source);
        foreach (Option option in new Option[] { checkpoint, folder, servers, name, insecure })
        {
            command.Add(option);
        }

        runner.Run(command, async context =>
        {
            ClusterPlan plan = ClusterPlan.Of(context.Parse.GetRequiredValue(name), context.Parse.GetRequiredValue(servers));
            BackupFolder backup = BackupFolder.Open(context.Parse.GetRequiredValue(source));
            string chosen = context.Parse.GetValue(checkpoint) ?? backup.Checkpoints.LastOrDefault()
                ?? throw new ExitException(ExitCode.NotFound, "the backup has no checkpoint: its first run did not come to an end");
            BackupContents contents = BackupContents.Read(backup, backup.Checkpoint(chosen));
            var restore = new ClusterRestore(backup, contents, plan);
            SortedDictionary<ChunkId, int> chunks = restore.FindChunks();
            string path = context.Parse.GetRequiredValue(folder);
            // What the feed says of the old cluster's servers is over: the new one's version is later than all of that.
            ulong version = contents.ConfigurationVersion > 1 ? contents.ConfigurationVersion + 1 : 1;
            // Where the old cluster still runs, each of its services' commands would run twice.
            ClusterFolder.Write(
                plan, path, context.Parse.GetValue(insecure), DateTimeOffset.UtcNow, version, runsCommands: contents.Services.IsEmpty);
            try
            {
                await ProgressDisplay.ShowAsync(context, path, meter => Task.Run(() =>
                {
                    restore.Fill(chunks, server => Path.Combine(path, server.Name, "data"), meter.Advanced, context.Cancellation);
                    return true;
                }));
            }
            catch
            {
                // Servers that hold a part of it must not be started.
                Directory.Delete(path, recursive: true);
                throw;
            }

            context.Say($"checkpoint {chosen}: {contents.Versions} versions, {chunks.Count} chunks");
            ClusterInitCommand.Report(context, plan, path);
            if (!contents.Services.IsEmpty)
            {
                context.Say(
                    $"services: {string.Join(' ', contents.Services)}; their commands do not run before services.commands is true in each "
                        + "server.json: see to it that those of the old cluster don't run any more");
            }

            return ExitCode.Ok;
        });
        return command;
    }
}
