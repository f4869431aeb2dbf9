using Carillon.Simulator;

if (args is ["--help"] or ["-h"])
{
    Console.WriteLine(CommandLine.Usage);
    return 0;
}

if (CommandLine.Parse(args, out string fault) is not { } line)
{
    Console.Error.WriteLine(fault);
    Console.Error.WriteLine(CommandLine.Usage);
    return 64;
}

if (line.ListsBugs)
{
    Console.WriteLine(string.Join('\n', SeededBugs.All));
    return 0;
}

if (line.History is { } file)
{
    return HistoryCommand.Run(file);
}

if (line.Bug is { } bug && !SeededBugs.TrySwitchOn(bug, out string reason))
{
    Console.Error.WriteLine(reason);
    return 64;
}

return Campaign.Run(line.Bug is { } its && SeededBugs.OfPrimacy.Contains(its) ? line with { Kind = SeedKind.Services } : line);
