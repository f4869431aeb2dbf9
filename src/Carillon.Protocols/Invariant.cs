using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;

namespace Carillon.Protocols;

/// <summary>Thrown when the program finds itself in a state that its own rules exclude. The node stops: to go on could lose data.</summary>
public sealed class InvariantBrokenException : Exception
{
    public InvariantBrokenException()
    {
    }

    public InvariantBrokenException(string message) : base(message)
    {
    }

    public InvariantBrokenException(string message, Exception inner) : base(message, inner)
    {
    }
}

/// <summary>Checks that hold in Release too.</summary>
public static class Invariant
{
    /// <summary>Stops the node unless the condition holds.</summary>
    /// <exception cref="InvariantBrokenException">It does not hold.</exception>
    public static void That([DoesNotReturnIf(false)] bool condition, [CallerArgumentExpression(nameof(condition))] string? rule = null)
    {
        if (!condition)
        {
            throw new InvariantBrokenException($"Broken invariant: {rule}");
        }
    }
}
