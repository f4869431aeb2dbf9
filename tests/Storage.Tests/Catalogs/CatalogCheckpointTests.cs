using System.Collections.Immutable;
using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Submissions;
using Carillon.Storage.Catalogs;
using Xunit;
using static Carillon.Storage.Tests.Catalogs.Samples;

namespace Carillon.Storage.Tests.Catalogs;

/// <summary>Checkpoints: the same bytes wherever the same numbers are applied, loaded all or nothing, and mostly the same blocks after a
/// while.</summary>
public sealed class CatalogCheckpointTests
{
    private static readonly CatalogOptions Small = new()
    {
        OutcomeTtl = TimeSpan.FromHours(10), KeyCount = 15, LeastKeys = 6, RejectedCount = 5, TrimmedCount = 12, FeedCount = 60,
    };

    public static TheoryData<ulong> Seeds => [.. Enumerable.Range(1, 12).Select(seed => (ulong)seed)];

    [Theory]
    [MemberData(nameof(Seeds))]
    public void Checkpoint_is_the_same_however_the_sequence_was_batched_and_after_loading_one(ulong seed)
    {
        ImmutableArray<SequencedEntry> sequence = CatalogSequenceTests.Sequence(new RandomSource(seed), 300);
        using var plain = new Lab(Small);
        plain.Apply(sequence[..200], new RandomSource(0), one: true);
        (CatalogCheckpoint checkpoint, List<byte[]> blocks) = plain.Checkpoint();
        Assert.Equal(new SequenceNumber(200), checkpoint.Number);
        Assert.Equal(blocks.Select(b => new CheckpointBlock(ChunkId.Of(b), b.Length)), checkpoint.Blocks);
        using var batched = new Lab(Small);
        batched.Apply(sequence[..200], new RandomSource(seed), one: false);
        Assert.Equal(checkpoint.Digest, batched.Checkpoint().Checkpoint.Digest);

        // A server that was away, and has outcomes of its own, comes in by the checkpoint and goes on with the numbers behind it.
        using var away = new Lab(Small);
        away.Apply(sequence[..70], new RandomSource(seed + 1), one: false);
        var own = new RejectedTag(Tag(1_500_000_000_000, 2, 9), "own");
        away.Catalog.Apply(new CatalogBatch(1, [], [own]));
        Assert.Equal(CheckpointVerdict.Loaded, away.Catalog.Load(checkpoint, i => blocks[i]));
        Assert.Equal(checkpoint.Digest, away.Checkpoint().Checkpoint.Digest);
        plain.Apply(sequence[200..], new RandomSource(0), one: true);
        away.Apply(sequence[200..], new RandomSource(seed + 2), one: false);
        Assert.Equal(plain.Checkpoint().Checkpoint.Digest, away.Checkpoint().Checkpoint.Digest);
        Assert.Equal(plain.Names(), away.Names());
        using CatalogReader reader = away.Catalog.OpenReader();
        using CatalogReader plainReader = plain.Catalog.OpenReader();
        Assert.Equal(
            plainReader.DigestOf(Protocols.IndexMerge.MergeRange.Root)
                + Protocols.IndexMerge.MergeDigest.Of(own.Tag, Protocols.IndexMerge.TagOutcome.Rejected),
            reader.DigestOf(Protocols.IndexMerge.MergeRange.Root));
        Assert.Equal(Protocols.IndexMerge.TagOutcome.Rejected, reader.Outcome(own.Tag));
        Assert.Equal(own.Tag, reader.Key("own")!.Value.Tag);
    }

