using System.Collections.Immutable;
using Carillon.Protocols;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.Tests.VectorExchange;
using Carillon.Protocols.VectorExchange;
using Carillon.Storage.Catalogs;
using Xunit;

namespace Carillon.Node.Tests;

/// <summary>What a bucket's settings say of a push: docs/protocols/vector-exchange.md, "Reads by number".</summary>
public sealed class BucketRulesTests : IDisposable
{
    private readonly CatalogMemory _memory = new();
    private readonly Catalog _catalog;
    private readonly CatalogReader _reader;
    private readonly AppliedState _applied;
    private readonly BucketRules _rules;
    private ulong _stamp;

    public BucketRulesTests()
    {
        _catalog = Catalog.Open(CatalogLocation.InMemory(_memory), new CatalogOptions());
        _reader = _catalog.OpenReader();
        _applied = new AppliedState(_reader);
        VectorExchange exchange = new ExchangeLab(1, 1)["s1"].Core;
        _rules = new BucketRules(_reader, _applied, () => exchange);
    }

    public void Dispose()
    {
        _reader.Dispose();
        _catalog.Dispose();
        _memory.Dispose();
    }

    [Fact]
    public void Write_that_may_be_answered_without_a_number_is_refused_while_its_bucket_does_not_allow_that()
    {
        Set(allowsAgreed: true);
        Assert.Null(_rules.Refuse(Write()));
        Assert.True(_applied.Numbered("files").Record.IsNone);

        Set(allowsAgreed: false);
        Assert.Equal(PushVerdict.Unnumbered, _rules.Refuse(Write()));
        Assert.Equal((TagOf(2), 2UL), _applied.Numbered("files"));

        // Those are answered with their numbers only.
        Assert.Null(_rules.Refuse(Write(needsNumber: true)));
        Assert.Null(_rules.Refuse(Write(condition: Precondition.Absent)));
        Assert.Null(_rules.Refuse(Submission.Create(
            TagOf(90), default, new DiskId(7), "k", [Delete("a"), Delete("b")])));

        Set(allowsAgreed: true);
        Assert.Null(_rules.Refuse(Write()));
    }

    private static Tag TagOf(ulong stamp) => new(new Uid(new Timestamp(stamp), NodeId.Parse("s1")), stamp);

    private static Operation Delete(string name) => new(OperationKind.Delete, new ObjectName("files", name), null);

    private static Submission Write(bool needsNumber = false, Precondition condition = default) => Submission.Create(
        TagOf(99), default, new DiskId(7), "key", [Delete("a") with { Precondition = condition }], needsNumber: needsNumber);

    private void Set(bool allowsAgreed)
    {
        byte[] content = new BucketSettings { AckAgreed = allowsAgreed }.Write();
        var manifest = new ObjectManifest { Size = content.Length, Sha256 = Digest.Of(content), Inline = content };
        ImmutableArray<Operation> put = [new Operation(OperationKind.Put, new ObjectName(ObjectName.SystemBucket, "files"), manifest)];
        _stamp++;
        Submission record = Submission.Create(TagOf(_stamp), default, new DiskId(7), $"bucket{_stamp}", put);
        var batch = new CatalogBatch(_stamp, [], []) { Entries = [new SequencedEntry(_catalog.AppliedNumber.Next, record)] };
        _applied.Applied(batch, _catalog.Apply(batch));
    }
}
