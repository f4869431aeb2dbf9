using System.CommandLine;
using System.Globalization;
using Carillon.Client;
using Carillon.CommandLine;
using Carillon.Protocols.Submissions;

namespace Carillon.Commands;

/// <summary><c>carillon stat</c>: what is known about a version without its bytes.</summary>
internal static class StatCommand
{
    public static Command Create(CommandRunner runner)
    {
        var target = new Argument<string>("BUCKET/NAME") { Description = "What to look at" };
        Option<string?> version = VersionOptions.Version();
        Option<string> consistency = VersionOptions.Consistency();
        var command = new DocumentedCommand("stat", "Show a version's UID, size, hash, time and metadata")
        {
            Examples = ["carillon stat files/a.txt", "carillon stat files/a.txt -o json"],
        };
        command.Add(target);
        command.Add(version);
        command.Add(consistency);
        runner.Run(command, async context =>
        {
            ObjectName name = CommandContext.Target(context.Parse.GetRequiredValue(target));
            using CarillonClient client = context.CreateClient();
            ObjectStat stat = await client.StatAsync(
                name, context.Parse.GetValue(version), context.Parse.GetValue(consistency) == "local", context.Cancellation);
            Write(context, name, stat);
            return ExitCode.Ok;
        });
        return command;
    }

    private static void Write(CommandContext context, ObjectName name, ObjectStat stat)
    {
        string? modified = stat.Modified?.ToUniversalTime().ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture);
        if (context.Format == OutputFormat.Name)
        {
            context.Out.WriteLine(name.ToString());
            return;
        }

        if (context.IsJson)
        {
            context.WriteJson(writer =>
            {
                writer.WriteStartObject();
                writer.WriteString("bucket", name.Bucket);
                writer.WriteString("name", name.Name);
                writer.WriteString("uid", stat.Uid);
                WriteReport.WriteSequence(writer, stat.Sequence);
                writer.WriteNumber("size", stat.Size);
                writer.WriteString("sha256", stat.Sha256);
                writer.WriteString("modified", modified);
                writer.WriteString("contentType", stat.ContentType);
                writer.WriteStartObject("metadata");
                foreach ((string key, string value) in stat.Metadata)
                {
                    writer.WriteString(key, value);
                }

                writer.WriteEndObject();
                writer.WriteEndObject();
            });
            return;
        }

        context.Out.WriteLine($"name      {name}");
        context.Out.WriteLine($"uid       {stat.Uid}");
        context.Out.WriteLine($"sequence  {stat.Sequence?.ToString(CultureInfo.InvariantCulture) ?? "-"}");
        context.Out.WriteLine($"size      {stat.Size} ({Quantities.Size(stat.Size)})");
        context.Out.WriteLine($"sha256    {stat.Sha256}");
        context.Out.WriteLine($"modified  {modified ?? "-"}");
        context.Out.WriteLine($"type      {(stat.ContentType.Length > 0 ? stat.ContentType : "-")}");
        foreach ((string key, string value) in stat.Metadata)
        {
            context.Out.WriteLine($"metadata  {key}={value}");
        }
    }
}
