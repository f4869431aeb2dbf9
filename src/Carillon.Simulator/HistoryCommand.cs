using Carillon.Simulator.Checkers;

namespace Carillon.Simulator;

/// <summary>Checks a history that was recorded against a real cluster.</summary>
internal static class HistoryCommand
{
    /// <summary>Reads, checks, says the verdict; returns the exit code.</summary>
    public static int Run(string file)
    {
        History history;
        try
        {
            using var reader = new StreamReader(file);
            history = History.Read(reader);
        }
        catch (Exception fault) when (fault is IOException or UnauthorizedAccessException or FormatException)
        {
            Console.Error.WriteLine($"can't read the history '{file}': {fault.Message}");
            return 64;
        }

        LinearizabilityVerdict verdict = new LinearizabilityChecker().Check(history);
        Console.WriteLine($"{history.Entries.Count} operations: {verdict.Explain()}");
        return verdict.Result switch
        {
            LinearizabilityResult.Linearizable => 0,
            LinearizabilityResult.NotLinearizable => 2,
            _ => 3,
        };
    }
}
