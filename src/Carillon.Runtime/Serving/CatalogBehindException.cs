namespace Carillon.Runtime.Serving;

/// <summary>The catalog has failed or waits for room, and what this server knows to be in it is not: nothing is told from it.</summary>
public sealed class CatalogBehindException() : Exception(Why)
{
    /// <summary>What a client is told.</summary>
    public const string Why = "This server's catalog is full or has failed, and lacks what is newest: make room or restart it, or ask another.";
}
