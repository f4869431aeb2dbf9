using Carillon.Node;
using Carillon.Node.Requests;
using Carillon.Protocols;
using Carillon.Protocols.Submissions;
using Carillon.Storage.Catalogs;

namespace Carillon.Runtime.Serving;

/// <summary>Submissions about buckets: each bucket is an object of the bucket <c>.system</c>, named by it, whose content is its
/// settings.</summary>
internal static class BucketRecords
{
    public static SubmitRequest Put(string bucket, BucketSettings settings, bool replace, string key)
    {
        byte[] content = settings.Write();
        var manifest = new ObjectManifest
        {
            Size = content.Length,
            Sha256 = Digest.Of(content),
            ContentType = "application/json",
            Metadata = replace ? [new(BucketRecordKeys.Replace, "true")] : [],
            Inline = content,
        };
        return new SubmitRequest([new Operation(OperationKind.Put, Target(bucket), manifest)], key, default);
    }

    public static SubmitRequest Delete(string bucket, string key) =>
        new([new Operation(OperationKind.Delete, Target(bucket), null)], key, default);

    private static ObjectName Target(string bucket) => new(ObjectName.SystemBucket, bucket);
}
