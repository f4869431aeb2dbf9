using System.Collections.Immutable;
using Carillon.Protocols.Primacy;
using Carillon.Protocols.Submissions;
using Xunit;

namespace Carillon.Protocols.Tests.Vocabulary;

/// <summary>The record that is agreed on: its bytes (docs/formats/submission.md), its fingerprint, and what is refused.</summary>
public sealed class SubmissionTests
{
    private const uint TooLong = ObjectManifest.MaxChunkLength + 1;

    private static readonly ImmutableArray<Operation> Operations =
    [
        Samples.Put("b.txt", "hello", KeyValuePair.Create("k", "v")),
        Samples.Delete("a.txt"),
        new(OperationKind.Put, new ObjectName("files", "c"), new ObjectManifest
        {
            Size = 5, Sha256 = Digest.Of("c"u8), VersionsKept = 3, Form = ContentForm.Chunks,
            Chunks = [new ChunkReference(ChunkId.Of("d"u8), 4, 5, Compression.Deflate)],
        }),
    ];

    private static readonly Submission Example = Submission.Create(
        Samples.Tag(0x0102_0304_0506_0708), Samples.Tag(9, "s2", 10), new DiskId(77), "key", Operations, settled: 6);

    [Fact]
    public void Submission_written_has_its_golden_bytes()
    {
        string hello = Digest.Of("hello"u8).ToString();
        string expected =
            "05" + "0807060504030201" + "027331" + "0700000000000000" + "0900000000000000" + "027332" + "0a00000000000000"
            + "4d000000000000000000000000000000" + "0600000000000000" + "0300" + "6b6579" + Example.Fingerprint + "03000000"
            + "01" + "0500" + "66696c6573" + "0500" + "612e747874"
            + "00" + "0500" + "66696c6573" + "0500" + "622e747874" + "0500000000000000" + hello + "0a00" + "0a00" + "746578742f706c61696e"
            + "01000000" + "0100" + "6b" + "0100" + "76" + "00" + "05000000" + "68656c6c6f"
            + "00" + "0500" + "66696c6573" + "0100" + "63" + "0500000000000000" + Digest.Of("c"u8) + "0300" + "0000" + "00000000" + "01"
            + "01000000" + Digest.Of("d"u8) + "04000000" + "05000000" + "02";
        Assert.Equal(expected, Convert.ToHexStringLower(Example.Encoded.Span));
    }

    [Fact]
    public void Submission_with_a_fence_has_it_behind_its_operations_and_keeps_it()
    {
        var fence = new Fence(ServiceName.Parse("job"), new Epoch(7));
        Submission fenced = Submission.Create(
            Example.Tag, Example.Replaces, Example.AcceptingDisk, Example.Key, Operations, fence, settled: 6);
        string plain = Convert.ToHexStringLower(Example.Encoded.Span);
        Assert.Equal("06" + plain[2..] + "0300" + "6a6f62" + "0700000000000000", Convert.ToHexStringLower(fenced.Encoded.Span));
        Assert.True(Submission.TryRead(fenced.Encoded.Span, out Submission read));
        Assert.Equal(fence, read.Fence);
        Assert.Equal(fence, read.Restamp(Samples.Tag(11)).Fence);
        Assert.Equal(Example.Fingerprint, read.Fingerprint);
        for (int length = 0; length < fenced.Encoded.Length; length++)
        {
            Assert.False(Submission.TryRead(fenced.Encoded.Span[..length], out _));
        }
    }

    [Fact]
    public void Submission_with_preconditions_has_them_behind_its_operations_and_keeps_them()
    {
        ImmutableArray<Operation> conditional =
        [
            Operations[0] with { Precondition = Precondition.Match(Samples.Tag(3, "s2").Uid) },
            Operations[1] with { Precondition = Precondition.Absent },
            Operations[2],
        ];
        Submission submission = Submission.Create(
            Example.Tag, Example.Replaces, Example.AcceptingDisk, Example.Key, conditional, settled: 6);
        string plain = Convert.ToHexStringLower(Example.Encoded.Span).Replace(
            Example.Fingerprint.ToString(), submission.Fingerprint.ToString(), StringComparison.Ordinal);
        string conditions = "01" + "02" + "0300000000000000" + "027332" + "00";
        Assert.Equal("07" + plain[2..] + conditions + "0000" + "0000000000000000", Convert.ToHexStringLower(submission.Encoded.Span));
        Assert.Equal(Example.OperationsEnd, submission.OperationsEnd);
        Assert.True(submission.IsConditional && submission.IsDecidedByFeed && !Example.IsConditional && Example.IsDecidedByFeed);
        Submission fenced = Submission.Create(
            Example.Tag, Example.Replaces, Example.AcceptingDisk, Example.Key, conditional,
            new Fence(ServiceName.Parse("job"), new Epoch(7)), settled: 6);
        Assert.Equal(
            "07" + plain[2..] + conditions + "0300" + "6a6f62" + "0700000000000000", Convert.ToHexStringLower(fenced.Encoded.Span));
        Assert.True(Submission.TryRead(fenced.Encoded.Span, out Submission read));
        Assert.Equal(fenced.Fence, read.Fence);
        Assert.Equal(
            ["if absent", "if 0-3@s2", "none"], read.Restamp(Samples.Tag(11)).Operations.Select(o => o.Precondition.ToString()));
        for (int length = 0; length < fenced.Encoded.Length; length++)
        {
            Assert.False(Submission.TryRead(fenced.Encoded.Span[..length], out _));
        }
    }

