namespace Carillon.CommandLine;

/// <summary>
/// The command line, a file that it names, or the environment is not right: exit code 2, and one line that says what to
/// write instead.
/// </summary>
internal sealed class UsageException : Exception
{
    public UsageException()
    {
    }

    public UsageException(string message) : base(message)
    {
    }

    public UsageException(string message, Exception inner) : base(message, inner)
    {
    }
}

/// <summary>A command that has told all there is to tell and ends with a code of its own.</summary>
internal sealed class ExitException(int code, string message) : Exception(message)
{
    /// <summary>What the program ends with.</summary>
    public int Code { get; } = code;
}
