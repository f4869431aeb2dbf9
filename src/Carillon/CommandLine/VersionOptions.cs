using System.CommandLine;

namespace Carillon.CommandLine;

/// <summary>The options of commands that read a version.</summary>
internal static class VersionOptions
{
    public static Option<string?> Version() => new("--version")
    {
        Description = "This version instead of the current one",
        HelpName = "UID",
    };

    public static Option<string> Consistency()
    {
        var option = new Option<string>("--consistency")
        {
            Description = "linearizable: a quorum is asked; local: what one server has applied",
            HelpName = "linearizable|local",
            DefaultValueFactory = _ => "linearizable",
        };
        option.AcceptOnlyFromAmong("linearizable", "local");
        return option;
    }
}
