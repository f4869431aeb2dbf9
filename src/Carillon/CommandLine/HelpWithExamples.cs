using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;

namespace Carillon.CommandLine;

/// <summary>The framework's help, then the command's examples.</summary>
internal sealed class HelpWithExamples(HelpAction inner) : SynchronousCommandLineAction
{
    public override bool ClearsParseErrors => true;

    public override int Invoke(ParseResult parseResult)
    {
        // "--server" of 'cluster init' is not the one that all commands take: one line says what it means there.
        Command asked = parseResult.CommandResult.Command;
        foreach (Option shadowed in parseResult.RootCommandResult.Command.Options.Where(o => IsShadowed(o, asked)))
        {
            shadowed.Hidden = true;
        }

        // The list of commands shows arguments as if all had to be given.
        foreach (Argument argument in asked.Subcommands.SelectMany(c => c.Arguments).Where(a => a.Arity.MinimumNumberOfValues == 0))
        {
            argument.Hidden = true;
        }

        int result = inner.Invoke(parseResult);
        TextWriter output = parseResult.InvocationConfiguration.Output;
        if (asked is DocumentedCommand { Examples.Length: > 0 } command)
        {
            output.WriteLine("Examples:");
            foreach (string example in command.Examples)
            {
                output.WriteLine("  " + example);
            }

            output.WriteLine();
        }
        else if (asked is RootCommand)
        {
            output.WriteLine("Exit codes:");
            output.WriteLine("  0 ok, 1 failed, 2 usage, 3 partly done, 4 not found, 5 exists or precondition failed,");
            output.WriteLine("  6 denied, 7 no quorum (rejected), 8 outcome unknown, 9 integrity, 10 full or over quota,");
            output.WriteLine("  124 timed out, 130/143 interrupted");
            output.WriteLine();
        }

        return result;
    }

    private static bool IsShadowed(Option general, Command asked) =>
        asked.Options.Any(own => own != general && own.Name == general.Name);
}
