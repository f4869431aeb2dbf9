using System.CommandLine;
using Carillon.Client;
using Carillon.Client.Folders;
using Carillon.CommandLine;
using Carillon.Protocols.Submissions;

namespace Carillon.Commands;

/// <summary><c>carillon get</c>: a file that resumes and moves between servers, or with -r a folder.</summary>
internal static class GetCommand
{
    public static Command Create(CommandRunner runner)
    {
        var source = new Argument<string>("BUCKET/NAME") { Description = "What to get; with -r a prefix, or only a bucket" };
        var folder = new Argument<string?>("DIR") { Description = "With -r: the folder to put it into", Arity = ArgumentArity.ZeroOrOne };
        var file = new Option<string?>("--file", "-f")
        {
            Description = "The file to write, - for standard output; else the name's last part",
            HelpName = "FILE|-",
        };
        var recursive = new Option<bool>("--recursive", "-r") { Description = "Get everything below a prefix" };
        Option<string?> version = VersionOptions.Version();
        Option<string> consistency = VersionOptions.Consistency();
        var links = new Option<string>("--links")
        {
            Description = "With -r, symbolic links: keep or skip",
            HelpName = "keep|skip",
            DefaultValueFactory = _ => "keep",
        };
        links.AcceptOnlyFromAmong("keep", "skip");
        Option<int> parallel = FolderReport.ParallelOption();
        var command = new DocumentedCommand("get", "Get a file from any server; a broken download goes on where it stopped")
        {
            Examples =
            [
                "carillon get files/releases/site.tar",
                "carillon get files/a.txt -f - | wc -c",
                "carillon get files/a.txt --version 1767225600000-0@s1 -f old.txt",
                "carillon get -r files/www ./public",
            ],
        };
        command.Add(source);
        command.Add(folder);
        foreach (Option option in new Option[] { file, recursive, version, consistency, links, parallel })
        {
            command.Add(option);
        }

        runner.Run(command, context =>
        {
            ParseResult parse = context.Parse;
            bool local = parse.GetValue(consistency) == "local";
            if (parse.GetValue(recursive))
            {
                string? into = parse.GetValue(folder);
                if (into is null || parse.GetValue(file) is not null || parse.GetValue(version) is not null)
                {
                    throw new UsageException("use: carillon get -r BUCKET/PREFIX DIR, without -f and --version");
                }

                var options = new FolderOptions
                {
                    Parallel = FolderReport.Parallel(parse.GetValue(parallel)),
                    Links = Enum.Parse<LinkMode>(parse.GetValue(links)!, ignoreCase: true),
                    Local = local,
                };
                return GetFolderAsync(context, parse.GetRequiredValue(source), into, options);
            }

            if (parse.GetValue(folder) is { } surplus)
            {
                throw new UsageException($"'{surplus}': name the file with -f FILE, or get a folder with -r");
            }

            var get = new GetOptions { Version = parse.GetValue(version), Local = local };
            return GetFileAsync(context, CommandContext.Target(parse.GetRequiredValue(source)), parse.GetValue(file), get);
        });
        return command;
    }

    private static async Task<int> GetFileAsync(CommandContext context, ObjectName source, string? file, GetOptions options)
    {
        file ??= source.Name[(source.Name.LastIndexOf('/') + 1)..];
        using CarillonClient client = context.CreateClient();
        if (file == "-")
        {
            await using Stream output = Console.OpenStandardOutput();
            await client.GetToStreamAsync(source, output, options, context.Cancellation);
            return ExitCode.Ok;
        }

        GetResult result = await ProgressDisplay.ShowAsync(
            context, source.ToString(), meter =>
                client.GetToFileAsync(source, file, options with { Observer = meter }, context.Cancellation));
        Write(context, result, file);
        return ExitCode.Ok;
    }

    private static async Task<int> GetFolderAsync(CommandContext context, string source, string folder, FolderOptions options)
    {
        ObjectName prefix = CommandContext.Prefix(source);
        prefix = prefix with { Name = prefix.Name.TrimEnd('/') };
        using CarillonClient client = context.CreateClient();
        FolderResult result = await ProgressDisplay.ShowAsync(
            context, $"get {source}", meter =>
                client.GetFolderAsync(prefix, folder, options with { Observer = meter }, context.Cancellation));
        if (prefix.Name.Length > 0 && result is { Files: 0, Links: 0, Directories: 0, Skipped.Length: 0, Failed.Length: 0 })
        {
            throw new ExitException(ExitCode.NotFound, $"there is nothing under {prefix}/");
        }

        return FolderReport.Write(context, result);
    }

    private static void Write(CommandContext context, GetResult result, string file)
    {
        switch (context.Format)
        {
            case OutputFormat.Name:
                context.Out.WriteLine(file);
                break;
            case OutputFormat.Table:
                string migrations = result.Migrations > 0
                    ? $", {result.Migrations} migrations, longest stall {Quantities.Duration(result.LongestStall)}"
                    : "";
                string resumed = result.Resumed > 0 ? $", {Quantities.Size(result.Resumed)} were there" : "";
                string bytes = $"{Quantities.Size(result.Bytes)} in {Quantities.Duration(result.Elapsed)}";
                context.Say($"{file}: {bytes}{resumed}{migrations}, version {result.Uid}");
                break;
            default:
                context.WriteJson(writer =>
                {
                    writer.WriteStartObject();
                    writer.WriteString("file", file);
                    writer.WriteString("uid", result.Uid);
                    writer.WriteString("sha256", result.Sha256);
                    writer.WriteNumber("bytes", result.Bytes);
                    writer.WriteNumber("resumed", result.Resumed);
                    writer.WriteNumber("seconds", Math.Round(result.Elapsed.TotalSeconds, 3));
                    writer.WriteNumber("migrations", result.Migrations);
                    writer.WriteNumber("longestStallMs", Math.Round(result.LongestStall.TotalMilliseconds, 1));
                    writer.WriteStartArray("servers");
                    foreach (Uri server in result.Servers)
                    {
                        writer.WriteStringValue(server.GetLeftPart(UriPartial.Authority));
                    }

                    writer.WriteEndArray();
                    writer.WriteEndObject();
                });
                break;
        }
    }
}