    [Fact]
    public void Submission_that_is_answered_only_with_its_number_says_so_behind_its_operation()
    {
        Submission plain = Submission.Create(
            Example.Tag, Example.Replaces, Example.AcceptingDisk, Example.Key, [Operations[0]], settled: 6);
        Submission numbered = Submission.Create(
            Example.Tag, Example.Replaces, Example.AcceptingDisk, Example.Key, [Operations[0]], settled: 6, needsNumber: true);
        string same = Convert.ToHexStringLower(plain.Encoded.Span);
        Assert.Equal("09" + same[2..] + "0000" + "0000000000000000", Convert.ToHexStringLower(numbered.Encoded.Span));
        Assert.True(Submission.TryRead(numbered.Encoded.Span, out Submission read));
        Assert.True(read is { NeedsNumber: true, AwaitsNumber: true, IsDecidedByFeed: false } && read.Fingerprint == plain.Fingerprint);
        Assert.Equal((plain.OperationsEnd, false), (read.OperationsEnd, plain.AwaitsNumber));
        Assert.True(read.Restamp(Samples.Tag(11)).NeedsNumber);

        // The feed decides about several, whatever they say.
        Assert.False(Submission.Create(Example.Tag, default, Example.AcceptingDisk, "k", Operations, needsNumber: true).NeedsNumber);
        for (int length = 0; length < numbered.Encoded.Length; length++)
        {
            Assert.False(Submission.TryRead(numbered.Encoded.Span[..length], out _));
        }
    }

    [Fact]
    public void Submission_stamped_afresh_after_the_feed_found_it_stale_says_so()
    {
        Submission fresh = Example.Restamp(Samples.Tag(99), afterStale: true, settled: 6);
        string same = Convert.ToHexStringLower(Example.Restamp(Samples.Tag(99), settled: 6).Encoded.Span);
        Assert.Equal("08" + same[2..] + "000000" + "0000" + "0000000000000000", Convert.ToHexStringLower(fresh.Encoded.Span));
        Assert.True(Submission.TryRead(fresh.Encoded.Span, out Submission read));
        Assert.True(read.ReplacesStale && !read.IsConditional && read.Replaces == Example.Tag);
        Assert.Equal(Example.OperationsEnd + same.Length / 2 - Example.Encoded.Length, read.OperationsEnd);
        Assert.False(read.Restamp(Samples.Tag(100)).ReplacesStale);
        for (int length = 0; length < fresh.Encoded.Length; length++)
        {
            Assert.False(Submission.TryRead(fresh.Encoded.Span[..length], out _));
        }
    }

    [Theory]
    [InlineData("00")]
    [InlineData("03")]
    [InlineData("02" + "0300000000000000" + "00")]
    public void Record_of_conditions_that_are_none_is_refused(string precondition)
    {
        Submission submission = Submission.Create(
            Example.Tag, default, new DiskId(1), "k", [Samples.Delete("n") with { Precondition = Precondition.Absent }]);
        byte[] bytes = submission.Encoded.ToArray();
        Assert.True(Submission.TryRead(bytes, out _));
        Assert.False(Submission.TryRead(
            [
                .. bytes[..submission.OperationsEnd], .. Convert.FromHexString(precondition),
                .. bytes[(submission.OperationsEnd + 1)..],
            ], out _));
    }

