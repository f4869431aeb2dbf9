using System.Collections.Immutable;
using System.Text;
using Carillon.Protocols;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.Wire;

namespace Carillon.Simulator.Workloads;

/// <summary>Makes contents that occur once in a run, so that what is read tells who wrote it.</summary>
internal sealed class Contents(WorkloadOptions options, Evidence evidence)
{
    private const int MaxInlineBytes = 700;
    private const int MaxChunks = 4;

    // One content of so many has its list of chunks in chunks, as very large ones have; a part of it holds so many references.
    private const int ListedEvery = 3;
    private const int PartReferences = 2;

    private int _count;

    /// <summary>Plans a put of a new content, inline or in chunks.</summary>
    public PlannedOperation Put(ObjectName target, RandomSource random) => Put(target, random, random.Chance(options.ChunkedShare));

    /// <summary>Plans a changeset of different names.</summary>
    public ImmutableArray<PlannedOperation> Changeset(Workload workload, RandomSource random)
    {
        var names = new SortedSet<ObjectName>();
        int count = 2 + random.Below(options.ChangesetNames - 1);
        for (int i = 0; i < count; i++)
        {
            names.Add(workload.AnyName(random));
        }

        var operations = ImmutableArray.CreateBuilder<PlannedOperation>(names.Count);
        foreach (ObjectName name in names)
        {
            operations.Add(random.Chance(0.15)
                ? new PlannedOperation(OperationKind.Delete, name, null, default, [])
                : Put(name, random, isChunked: false));
        }

        return operations.DrainToImmutable();
    }

    private PlannedOperation Put(ObjectName target, RandomSource random, bool isChunked)
    {
        string value = FormattableString.Invariant($"v{++_count}");
        int length = isChunked ? 1 + random.Below(MaxChunks * options.ChunkBytes) : 8 + random.Below(MaxInlineBytes);
        byte[] content = new byte[Math.Max(length, value.Length)];
        for (int i = 0; i < content.Length; i += 8)
        {
            ulong word = random.Next();
            for (int j = i; j < Math.Min(i + 8, content.Length); j++, word >>= 8)
            {
                content[j] = (byte)word;
            }
        }

        Encoding.ASCII.GetBytes(value, content);
        ImmutableArray<ReadOnlyMemory<byte>> chunks = isChunked ? Cut(content) : [];
        int lists = 0;
        if (isChunked && _count % ListedEvery == 0)
        {
            ImmutableArray<ReadOnlyMemory<byte>> parts = ListsOf(chunks);
            lists = parts.Length;
            chunks = [.. chunks, .. parts];
        }

        evidence.Know(Digest.Of(content), value, chunks);
        return new PlannedOperation(OperationKind.Put, target, value, content, chunks) { Lists = lists };
    }

    private static ImmutableArray<ReadOnlyMemory<byte>> ListsOf(ImmutableArray<ReadOnlyMemory<byte>> chunks)
    {
        var parts = ImmutableArray.CreateBuilder<ReadOnlyMemory<byte>>();
        foreach (ReadOnlyMemory<byte>[] some in chunks.Chunk(PartReferences))
        {
            byte[] part = new byte[some.Length * ChunkReference.Size];
            var writer = new WireWriter(part);
            foreach (ReadOnlyMemory<byte> chunk in some)
            {
                new ChunkReference(ChunkId.Of(chunk.Span), (uint)chunk.Length, (uint)chunk.Length, Compression.None).Write(ref writer);
            }

            parts.Add(part);
        }

        return parts.DrainToImmutable();
    }

    private ImmutableArray<ReadOnlyMemory<byte>> Cut(byte[] content)
    {
        var chunks = ImmutableArray.CreateBuilder<ReadOnlyMemory<byte>>();
        for (int start = 0; start < content.Length; start += options.ChunkBytes)
        {
            chunks.Add(content.AsMemory(start, Math.Min(options.ChunkBytes, content.Length - start)));
        }

        return chunks.DrainToImmutable();
    }
}
