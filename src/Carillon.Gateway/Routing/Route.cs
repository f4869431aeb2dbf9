namespace Carillon.Gateway.Routing;

/// <summary>What a request target is about.</summary>
internal enum RouteKind
{
    /// <summary>Nothing that is known.</summary>
    None,

    /// <summary><c>/v1/buckets</c></summary>
    Buckets,

    /// <summary><c>/v1/buckets/{bucket}</c></summary>
    Bucket,

    /// <summary><c>/v1/buckets/{bucket}/objects</c></summary>
    Listing,

    /// <summary><c>/v1/buckets/{bucket}/objects/{name…}</c></summary>
    Object,

    /// <summary><c>/v1/changesets</c></summary>
    Changesets,

    /// <summary><c>/v1/submissions</c></summary>
    SubmissionByKey,

    /// <summary><c>/v1/submissions/{id}</c></summary>
    Submission,

    /// <summary><c>/v1/explain/{bucket}/{name…}</c></summary>
    Explain,

    /// <summary><c>/v1/services</c></summary>
    Services,

    /// <summary><c>/v1/services/{name}</c></summary>
    Service,

    /// <summary><c>/v1/services/{name}/…</c></summary>
    ServicePart,

    /// <summary><c>/v1/groups</c></summary>
    Groups,

    /// <summary><c>/v1/groups/{group}</c></summary>
    Group,

    /// <summary><c>/v1/groups/{group}/messages</c></summary>
    GroupMessages,

    /// <summary><c>/v1/feed</c></summary>
    Feed,

    /// <summary><c>/v1/backup</c></summary>
    Backup,

    /// <summary><c>/v1/chunks/{id}</c></summary>
    Chunk,

    /// <summary><c>/v1/cluster</c></summary>
    Cluster,

    /// <summary><c>/v1/cluster/configuration</c></summary>
    Configuration,

    /// <summary><c>/v1/cluster/changes</c></summary>
    ClusterChanges,

    /// <summary><c>/healthz/live</c></summary>
    Live,

    /// <summary><c>/healthz/ready</c></summary>
    Ready,

    /// <summary><c>/healthz/cluster</c></summary>
    ClusterHealth,

    /// <summary><c>/metrics</c></summary>
    Metrics,
}

/// <summary>
/// A raw request target taken apart: which route, and its bucket, its name (or id) and its query, all still percent-encoded. Dot
/// segments are not resolved and nothing is decoded here, so a target can only be what its bytes say.
/// </summary>
internal readonly ref struct Route
{
    private Route(RouteKind kind, ReadOnlySpan<char> bucket, ReadOnlySpan<char> name, ReadOnlySpan<char> query)
    {
        Kind = kind;
        Bucket = bucket;
        Name = name;
        Query = query;
    }

    /// <summary>Which one.</summary>
    public RouteKind Kind { get; }

    /// <summary>The bucket, or a service's or a group's name, encoded.</summary>
    public ReadOnlySpan<char> Bucket { get; }

    /// <summary>The object's name, a submission's id, or what is below a service, encoded.</summary>
    public ReadOnlySpan<char> Name { get; }

    /// <summary>What follows the question mark.</summary>
    public ReadOnlySpan<char> Query { get; }

    /// <summary>Takes a raw target apart: origin form, or absolute form as proxies send it (RFC 9112 section 3.2).</summary>
    public static Route Of(ReadOnlySpan<char> target)
    {
        int scheme = target.StartsWith("http://", StringComparison.OrdinalIgnoreCase) ? 7
            : target.StartsWith("https://", StringComparison.OrdinalIgnoreCase) ? 8 : 0;
        if (scheme > 0)
        {
            int slash = target[scheme..].IndexOf('/');
            target = slash < 0 ? "/" : target[(scheme + slash)..];
        }

        int mark = target.IndexOf('?');
        ReadOnlySpan<char> query = mark < 0 ? [] : target[(mark + 1)..];
        ReadOnlySpan<char> path = mark < 0 ? target : target[..mark];
        return path.StartsWith("/v1/", StringComparison.Ordinal) ? OfVersion1(path[4..], query) : new(OfOperations(path), [], [], query);
    }

    private static Route OfVersion1(ReadOnlySpan<char> path, ReadOnlySpan<char> query)
    {
        ReadOnlySpan<char> rest = Cut(path, out ReadOnlySpan<char> first, out bool more);
        switch (first)
        {
            case "buckets":
                return more ? OfBucket(rest, query) : new(RouteKind.Buckets, [], [], query);
            case "changesets" when !more:
                return new(RouteKind.Changesets, [], [], query);
            case "submissions":
                return more ? new(RouteKind.Submission, [], rest, query) : new(RouteKind.SubmissionByKey, [], [], query);
            case "explain" when more:
                ReadOnlySpan<char> name = Cut(rest, out ReadOnlySpan<char> bucket, out _);
                return new(RouteKind.Explain, bucket, name, query);
            case "services":
                return more ? OfService(rest, query) : new(RouteKind.Services, [], [], query);
            case "groups":
                return more ? OfGroup(rest, query) : new(RouteKind.Groups, [], [], query);
            case "feed" when !more:
                return new(RouteKind.Feed, [], [], query);
            case "backup" when !more:
                return new(RouteKind.Backup, [], [], query);
            case "chunks" when more:
                return new(RouteKind.Chunk, [], rest, query);
            case "cluster" when !more:
                return new(RouteKind.Cluster, [], [], query);
            case "cluster" when rest is "configuration":
                return new(RouteKind.Configuration, [], [], query);
            case "cluster" when rest is "changes":
                return new(RouteKind.ClusterChanges, [], [], query);
            default:
                return new(RouteKind.None, [], [], query);
        }
    }

    private static Route OfBucket(ReadOnlySpan<char> path, ReadOnlySpan<char> query)
    {
        ReadOnlySpan<char> rest = Cut(path, out ReadOnlySpan<char> bucket, out bool more);
        if (!more)
        {
            return new(RouteKind.Bucket, bucket, [], query);
        }

        ReadOnlySpan<char> name = Cut(rest, out ReadOnlySpan<char> objects, out bool named);
        return objects is not "objects" ? new(RouteKind.None, [], [], query)
            : new(named ? RouteKind.Object : RouteKind.Listing, bucket, name, query);
    }

    private static Route OfService(ReadOnlySpan<char> path, ReadOnlySpan<char> query)
    {
        ReadOnlySpan<char> part = Cut(path, out ReadOnlySpan<char> service, out bool more);
        return new(more ? RouteKind.ServicePart : RouteKind.Service, service, part, query);
    }

    private static Route OfGroup(ReadOnlySpan<char> path, ReadOnlySpan<char> query)
    {
        ReadOnlySpan<char> part = Cut(path, out ReadOnlySpan<char> group, out bool more);
        return !more ? new(RouteKind.Group, group, [], query)
            : part is "messages" ? new(RouteKind.GroupMessages, group, [], query) : new(RouteKind.None, [], [], query);
    }

    private static RouteKind OfOperations(ReadOnlySpan<char> path) => path switch
    {
        "/healthz/live" => RouteKind.Live,
        "/healthz/ready" => RouteKind.Ready,
        "/healthz/cluster" => RouteKind.ClusterHealth,
        "/metrics" => RouteKind.Metrics,
        _ => RouteKind.None,
    };

    private static ReadOnlySpan<char> Cut(ReadOnlySpan<char> path, out ReadOnlySpan<char> segment, out bool more)
    {
        int slash = path.IndexOf('/');
        more = slash >= 0;
        segment = more ? path[..slash] : path;
        return more ? path[(slash + 1)..] : [];
    }
}
