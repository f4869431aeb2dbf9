namespace Carillon.Client;

/// <summary>A read, or a step around a write, that failed. The outcome of a write itself is a <see cref="WriteResult{T}"/>.</summary>
public sealed class CarillonException : Exception
{
    public CarillonException()
    {
    }

    public CarillonException(string message) : base(message)
    {
    }

    public CarillonException(string message, Exception inner) : base(message, inner)
    {
    }

    /// <summary>A failure that the library found itself.</summary>
    public CarillonException(Failure failure, string message, Exception? inner = null) : base(message, inner) => Failure = failure;

    /// <summary>A failure that a server told.</summary>
    public CarillonException(Problem problem) : base(problem.Message)
    {
        Problem = problem;
        Failure = problem.Failure;
    }

    /// <summary>The coarse reason.</summary>
    public Failure Failure { get; }

    /// <summary>What the server said, if one did.</summary>
    public Problem? Problem { get; }
}