    [Fact]
    public void Precondition_is_met_by_the_version_that_it_names_and_no_other()
    {
        Uid uid = Samples.Tag(3).Uid;
        Uid other = Samples.Tag(4).Uid;
        Assert.True(Precondition.Match(uid).IsMetBy(uid, isLive: true));
        Assert.False(Precondition.Match(uid).IsMetBy(uid, isLive: false));
        Assert.False(Precondition.Match(uid).IsMetBy(other, isLive: true));
        Assert.False(Precondition.Match(uid).IsMetBy(default, isLive: false));
        Assert.True(Precondition.Absent.IsMetBy(default, isLive: false) && Precondition.Absent.IsMetBy(uid, isLive: false));
        Assert.False(Precondition.Absent.IsMetBy(uid, isLive: true));
        Assert.True(default(Precondition).IsMetBy(uid, isLive: true));
    }

    // A key outlives the program that hashed it: a fingerprint that changed would turn retries into conflicts.
    [Fact]
    public void Fingerprint_of_known_operations_is_its_golden_one()
    {
        byte[] hashed =
        [
            1, 5, 0, .. "files"u8, 5, 0, .. "a.txt"u8,
            0, 5, 0, .. "files"u8, 5, 0, .. "b.txt"u8, .. Bytes(Digest.Of("hello"u8)), 10, 0, .. "text/plain"u8,
            1, 0, 0, 0, 1, 0, (byte)'k', 1, 0, (byte)'v',
            0, 5, 0, .. "files"u8, 1, 0, (byte)'c', .. Bytes(Digest.Of("c"u8)), 0, 0, 0, 0, 0, 0,
        ];
        Assert.Equal(Digest.Of(hashed), Example.Fingerprint);
    }

    [Fact]
    public void Submission_read_is_what_was_written()
    {
        var random = new RandomSource(1);
        for (int round = 0; round < 2000; round++)
        {
            Submission written = Samples.Random(random);
            Assert.True(Submission.TryRead(written.Encoded.Span, out Submission read));
            Assert.Equal(written.Tag, read.Tag);
            Assert.Equal(written.Replaces, read.Replaces);
            Assert.Equal(written.AcceptingDisk, read.AcceptingDisk);
            Assert.Equal(written.Key, read.Key);
            Assert.Equal(written.Fingerprint, read.Fingerprint);
            Assert.Equal(written.Hash, read.Hash);
            Assert.Equal(written.Operations.Select(Describe), read.Operations.Select(Describe));
            Submission again = Submission.Create(read.Tag, read.Replaces, read.AcceptingDisk, read.Key, read.Operations);
            Assert.Equal(written.Encoded.Span, again.Encoded.Span);
        }
    }

    [Fact]
    public void Submission_read_keeps_its_content_whatever_becomes_of_the_bytes_that_were_read()
    {
        byte[] bytes = Example.Encoded.ToArray();
        Assert.True(Submission.TryRead(bytes, out Submission read));
        Array.Clear(bytes);

        Assert.Equal(Example.Encoded.ToArray(), read.Encoded.ToArray());
        Assert.Equal("hello"u8.ToArray(), read.Operations[1].Manifest!.Inline.ToArray());
    }

    [Fact]
    public void Order_of_the_operations_that_were_given_plays_no_part()
    {
        Submission other = Submission.Create(
            Example.Tag, Example.Replaces, Example.AcceptingDisk, Example.Key, [.. Operations.Reverse()], settled: 6);
        Assert.Equal(Example.Hash, other.Hash);
        Assert.Equal(["a.txt", "b.txt", "c"], other.Operations.Select(operation => operation.Target.Name));
    }

    [Fact]
    public void Restamped_submission_names_the_tag_that_it_replaces_and_keeps_the_rest_VE68()
    {
        Submission fresh = Example.Restamp(Samples.Tag(99));
        Assert.Equal(Example.Tag, fresh.Replaces);
        Assert.Equal(Samples.Tag(99), fresh.Tag);
        Assert.Equal(Example.Fingerprint, fresh.Fingerprint);
        Assert.NotEqual(Example.Hash, fresh.Hash);
    }

    [Fact]
    public void Fingerprint_tells_apart_what_a_key_stands_for()
    {
        Operation put = Samples.Put("n", "content", KeyValuePair.Create("k", "v"));
        ObjectManifest manifest = put.Manifest!;
        Operation[] others =
        [
            Samples.Delete("n"),
            Samples.Put("m", "content", KeyValuePair.Create("k", "v")),
            Samples.Put("n", "Content", KeyValuePair.Create("k", "v")),
            Samples.Put("n", "content", KeyValuePair.Create("k", "w")),
            Samples.Put("n", "content", KeyValuePair.Create("kv", "")),
            Samples.Put("n", "content"),
            put with { Manifest = manifest with { ContentType = "text/html" } },
            put with { Target = new ObjectName("other", "n") },
            put with { Precondition = Precondition.Absent },
            put with { Precondition = Precondition.Match(Samples.Tag(1).Uid) },
            put with { Precondition = Precondition.Match(Samples.Tag(2).Uid) },
            Samples.Delete("n") with { Precondition = Precondition.Match(Samples.Tag(2).Uid) },
        ];
        Assert.Equal(others.Length, others.Select(other => Submission.FingerprintOf([other])).Distinct().Count());
        Assert.DoesNotContain(Submission.FingerprintOf([put]), others.Select(other => Submission.FingerprintOf([other])));
    }

