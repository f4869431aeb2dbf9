using System.Collections.Immutable;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.Wire;

namespace Carillon.Runtime.Serving;

/// <summary>Collects an object's chunk references; where they are too many for the manifest, in parts that become chunks
/// themselves.</summary>
internal sealed class ChunkListBuilder
{
    // References of one part: a 1 MiB chunk's worth, whatever the bucket's chunk size is.
    private const int PartReferences = (1 << 20) / ChunkReference.Size;

    private readonly List<ChunkReference> _references = [];
    private readonly List<ChunkReference> _parts = [];

    /// <summary>True if a part's worth has come together.</summary>
    public bool IsFull => _references.Count >= PartReferences;

    /// <summary>True if the whole list fits into the manifest.</summary>
    public bool IsDirect => _parts.Count == 0 && _references.Count * ChunkReference.Size <= ObjectManifest.MaxDirectListBytes;

    public void Add(ChunkReference reference) => _references.Add(reference);

    public void AddPart(ChunkReference part) => _parts.Add(part);

    public ImmutableArray<ChunkReference> Direct() => [.. _references];

    public ImmutableArray<ChunkReference> Parts() => [.. _parts];

    /// <summary>The references since the last part, encoded.</summary>
    public byte[] TakePart()
    {
        byte[] part = new byte[_references.Count * ChunkReference.Size];
        var writer = new WireWriter(part);
        foreach (ChunkReference reference in _references)
        {
            reference.Write(ref writer);
        }

        _references.Clear();
        return part;
    }
}
