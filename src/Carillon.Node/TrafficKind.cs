namespace Carillon.Node;

/// <summary>The streams of a tunnel: one each, so that bulk never delays agreement (VE-16).</summary>
public enum TrafficKind : byte
{
    /// <summary>Vectors, answers, rounds, reads, chunk acknowledgements: small and urgent.</summary>
    Agreement = 0,

    /// <summary>Submission records too large to share the agreement stream.</summary>
    Push = 1,

    /// <summary>Chunks.</summary>
    Bulk = 2,

    /// <summary>Index merge.</summary>
    Merge = 3,

    /// <summary>Atomic multicast: many messages, which neither bulk nor agreement waits for.</summary>
    Groups = 4,
}
