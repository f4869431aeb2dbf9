using Carillon.Protocols;
using Carillon.Gateway.Json;
using Carillon.Gateway.Problems;
using Carillon.Gateway.Routing;
using Carillon.Protocols.Submissions;
using Carillon.Runtime.Serving;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace Carillon.Gateway;

/// <summary>One request and its answer. One object serves all requests of a connection, one after the other.</summary>
internal sealed class Exchange
{
    /// <summary>The response header with the request's id.</summary>
    public const string RequestIdHeader = "Carillon-Request-Id";

    /// <summary>The response header with the idempotency key in use, given or made.</summary>
    public const string KeyHeader = "Carillon-Key";

    /// <summary>The response header with a problem's code: all that a HEAD can tell.</summary>
    public const string ProblemHeader = "Carillon-Problem";

    /// <summary>The response header with the UID of the tombstone, where a name was deleted.</summary>
    public const string TombstoneHeader = "Carillon-Tombstone";

    /// <summary>The response header with the feed's number of what is answered: a write, a version, a listing's state.</summary>
    public const string SequenceHeader = "Carillon-Sequence";

    private readonly DefaultHttpContext _http = new();
    private string _target = "";

    /// <summary>What else the connection can do for this request.</summary>
    public IFeatureCollection Features => _http.Features;

    /// <summary>The gateway that the request came to.</summary>
    public GatewayServices Gateway { get; private set; } = null!;

    /// <summary>The server behind it.</summary>
    public IEntryServer Server => Gateway.Server;

    public HttpRequest Request => _http.Request;

    public HttpResponse Response => _http.Response;

    /// <summary>Signalled when the client has gone.</summary>
    public CancellationToken Aborted => _http.RequestAborted;

    /// <summary>
    /// The request's name in logs and problems: the server's name and a number that no other request to this process has.
    /// </summary>
    public string RequestId { get; private set; } = "";

    /// <summary>The target taken apart.</summary>
    public Route Route => Route.Of(_target);

    /// <summary>Which route, kept for the metrics.</summary>
    public RouteKind Kind { get; private set; }

    /// <summary>When the request's head was complete, as <see cref="System.Diagnostics.Stopwatch.GetTimestamp"/>.</summary>
    public long Started { get; private set; }

    /// <summary>The idempotency key in use; null on reads.</summary>
    public string? Key { get; private set; }

    /// <summary>Starts a request.</summary>
    public void Begin(GatewayServices gateway, IFeatureCollection features)
    {
        _http.Initialize(features);
        Gateway = gateway;
        Started = System.Diagnostics.Stopwatch.GetTimestamp();
        Key = null;
        _target = features.Get<IHttpRequestFeature>()!.RawTarget;
        Kind = Route.Kind;
        RequestId = string.Concat(gateway.RequestPrefix, _http.TraceIdentifier);
        _http.Response.Headers[RequestIdHeader] = RequestId;
    }

    /// <summary>Ends it: nothing of the request is kept.</summary>
    public void End()
    {
        _http.Uninitialize();
        _target = "";
    }

    /// <summary>Cuts the connection off: the only honest end of an answer that can't be finished.</summary>
    public void Abort() => _http.Abort();

    /// <summary>Takes the key in use, and tells the client from now on.</summary>
    public void Use(string key)
    {
        Key = key;
        Response.Headers[KeyHeader] = key;
    }

    /// <summary>The route's bucket, or why it is none.</summary>
    public bool TryBucket(out string bucket, out Problem? problem)
    {
        if (!PercentCoding.TryDecode(Route.Bucket, plusIsSpace: false, out bucket, out string fault))
        {
            problem = new Problem(ProblemTypes.BadBucketName, $"The bucket's name can't be read: {fault}.");
            return false;
        }

        // The system's bucket may be looked at, never written to.
        bool isShown = bucket == ObjectName.SystemBucket && Methods.IsRead(Request);
        problem = !isShown && ObjectName.FaultOfBucket(bucket) is { } rule
            ? new Problem(ProblemTypes.BadBucketName, $"'{Shown.Text(bucket)}': {rule}.") : null;
        return problem is null;
    }

    /// <summary>The route's bucket and name, or why they are none.</summary>
    public bool TryTarget(out ObjectName target, out Problem? problem)
    {
        target = default;
        if (!TryBucket(out string bucket, out problem))
        {
            return false;
        }

        if (!PercentCoding.TryDecode(Route.Name, plusIsSpace: false, out string name, out string fault))
        {
            problem = new Problem(ProblemTypes.BadName, $"The name can't be read: {fault}.");
            return false;
        }

        if (ObjectName.FaultOfName(name) is { } rule)
        {
            problem = new Problem(ProblemTypes.BadName, $"'{Shown.Text(name)}': {rule}.");
            return false;
        }

        target = new ObjectName(bucket, name);
        return true;
    }

    /// <summary>The query, of which only these parameters are known here, or what is wrong with it.</summary>
    public bool TryQuery(ReadOnlySpan<string> known, out QueryText query, out Problem? problem)
    {
        bool good = QueryText.TryRead(Route.Query, known, out query, out string fault);
        problem = good ? null : new Problem(ProblemTypes.BadRequest, $"{char.ToUpperInvariant(fault[0])}{fault[1..]}.");
        return good;
    }

    /// <summary>Answers with a problem and a header of its own, or cuts the connection off where the answer has begun.</summary>
    public Task FailAsync(Problem problem, string? header = null, string? value = null)
    {
        if (Response.HasStarted)
        {
            Abort();
            return Task.CompletedTask;
        }

        // What an answer had in store so far (an entity tag, a range) would be wrong about a problem.
        IHeaderDictionary headers = Response.Headers;
        headers.Clear();
        headers[RequestIdHeader] = RequestId;
        headers[ProblemHeader] = problem.Type.Code;
        if (Key is not null)
        {
            headers[KeyHeader] = Key;
        }

        if (problem.Tombstone is not null)
        {
            headers[TombstoneHeader] = problem.Tombstone;
        }

        if (!problem.Sequence.IsNone)
        {
            headers[SequenceHeader] = problem.Sequence.ToString();
        }

        if (problem.Type.Status == StatusCodes.Status503ServiceUnavailable)
        {
            headers.RetryAfter = "1";
        }

        if (header is not null)
        {
            headers[header] = value;
        }

        JsonBody body = JsonBody.Rent();
        ProblemJson.Write(body.Writer, problem, this);
        return body.SendAsync(Response, problem.Type.Status, "application/problem+json");
    }

    /// <summary>Answers with a problem of this kind.</summary>
    public Task FailAsync(ProblemType type, string detail) => FailAsync(new Problem(type, detail));
}
