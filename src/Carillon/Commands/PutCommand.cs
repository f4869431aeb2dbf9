using System.CommandLine;
using Carillon.Client;
using Carillon.Client.Folders;
using Carillon.CommandLine;
using Carillon.Protocols.Submissions;

namespace Carillon.Commands;

/// <summary><c>carillon put</c>: a file, standard input, or with -r a folder.</summary>
internal static class PutCommand
{
    private const long SmallBytes = 64 << 10;

    public static Command Create(CommandRunner runner)
    {
        var file = new Argument<string>("FILE") { Description = "The file to put, - for standard input, with -r a folder" };
        var target = new Argument<string>(
            "BUCKET/NAME") { Description = "Where to put it; with -r the prefix of all names, or only a bucket" };
        var recursive = new Option<bool>("--recursive", "-r") { Description = "Put a folder: modes, times and symbolic links are kept" };
        var write = new WriteOptions();
        var type = new Option<string?>("--content-type") { Description = "Media type to keep with it", HelpName = "TYPE" };
        Option<string> links = LinksOption();
        Option<int> parallel = FolderReport.ParallelOption();
        var command = new DocumentedCommand("put", "Put a file in, at any server")
        {
            Examples =
            [
                "carillon put site.tar files/releases/site.tar",
                "tar cz /etc | carillon put - files/etc.tar.gz",
                "carillon put -r ./public files/www --links skip",
                "carillon put a.txt files/a.txt --key order-4711 -o json",
                "carillon put leader.txt files/leader --if-none-match",
                "carillon put a.txt files/a.txt --if-match 1767225600000-0@s1 --ack sequenced",
                "carillon put result.csv files/result.csv --fence service=$CARILLON_SERVICE,epoch=$CARILLON_EPOCH",
            ],
        };
        command.Add(file);
        command.Add(target);
        write.AddTo(command);
        foreach (Option option in new Option[] { recursive, type, links, parallel })
        {
            command.Add(option);
        }

        runner.Run(command, context =>
        {
            ParseResult parse = context.Parse;
            string path = parse.GetRequiredValue(file);
            if (parse.GetValue(recursive))
            {
                Refuse(parse, "-r", write.IfMatch, write.IfNoneMatch, write.Key, type, write.Fence);
                var options = new FolderOptions
                {
                    Parallel = FolderReport.Parallel(parse.GetValue(parallel)),
                    Links = Enum.Parse<LinkMode>(parse.GetValue(links)!, ignoreCase: true),
                    Ack = parse.GetValue(write.Ack),
                };
                return PutFolderAsync(context, path, parse.GetRequiredValue(target), options);
            }

            Refuse(parse, "a single file", links, parallel);
            PutOptions put = write.Read(parse) with { ContentType = parse.GetValue(type) };
            return PutFileAsync(context, path, CommandContext.Target(parse.GetRequiredValue(target)), put);
        });
        return command;
    }

    private static Option<string> LinksOption()
    {
        var links = new Option<string>("--links")
        {
            Description = "With -r, symbolic links: keep, skip or follow",
            HelpName = "keep|skip|follow",
            DefaultValueFactory = _ => "keep",
        };
        return links.AcceptOnlyFromAmong("keep", "skip", "follow");
    }

    private static async Task<int> PutFileAsync(CommandContext context, string path, ObjectName target, PutOptions options)
    {
        if (path != "-" && !File.Exists(path))
        {
            throw new ExitException(ExitCode.Failed, Directory.Exists(path)
                ? $"{path} is a folder; put it with -r"
                : $"{path}: there is no such file");
        }

        options = options with { Key = options.Key ?? CarillonClient.NewKey() };
        using CarillonClient client = context.CreateClient();
        WriteResult<PutAnswer> result = await ProgressDisplay.ShowAsync(context, target.ToString(), async meter =>
        {
            await using StandardInput? input = path == "-" ? new StandardInput() : null;
            PutSource source = input is null ? OfFile(path) : PutSource.FromStream(input);
            return await client.PutAsync(target, source, options with { Observer = meter }, context.Cancellation);
        });
        return WriteReport.Put(context, result, target, options.Ack);
    }

    // A small file goes in one piece, by the library's shortest way. What may be a pipe has no length to go by.
    private static PutSource OfFile(string path) => new FileInfo(path).Length is > 0 and <= SmallBytes
        ? PutSource.FromBytes(File.ReadAllBytes(path))
        : PutSource.FromFile(path);

    private static async Task<int> PutFolderAsync(CommandContext context, string path, string target, FolderOptions options)
    {
        ObjectName prefix = CommandContext.Prefix(target);
        prefix = prefix with { Name = prefix.Name.TrimEnd('/') };
        if (!Directory.Exists(path))
        {
            throw new ExitException(
                ExitCode.Failed, File.Exists(path) ? $"{path} is no folder; put it without -r" : $"{path}: there is no such folder");
        }

        using CarillonClient client = context.CreateClient();
        // One answer about a bucket that is missing, and not one for each file.
        await client.BucketAsync(prefix.Bucket, context.Cancellation);
        FolderResult result = await ProgressDisplay.ShowAsync(
            context, $"put {target}", meter =>
                client.PutFolderAsync(path, prefix, options with { Observer = meter }, context.Cancellation));
        return FolderReport.Write(context, result);
    }

    private static void Refuse(ParseResult parse, string with, params Option[] options)
    {
        Option? given = options.FirstOrDefault(o => parse.GetResult(o) is { Implicit: false });
        if (given is not null)
        {
            throw new UsageException($"{given.Name} does not go with {with}");
        }
    }
}