    [Fact]
    public void Checkpoint_has_the_sessions_as_of_its_number_though_the_catalog_kept_earlier_ones()
    {
        // A restored cluster once had sessions behind the number that it began with: no sequencer could bring them up to it.
        ImmutableArray<SequencedEntry> sequence = CatalogSequenceTests.Sequence(new RandomSource(8), 40);
        using var source = new Lab(Small);
        source.Apply(sequence, new RandomSource(1), one: true, sessions: false);
        (CatalogCheckpoint checkpoint, List<byte[]> blocks) = source.Checkpoint();
        using var target = new Lab(Small);
        Assert.Equal(CheckpointVerdict.Loaded, target.Catalog.Load(checkpoint, i => blocks[i]));
        using CatalogReader reader = target.Catalog.OpenReader();
        Assert.True(SessionTable.TryRead(reader.Sessions().State, SessionTable.NoLifetime, out SessionTable table));
        Assert.Equal(40UL, table.Number);
    }

    [Fact]
    public void Checkpoint_that_is_not_what_was_agreed_on_changes_nothing()
    {
        ImmutableArray<SequencedEntry> sequence = CatalogSequenceTests.Sequence(new RandomSource(5), 200);
        using var source = new Lab(Small);
        source.Apply(sequence, new RandomSource(0), one: false);
        (CatalogCheckpoint checkpoint, List<byte[]> blocks) = source.Checkpoint();
        using var target = new Lab(Small);
        target.Apply(sequence[..50], new RandomSource(0), one: false);
        Digest before = target.Checkpoint().Checkpoint.Digest;
        for (int i = 0; i < blocks.Count; i++)
        {
            byte[] wrong = [.. blocks[i]];
            wrong[^1] ^= 1;
            Assert.Equal(CheckpointVerdict.WrongBlock, target.Catalog.Load(checkpoint, j => j == i ? wrong : blocks[j]));

            // That one is missing from the list only the list's digest tells, where it held whole items.
            Assert.NotEqual(checkpoint.Digest, (checkpoint with { Blocks = checkpoint.Blocks.RemoveAt(i) }).Digest);
            Assert.Equal(before, target.Checkpoint().Checkpoint.Digest);
        }

        CatalogCheckpoint cut = checkpoint with { Blocks = checkpoint.Blocks.RemoveAt(checkpoint.Blocks.Length - 1) };
        Assert.Equal(CheckpointVerdict.Unreadable, target.Catalog.Load(cut, i => blocks[i]));
        Assert.Equal(before, target.Checkpoint().Checkpoint.Digest);
    }

    [Fact]
    public void Checkpoint_from_servers_with_other_options_or_behind_is_refused()
    {
        ImmutableArray<SequencedEntry> sequence = CatalogSequenceTests.Sequence(new RandomSource(6), 100);
        using var source = new Lab(Small);
        source.Apply(sequence, new RandomSource(0), one: false);
        (CatalogCheckpoint checkpoint, List<byte[]> blocks) = source.Checkpoint();
        using var other = new Lab(Small with { KeyCount = 16 });
        Assert.Equal(CheckpointVerdict.OtherOptions, other.Catalog.Load(checkpoint, i => blocks[i]));
        Assert.Equal(default, other.Catalog.AppliedNumber);
        Assert.Equal(CheckpointVerdict.NotAhead, source.Catalog.Load(checkpoint, i => blocks[i]));
    }

    [Fact]
    public void List_of_blocks_is_read_as_it_was_written_and_refused_cut_or_prolonged()
    {
        var checkpoint = new CatalogCheckpoint(
            new SequenceNumber(7), [new CheckpointBlock(ChunkId.Of("a"u8), 5), new CheckpointBlock(ChunkId.Of("b"u8), 6)]);
        byte[] bytes = checkpoint.Write();
        string expected = "01" + "0700000000000000" + "02000000" + Digest.Of("a"u8) + "05000000" + Digest.Of("b"u8) + "06000000";
        Assert.Equal(expected, Convert.ToHexStringLower(bytes));
        Assert.True(CatalogCheckpoint.TryRead(bytes, out CatalogCheckpoint? read));
        Assert.Equal((checkpoint.Number, checkpoint.Digest, 11L), (read.Number, read.Digest, read.Size));
        Assert.Equal(Digest.Of(bytes), read.Digest);
        for (int length = 0; length < bytes.Length; length++)
        {
            Assert.False(CatalogCheckpoint.TryRead(bytes.AsSpan(0, length), out _));
        }

        Assert.False(CatalogCheckpoint.TryRead([.. bytes, 0], out _));
    }

