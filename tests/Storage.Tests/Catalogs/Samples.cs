using System.Collections.Immutable;
using System.Text;
using Carillon.Protocols;
using Carillon.Protocols.Submissions;

namespace Carillon.Storage.Tests.Catalogs;

/// <summary>Submissions for the catalog's tests.</summary>
internal static class Samples
{
    private static readonly NodeId[] Servers = [NodeId.Parse("s1"), NodeId.Parse("s10"), NodeId.Parse("s2")];

    /// <summary>A tag whose stamp is a millisecond since 1970, and whose nonce follows from it.</summary>
    public static Tag Tag(long milliseconds, int server = 0, int counter = 0) =>
        new(new Uid(new Timestamp(((ulong)milliseconds << 16) | (uint)counter), Servers[server]), (ulong)milliseconds * 0x9E3779B97F4A7C15);

    public static ObjectName Name(string name, string bucket = "bucket") => new(bucket, name);

    public static Operation Put(string name, string text = "", int versions = 10, string bucket = "bucket") => new(
        OperationKind.Put,
        Name(name, bucket),
        new ObjectManifest
        {
            Size = Encoding.UTF8.GetByteCount(text), Sha256 = Digest.Of(Encoding.UTF8.GetBytes(text)),
                Inline = Encoding.UTF8.GetBytes(text),
            VersionsKept = (ushort)versions,
        });

    public static Operation Delete(string name, string bucket = "bucket") => new(OperationKind.Delete, Name(name, bucket), null);

    /// <summary>A put whose content is in chunks, each named by one of the numbers.</summary>
    public static Operation Chunked(string name, ContentForm form, int versions, params int[] chunks) => new(
        OperationKind.Put,
        Name(name),
        new ObjectManifest
        {
            Size = 100 * chunks.Length, Sha256 = Digest.Of([1]), Form = form, VersionsKept = (ushort)versions,
            Chunks = [.. chunks.Select(chunk => new ChunkReference(Chunk(chunk), 100, 100, Compression.None))],
        });

    public static ChunkId Chunk(int number) => ChunkId.Of(BitConverter.GetBytes(number));

    public static Submission Submission(Tag tag, params Operation[] operations) => Submission(tag, $"key of {tag}", operations);

    public static Submission Submission(Tag tag, string key, params Operation[] operations) =>
        Protocols.Submissions.Submission.Create(tag, default, new DiskId(7), key, [.. operations]);

    /// <summary>A history in which names are overwritten, deleted and changed together, by three servers, with few enough names that
    /// versions are trimmed.</summary>
    public static ImmutableArray<Submission> History(RandomSource random, int count, int names = 6)
    {
        var submissions = ImmutableArray.CreateBuilder<Submission>(count);
        long milliseconds = 1_000_000_000_000;
        for (int i = 0; i < count; i++)
        {
            milliseconds += random.Chance(0.05) ? random.Below(40_000_000) : random.Below(3);
            Tag tag = Tag(milliseconds, random.Below(3), i);
            int operations = random.Chance(0.2) ? 1 + random.Below(4) : 1;
            submissions.Add(Submission(tag, [.. RandomOperations(random, operations, names)]));
        }

        return submissions.DrainToImmutable();
    }

    private static IEnumerable<Operation> RandomOperations(RandomSource random, int count, int names)
    {
        foreach (int name in Enumerable.Range(0, names).OrderBy(_ => random.Next()).Take(count))
        {
            yield return random.Below(4) switch
            {
                0 => Delete($"name-{name}"),
                1 => Chunked($"name-{name}", random.Chance(0.5)
                    ? ContentForm.Chunks
                    : ContentForm.ChunkedList, 1 + random.Below(4), random.Below(5), random.Below(5)),
                _ => Put($"name-{name}", $"text {random.Next():x}", 1 + random.Below(4)),
            };
        }
    }
}
