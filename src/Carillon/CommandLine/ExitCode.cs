using Carillon.Client;

namespace Carillon.CommandLine;

/// <summary>What the program ends with; the interface contract's table.</summary>
internal static class ExitCode
{
    public const int Ok = 0;
    public const int Failed = 1;
    public const int Usage = 2;
    public const int Partly = 3;
    public const int NotFound = 4;
    public const int Conflict = 5;
    public const int Denied = 6;
    public const int NoQuorum = 7;
    public const int OutcomeUnknown = 8;
    public const int Integrity = 9;
    public const int Full = 10;
    public const int TimedOut = 124;
    public const int Interrupted = 130;
    public const int Terminated = 143;

    // ENOSPC, as the runtime hands it on.
    private const int NoSpaceLeft = 28;

    /// <summary>The code for what a file system says.</summary>
    public static int Of(IOException fault) => fault.HResult == NoSpaceLeft ? Full : Failed;

    /// <summary>The code for a reason.</summary>
    public static int Of(Failure failure) => failure switch
    {
        Failure.Usage => Usage,
        Failure.NotFound => NotFound,
        Failure.Conflict => Conflict,
        Failure.Denied => Denied,
        Failure.NoQuorum => NoQuorum,
        Failure.OutcomeUnknown => OutcomeUnknown,
        Failure.Integrity => Integrity,
        Failure.Full => Full,
        Failure.TimedOut => TimedOut,
        _ => Failed,
    };
}
