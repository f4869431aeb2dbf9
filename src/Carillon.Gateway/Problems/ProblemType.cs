namespace Carillon.Gateway.Problems;

/// <summary>A kind of failure: its stable code, its status, its words, and whether the same request may succeed later.</summary>
/// <param name="Code">What scripts rely on; the last part of the problem's <c>type</c>.</param>
/// <param name="Status">HTTP status.</param>
/// <param name="Title">The kind in words (RFC 9457).</param>
/// <param name="Retryable">True if the same request may succeed later, here or at another server.</param>
internal sealed record ProblemType(string Code, int Status, string Title, bool Retryable = false);
