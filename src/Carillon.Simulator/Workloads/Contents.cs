using System.Collections.Immutable;
using System.Text;
using Carillon.Protocols;
using Carillon.Protocols.Submissions;

namespace Carillon.Simulator.Workloads;

/// <summary>Makes contents that occur once in a run, so that what is read tells who wrote it.</summary>
internal sealed class Contents(WorkloadOptions options, Evidence evidence)
{
    private const int MaxInlineBytes = 700;
    private const int MaxChunks = 4;

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
        evidence.Know(Digest.Of(content), value, chunks);
        return new PlannedOperation(OperationKind.Put, target, value, content, chunks);
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