    [Fact]
    public void Next_checkpoint_has_most_blocks_in_common_with_the_last_INT09()
    {
        using var lab = new Lab(new CatalogOptions());
        var random = new RandomSource(1);
        Submission Next(int i) => Submission(Tag(1_000_000_000_000 + i), Put($"name-{random.Below(100_000)}", new string('x', 400)));
        lab.Apply(
            [.. Enumerable.Range(1, 12_000).Select(i => new SequencedEntry(new SequenceNumber((ulong)i), Next(i)))], random, one: false);
        (CatalogCheckpoint first, List<byte[]> blocks) = lab.Checkpoint();
        lab.Apply(
            [.. Enumerable.Range(12_001, 200).Select(i => new SequencedEntry(new SequenceNumber((ulong)i), Next(i)))], random, one: false);
        (CatalogCheckpoint second, _) = lab.Checkpoint();
        Assert.All(blocks, block => Assert.InRange(block.Length, 1, CatalogCheckpoint.MaxBlockBytes));
        int common = second.Blocks.Count(first.Blocks.Contains);
        Assert.True(second.Blocks.Length > 20 && common * 4 > second.Blocks.Length * 3, $"{common} of {second.Blocks.Length}");
    }

    [Fact]
    public void Record_longer_than_a_block_is_cut_and_joined()
    {
        using var lab = new Lab(Small);
        Submission large = Submission(Tag(10), Put("a", new string('x', 3 << 20)));
        lab.Apply([new SequencedEntry(new SequenceNumber(1), large)], new RandomSource(1), one: true);
        (CatalogCheckpoint checkpoint, List<byte[]> blocks) = lab.Checkpoint();
        using var other = new Lab(Small);
        Assert.Equal(CheckpointVerdict.Loaded, other.Catalog.Load(checkpoint, i => blocks[i]));
        Assert.Equal(checkpoint.Digest, other.Checkpoint().Checkpoint.Digest);
        using CatalogReader reader = other.Catalog.OpenReader();
        Assert.Equal(3 << 20, reader.Current(Name("a"))!.Manifest!.Inline.Length);
    }

    [Fact]
    public void Checkpoint_of_a_file_is_of_the_number_at_its_making_while_the_writer_goes_on()
    {
        using var folder = new Devices.TemporaryFolder();
        using Catalog catalog = Catalog.Open(CatalogLocation.File(Path.Combine(folder.Path, "catalog.db")), Small);
        ImmutableArray<SequencedEntry> sequence = CatalogSequenceTests.Sequence(new RandomSource(3), 100);
        catalog.Apply(new CatalogBatch(1, [], []) { Entries = sequence[..60] });
        using CatalogReader reader = catalog.OpenReader();
        using var writer = new CatalogCheckpointWriter(reader);
        catalog.Apply(new CatalogBatch(1, [], []) { Entries = sequence[60..] });
        using var at60 = new Lab(Small);
        at60.Apply(sequence[..60], new RandomSource(1), one: false, sessions: false);
        Assert.Equal(new SequenceNumber(60), writer.Number);
        Assert.Equal(at60.Checkpoint().Checkpoint.Digest, writer.Write(_ => { }).Digest);
        Assert.Equal(new SequenceNumber(100), catalog.AppliedNumber);
    }

