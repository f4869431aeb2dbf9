using Carillon.Node.Groups;
using Carillon.Node.Requests;
using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Submissions;

namespace Carillon.Runtime.Groups;

/// <summary>Submissions about groups: each is an object of the bucket <c>.system</c>.</summary>
internal static class GroupRecords
{
    /// <summary>A creation. Repeated under its key it has the same content; under another key another identity, so that it gives way to the
    /// record that is there.</summary>
    public static SubmitRequest Put(GroupName group, GroupSettings settings, string key)
    {
        byte[] content = new GroupRecord(GroupRecord.IdOf(group, key), settings).Write();
        var manifest = new ObjectManifest
        {
            Size = content.Length, Sha256 = Digest.Of(content), ContentType = "application/json", Inline = content,
        };
        return new SubmitRequest([new Operation(OperationKind.Put, GroupRecord.TargetOf(group), manifest)], key, default);
    }

    public static SubmitRequest Delete(GroupName group, string key) =>
        new([new Operation(OperationKind.Delete, GroupRecord.TargetOf(group), null)], key, default);
}
