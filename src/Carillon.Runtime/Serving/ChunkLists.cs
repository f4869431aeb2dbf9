using System.Collections.Immutable;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.Wire;

namespace Carillon.Runtime.Serving;

/// <summary>Lists of chunks that are stored as chunks themselves (<see cref="ContentForm.ChunkedList"/>).</summary>
public static class ChunkLists
{
    /// <summary>The references that one part of a list holds; null where its bytes are not what the reference says.</summary>
    public static ImmutableArray<ChunkReference>? Read(ChunkReference part, ReadOnlyMemory<byte> stored)
    {
        byte[] list = new byte[part.Length];
        if (!ChunkCompression.TryDecompress(part.Compression, stored, list))
        {
            return null;
        }

        var reader = new WireReader(list);
        var references = ImmutableArray.CreateBuilder<ChunkReference>(list.Length / ChunkReference.Size);
        while (reader.Remaining > 0 && !reader.Failed)
        {
            references.Add(ChunkReference.Read(ref reader));
        }

        return reader.Failed ? null : references.DrainToImmutable();
    }
}
