namespace Carillon.Runtime.Serving;

/// <summary>The catalog has failed, and what this server knows to be in it is not: nothing is told from it.</summary>
public sealed class CatalogBehindException() : Exception(Why)
{
    /// <summary>What a client is told.</summary>
    public const string Why = "This server's catalog has failed, and lacks what is newest: restart it, or ask another.";
}