    [Fact]
    public void Fingerprint_is_the_same_however_the_content_was_cut()
    {
        ObjectManifest inline = Samples.Put("n", "content").Manifest!;
        ObjectManifest chunked = inline with
        {
            Form = ContentForm.Chunks,
            Inline = default,
            Chunks = [new ChunkReference(ChunkId.Of("x"u8), 7, 7, Compression.None)],
            VersionsKept = 4,
        };
        Assert.Equal(
            Submission.FingerprintOf([new(OperationKind.Put, new ObjectName("files", "n"), inline)]),
            Submission.FingerprintOf([new(OperationKind.Put, new ObjectName("files", "n"), chunked)]));
    }

    // Bytes of a metadata value that look like a further operation: with the entries counted, they can't be taken for one.
    [Fact]
    public void Fingerprint_of_metadata_that_imitates_an_operation_is_not_that_of_the_operation()
    {
        Operation first = Samples.Put("a", "x");
        ImmutableArray<Operation> two = [first, new(OperationKind.Put, new ObjectName("files", "b"), first.Manifest)];
        var fingerprints = new HashSet<Digest> { Submission.FingerprintOf(two) };
        for (int length = 0; length < 300; length++)
        {
            Operation imitation = Samples.Put("a", "x", KeyValuePair.Create("k", new string('\0', length)));
            Assert.True(fingerprints.Add(Submission.FingerprintOf([imitation])));
        }
    }

    [Fact]
    public void Fingerprint_of_one_small_operation_allocates_nothing()
    {
        ImmutableArray<Operation> operations = [Samples.Put("some/name", "content", KeyValuePair.Create("k", "v"))];
        Submission.FingerprintOf(operations);
        long before = GC.GetAllocatedBytesForCurrentThread();
        Submission.FingerprintOf(operations);
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    [Fact]
    public void Fingerprint_of_the_largest_operation_is_taken_too()
    {
        Operation largest = Samples.Put(new string('n', 1024), "x", KeyValuePair.Create("k", new string('v', 8000)));
        Assert.Null(Submission.FaultOf([largest], "key"));
        Assert.NotEqual(Submission.FingerprintOf([largest]), Submission.FingerprintOf([largest, Samples.Delete("z")]));
    }

    [Fact]
    public void Record_cut_short_or_prolonged_is_refused()
    {
        ReadOnlySpan<byte> bytes = Example.Encoded.Span;
        for (int length = 0; length < bytes.Length; length++)
        {
            Assert.False(Submission.TryRead(bytes[..length], out _));
        }

        Assert.False(Submission.TryRead([.. bytes, 0], out _));
        Assert.False(Submission.TryRead(new byte[Submission.MaxBytes + 1], out _));
    }

    [Fact]
    public void Record_of_a_newer_version_or_of_before_the_feed_is_refused()
    {
        byte[] bytes = Example.Encoded.ToArray();
        bytes[0] = 9;
        Assert.False(Submission.TryRead(bytes, out _));
        bytes[0] = 4;
        Assert.False(Submission.TryRead(bytes, out _));
    }

    [Fact]
    public void Any_bytes_are_refused_or_read_as_a_record_that_could_be_written_without_exception_or_much_memory()
    {
        var random = new RandomSource(3);
        int read = 0;
        for (int round = 0; round < 5000; round++)
        {
            byte[] bytes = Samples.Random(random).Encoded.ToArray();
            int changes = 1 + random.Below(3);
            for (int i = 0; i < changes; i++)
            {
                bytes[random.Below(bytes.Length)] = random.Chance(0.5) ? (byte)0xFF : (byte)random.Next();
            }

            long before = GC.GetAllocatedBytesForCurrentThread();
            bool good = Submission.TryRead(bytes, out Submission submission);
            Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 4096 + (bytes.Length * 16));
            if (good)
            {
                read++;
                Assert.Null(Submission.FaultOf(submission.Operations, submission.Key));
            }
        }

        Assert.InRange(read, 250, 4750);
    }

