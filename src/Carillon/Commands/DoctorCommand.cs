using System.CommandLine;
using Carillon.CommandLine;
using Carillon.Diagnosis;

namespace Carillon.Commands;

/// <summary><c>carillon doctor</c>: what about this machine would make trouble.</summary>
internal static class DoctorCommand
{
    public static Command Create(CommandRunner runner)
    {
        Option<string?> file = ServerCommand.ConfigFile();
        var command = new DocumentedCommand(
            "doctor", "Check this machine, and with --config a server's files: space, limits, clock, ports, secrets, disk")
        {
            Examples = ["carillon doctor", "carillon doctor --config /etc/carillon/server.json -o json"],
        };
        command.Add(file);
        runner.Run(command, async context =>
        {
            List<Finding> findings = await Doctor.ExamineAsync(context, context.Parse.GetValue(file));
            Write(context, findings);
            return findings.Any(f => f.Grade == Grade.Bad) ? ExitCode.Failed : ExitCode.Ok;
        });
        return command;
    }

    private static void Write(CommandContext context, List<Finding> findings)
    {
        if (!context.IsJson)
        {
            var table = new TextTable("", "CHECK", "FOUND");
            foreach (Finding finding in findings)
            {
                table.Add(Word(finding.Grade), finding.Check, finding.Advice.Length > 0
                    ? $"{finding.Found}; {finding.Advice}"
                    : finding.Found);
            }

            table.Write(context.Out);
            return;
        }

        context.WriteJson(writer =>
        {
            writer.WriteStartObject();
            writer.WriteStartArray("findings");
            foreach (Finding finding in findings)
            {
                writer.WriteStartObject();
                writer.WriteString("grade", Word(finding.Grade));
                writer.WriteString("check", finding.Check);
                writer.WriteString("found", finding.Found);
                writer.WriteString("advice", finding.Advice);
                writer.WriteEndObject();
            }

            writer.WriteEndArray();
            writer.WriteEndObject();
        });
    }

    private static string Word(Grade grade) => grade switch
    {
        Grade.Good => "ok",
        Grade.Doubtful => "warn",
        _ => "BAD",
    };
}