    [Fact]
    public void Checkpoint_from_before_the_feed_is_loaded_by_an_empty_catalog_only_and_its_versions_are_read_without_one()
    {
        using var source = new Lab(Small);
        Submission[] put =
            [.. Enumerable.Range(0, 5).Select(i => Submission(Tag(1_000_000_000_000 + i), Put($"name-{i % 3}", $"text {i}")))];
        source.Catalog.Apply(new CatalogBatch(1, [.. put], []));
        (CatalogCheckpoint checkpoint, List<byte[]> blocks) = source.Checkpoint();
        Assert.Equal(default, checkpoint.Number);

        using var target = new Lab(Small);
        Assert.Equal(CheckpointVerdict.Loaded, target.Catalog.Load(checkpoint, i => blocks[i]));
        Assert.Equal(checkpoint.Digest, target.Checkpoint().Checkpoint.Digest);
        Assert.Equal(source.Names(), target.Names());
        Assert.Equal(CheckpointVerdict.NotAhead, target.Catalog.Load(checkpoint, i => blocks[i]));

        var versions = new List<(Tag, string)>();
        Assert.Equal(
            CheckpointVerdict.Loaded,
            CheckpointVersions.Read(checkpoint, i => blocks[i], (tag, operation) => versions.Add((tag, operation.Target.Name))));
        Assert.Equal(put.Select(s => (s.Tag, s.Operations[0].Target.Name)), versions);
        Assert.Equal(
            CheckpointVerdict.WrongBlock, CheckpointVersions.Read(checkpoint, i => i == 1 ? new byte[5] : blocks[i], (_, _) => { }));
    }

    private sealed class Lab : IDisposable
    {
        private readonly CatalogMemory _memory = new();

        public Lab(CatalogOptions options) => Catalog = Catalog.Open(CatalogLocation.InMemory(_memory), options);

        public Catalog Catalog { get; }

        public void Apply(ImmutableArray<SequencedEntry> entries, RandomSource random, bool one, bool sessions = true)
        {
            for (int next = 0; next < entries.Length;)
            {
                int count = one ? 1 : Math.Min(entries.Length - next, 1 + random.Below(400));
                ImmutableArray<SequencedEntry> batch = entries.Slice(next, count);

                // A server keeps the sessions' state now and then, so that what it has is of an earlier number as a rule.
                ReadOnlyMemory<byte>? kept = sessions && random.Below(3) == 0 ? Behind(batch) : default(ReadOnlyMemory<byte>?);
                Catalog.Apply(new CatalogBatch(1, [], []) { Entries = batch, Sessions = kept });
                next += count;
            }
        }

        private byte[] Behind(ImmutableArray<SequencedEntry> batch)
        {
            using CatalogReader reader = Catalog.OpenReader();
            SessionTable table = reader.SessionsAsApplied();
            foreach (SequencedEntry entry in batch)
            {
                table.Apply(entry.Value);
            }

            return table.Serialize();
        }

        public (CatalogCheckpoint Checkpoint, List<byte[]> Blocks) Checkpoint()
        {
            using CatalogReader reader = Catalog.OpenReader();
            using var writer = new CatalogCheckpointWriter(reader);
            var blocks = new List<byte[]>();
            return (writer.Write(block => blocks.Add(block.ToArray())), blocks);
        }

        public string Names()
        {
            using CatalogReader reader = Catalog.OpenReader();
            return string.Join('\n', reader.List(new ListQuery("bucket", Limit: 10_000, Versions: true)).Objects.Select(
                v => $"{v.Target} {v.Tag} {v.Number} {v.IsCurrent}")) + $" {reader.NameCount("bucket")} "
                + string.Join(' ', Enumerable.Range(0, 5).Select(i => reader.IsReferenced(Chunk(i))))
                + string.Join(' ', reader.ItemsIn(Protocols.IndexMerge.MergeRange.Root, default, 1000)
                    .Where(i => i.Outcome == Protocols.IndexMerge.TagOutcome.Accepted));
        }

        public void Dispose()
        {
            Catalog.Dispose();
            _memory.Dispose();
        }
    }
}
