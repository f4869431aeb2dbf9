using System.Collections.Immutable;
using Carillon.Protocols.Submissions;

namespace Carillon.Protocols.Tests.Vocabulary;

/// <summary>Submissions drawn at random, all of them valid.</summary>
internal static class Samples
{
    public static Tag Tag(ulong stamp, string server = "s1", ulong nonce = 7) =>
        new(new Uid(new Timestamp(stamp), NodeId.Parse(server)), nonce);

    public static Operation Put(string name, string content, params KeyValuePair<string, string>[] metadata)
    {
        byte[] bytes = System.Text.Encoding.UTF8.GetBytes(content);
        return new Operation(OperationKind.Put, new ObjectName("files", name), new ObjectManifest
        {
            Size = bytes.Length, Sha256 = Digest.Of(bytes), Inline = bytes, ContentType = "text/plain", Metadata = [.. metadata],
        });
    }

    public static Operation Delete(string name) => new(OperationKind.Delete, new ObjectName("files", name), null);

    public static Submission Random(RandomSource random)
    {
        int count = random.Chance(0.6) ? 1 : 1 + random.Below(8);
        var operations = ImmutableArray.CreateBuilder<Operation>(count);
        for (int i = 0; i < count; i++)
        {
            operations.Add(RandomOperation(random, $"{Text(random, 1 + random.Below(40))}/{i}") with
            {
                Precondition = random.Below(6) switch
                {
                    0 => Precondition.Absent,
                    1 => Precondition.Match(Tag(random.Next(), "s3").Uid),
                    _ => default,
                },
            });
        }

        Tag replaces = random.Chance(0.3) ? Tag(random.Next(), "s2", random.Next()) : default;
        return Submission.Create(
            Tag(random.Next(), "s1", random.Next()), replaces, new DiskId(new UInt128(random.Next(), random.Next())),
            Text(random, 1 + random.Below(80)), operations.DrainToImmutable());
    }

    private static Operation RandomOperation(RandomSource random, string name)
    {
        var target = new ObjectName(random.Chance(0.1) ? ObjectName.SystemBucket : $"bucket-{random.Below(3)}", name);
        return random.Chance(0.2)
            ? new Operation(OperationKind.Delete, target, null)
            : new Operation(OperationKind.Put, target, RandomManifest(random));
    }

    private static ObjectManifest RandomManifest(RandomSource random)
    {
        var form = (ContentForm)random.Below(3);
        byte[] inline = form == ContentForm.Inline ? [.. Enumerable.Range(0, random.Below(300)).Select(_ => (byte)random.Next())] : [];
        int count = form == ContentForm.Inline ? 0 : random.Below(6);
        ImmutableArray<ChunkReference> chunks = [.. Enumerable.Range(0, count).Select(_ => RandomChunk(random))];
        return new ObjectManifest
        {
            Size = form == ContentForm.ChunkedList ? random.Below(1L << 44) : inline.Length + chunks.Sum(chunk => chunk.Length),
            Sha256 = Digest.Of(inline),
            VersionsKept = (ushort)(1 + random.Below(ObjectManifest.MaxVersionsKept)),
            ContentType = random.Chance(0.5) ? "" : "application/octet-stream",
            Metadata = [.. Enumerable.Range(0, random.Below(5)).Select(i => KeyValuePair.Create($"k{i}", Text(random, random.Below(30))))],
            Form = form,
            Inline = inline,
            Chunks = chunks,
        };
    }

    private static ChunkReference RandomChunk(RandomSource random)
    {
        uint length = 1 + (uint)random.Below((int)ObjectManifest.MaxChunkLength);
        return random.Chance(0.5)
            ? new ChunkReference(ChunkId.Of([1]), length, length, Compression.None)
            : new ChunkReference(ChunkId.Of([2]), 1 + (uint)random.Below((int)length), length, Compression.Brotli);
    }

    private static string Text(RandomSource random, int length) =>
        string.Concat(Enumerable.Range(0, length).Select(_ => random.Chance(0.9) ? ((char)('a' + random.Below(26))).ToString() : "ü"));
}
