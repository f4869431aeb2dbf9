using Carillon.Protocols;
using Carillon.Protocols.Submissions;
using Carillon.Storage.Catalogs;
using Xunit;

namespace Carillon.Node.Tests;

public sealed class AppliedStateTests : IDisposable
{
    private readonly CatalogMemory _memory = new();
    private readonly Catalog _catalog;
    private readonly CatalogReader _reader;

    public AppliedStateTests()
    {
        _catalog = Catalog.Open(CatalogLocation.InMemory(_memory), new CatalogOptions());
        _reader = _catalog.OpenReader();
    }

    public void Dispose()
    {
        _reader.Dispose();
        _catalog.Dispose();
        _memory.Dispose();
    }

    [Fact]
    public void Accepted_key_is_found_whether_it_is_the_greatest_or_not()
    {
        var applied = new AppliedState(_reader);
        Assert.True(applied.AcceptedKey("k5").Tag.IsNone);

        Apply(applied, "k5", 1);
        Apply(applied, "k3", 2);

        Assert.Equal(TagOf(1), applied.AcceptedKey("k5").Tag);
        Assert.Equal(TagOf(2), applied.AcceptedKey("k3").Tag);
        Assert.True(applied.AcceptedKey("k4").Tag.IsNone);
        Assert.True(applied.AcceptedKey("k6").Tag.IsNone);
    }

    [Fact]
    public void Accepted_key_of_an_earlier_life_is_found()
    {
        Apply(new AppliedState(_reader), "k5", 1);

        var applied = new AppliedState(_reader);

        Assert.Equal(TagOf(1), applied.AcceptedKey("k5").Tag);
        Assert.True(applied.AcceptedKey("k6").Tag.IsNone);
    }

    private static Tag TagOf(ulong stamp) => new(new Uid(new Timestamp(stamp), NodeId.Parse("s1")), stamp);

    private void Apply(AppliedState applied, string key, ulong stamp)
    {
        var target = new ObjectName("files", $"name{stamp}");
        var submission = Submission.Create(TagOf(stamp), default, new DiskId(7), key, [new Operation(OperationKind.Delete, target, null)]);
        var batch = new CatalogBatch(stamp, [], []) { Entries = [new SequencedEntry(_catalog.AppliedNumber.Next, submission)] };
        applied.Applied(batch, _catalog.Apply(batch));
    }
}
