using System.Buffers;
using System.Text;
using Carillon.Protocols.Submissions;

namespace Carillon.Client;

/// <summary>The native API's paths, percent-encoded.</summary>
internal static class Paths
{
    private static readonly SearchValues<char> Plain =
        SearchValues.Create("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/");

    /// <summary>An object. Its segments are encoded one by one, so that the slashes between them stay slashes.</summary>
    public static string Object(ObjectName target) => $"/v1/buckets/{target.Bucket}/objects/{EncodeName(target.Name)}";

    /// <summary>A bucket.</summary>
    public static string Bucket(string bucket) => "/v1/buckets/" + Uri.EscapeDataString(bucket);

    /// <summary>Everything known about a name.</summary>
    public static string Explain(ObjectName target) => $"/v1/explain/{target.Bucket}/{EncodeName(target.Name)}";

    /// <summary>A page of a listing.</summary>
    public static string Listing(string bucket, string prefix, string? delimiter, string? after, int limit, bool versions)
    {
        var path = new StringBuilder(Bucket(bucket)).Append("/objects?prefix=").Append(Uri.EscapeDataString(prefix));
        if (delimiter is not null)
        {
            path.Append("&delimiter=").Append(Uri.EscapeDataString(delimiter));
        }

        if (after is not null)
        {
            path.Append("&after=").Append(Uri.EscapeDataString(after));
        }

        path.Append("&limit=").Append(limit);
        return versions ? path.Append("&versions=true").ToString() : path.ToString();
    }

    /// <summary>The feed.</summary>
    public static string Feed(string start, string bucket, string prefix)
    {
        var path = new StringBuilder("/v1/feed?from=").Append(start);
        if (bucket.Length > 0)
        {
            path.Append("&bucket=").Append(Uri.EscapeDataString(bucket));
        }

        return prefix.Length > 0 ? path.Append("&prefix=").Append(Uri.EscapeDataString(prefix)).ToString() : path.ToString();
    }

    private static string EncodeName(string name) =>
        name.AsSpan().ContainsAnyExcept(Plain) ? string.Join('/', name.Split('/').Select(Uri.EscapeDataString)) : name;
}