    [Fact]
    public void What_is_no_submission_is_told_with_the_reason()
    {
        Operation good = Samples.Put("n", "x");
        Assert.Null(Submission.FaultOf([good], "key"));
        (string Reason, string? Fault)[] faults =
        [
            ("1 to 1000", Submission.FaultOf([], "key")),
            ("1 to 1000", Submission.FaultOf([.. Enumerable.Range(0, 1001).Select(i => Samples.Delete($"{i}"))], "key")),
            ("twice", Submission.FaultOf([good, Samples.Delete("n")], "key")),
            ("key", Submission.FaultOf([good], "")),
            ("key", Submission.FaultOf([good], new string('k', 257))),
            ("'..'", Submission.FaultOf([Samples.Delete("a/../b")], "key")),
            ("said to have", Submission.FaultOf([good with { Manifest = good.Manifest! with { Size = 9 } }], "key")),
            ("bytes", Submission.FaultOf([.. Enumerable.Range(0, 3).Select(i => Samples.Put($"{i}", new string('x', 7 << 20)))], "key")),
        ];
        Assert.All(faults, fault => Assert.Contains(fault.Reason, fault.Fault, StringComparison.Ordinal));
    }

    [Fact]
    public void Manifest_that_contradicts_itself_is_told_with_the_reason()
    {
        ObjectManifest good = Samples.Put("n", "hello").Manifest!;
        var chunk = new ChunkReference(ChunkId.Of("x"u8), 5, 5, Compression.None);
        ObjectManifest chunked = good with { Form = ContentForm.Chunks, Inline = default, Chunks = [chunk] };
        Assert.Null(good.Fault());
        Assert.Null(chunked.Fault());
        ObjectManifest[] wrong =
        [
            good with { Size = 6 },
            good with { Size = -1 },
            good with { Form = (ContentForm)3 },
            good with { VersionsKept = 0 },
            good with { VersionsKept = ObjectManifest.MaxVersionsKept + 1 },
            good with { Metadata = [new("b", ""), new("a", "")] },
            good with { Metadata = [new("a", ""), new("a", "")] },
            good with { Metadata = [new("a", new string('v', ObjectManifest.MaxMetadataBytes))] },
            chunked with { Size = 6 },
            chunked with { Chunks = [chunk with { StoredLength = 4 }] },
            chunked with { Chunks = [chunk with { Compression = (Compression)3 }] },
            chunked with { Chunks = [chunk with { Length = 0, StoredLength = 0 }, chunk] },
            chunked with { Size = TooLong, Chunks = [chunk with { Length = TooLong, StoredLength = 5, Compression = Compression.Brotli }] },
            chunked with { Form = ContentForm.ChunkedList, Size = -1 },
        ];
        Assert.All(wrong, manifest => Assert.NotNull(manifest.Fault()));
        Assert.All(wrong, manifest =>
        {
            // No peer gets it past the reader either.
            Operation operation = new(OperationKind.Put, new ObjectName("files", "n"), manifest);
            Assert.False(Submission.TryRead(Submission.Create(Example.Tag, default, new DiskId(1), "k", [operation]).Encoded.Span, out _));
        });
    }

    [Theory]
    [InlineData("../../etc/passwd")]
    [InlineData("a//b")]
    [InlineData("a\u0000")]
    public void Record_with_a_name_that_breaks_the_rules_is_refused(string name)
    {
        Submission submission = Submission.Create(Example.Tag, default, new DiskId(1), "k", [Samples.Delete(name)]);
        Assert.False(Submission.TryRead(submission.Encoded.Span, out _));
    }

    [Fact]
    public void Record_with_a_name_given_twice_is_refused() => Assert.False(Submission.TryRead(
        Submission.Create(Example.Tag, default, new DiskId(1), "k", [Samples.Delete("n"), Samples.Put("n", "x")]).Encoded.Span, out _));

    private static string Describe(Operation operation)
    {
        ObjectManifest? m = operation.Manifest;
        string inline = Convert.ToHexString((m?.Inline ?? default).Span);
        string content = $"{m?.Size} {m?.Sha256} {m?.VersionsKept} {m?.ContentType} {m?.Form} {inline}";
        string what = $"{operation.Kind} {operation.Target} {operation.Precondition}";
        return $"{what} {content} {string.Join(' ', m?.Metadata ?? [])} {string.Join(' ', m?.Chunks ?? [])}";
    }

    private static byte[] Bytes(Digest digest)
    {
        byte[] bytes = new byte[Digest.Size];
        digest.Write(bytes);
        return bytes;
    }
}
