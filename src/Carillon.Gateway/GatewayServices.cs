using System.Buffers.Text;
using System.Globalization;
using System.Security.Cryptography;
using Carillon.Gateway.Feeds;
using Carillon.Gateway.Metrics;
using Carillon.Gateway.Streams;
using Carillon.Runtime.Groups;
using Carillon.Runtime.Security;
using Carillon.Runtime.Services;
using Carillon.Runtime.Serving;
using Microsoft.Extensions.Logging;

namespace Carillon.Gateway;

/// <summary>What every request of one gateway shares.</summary>
internal sealed class GatewayServices : IDisposable
{
    private readonly string _keyPrefix = Base64Url.EncodeToString(RandomNumberGenerator.GetBytes(15));
    private long _keys;

    public GatewayServices(GatewayOptions options, IEntryServer server, IServiceGate? services, IGroupGate? groups, ILogger log)
    {
        Services = services;
        Groups = groups;
        Options = options;
        Server = server;
        Log = log;
        RequestPrefix = $"{server.Name}.";
        Tokens = options.RequiresToken ? options.Tokens : null;
        Streams = new OpenStreams(options.Heartbeat);
        Feed = new FeedHub(server.Feed, log);
        LargeChangesets = new SemaphoreSlim(options.MaxLargeChangesets);
    }

    public GatewayOptions Options { get; }

    public IEntryServer Server { get; }

    /// <summary>Services with one primary; null for a server that takes no part in them.</summary>
    public IServiceGate? Services { get; }

    /// <summary>Atomic multicast groups; null for a server that takes no part in them.</summary>
    public IGroupGate? Groups { get; }

    /// <summary>Those who watch the feed.</summary>
    public FeedHub Feed { get; }

    public ILogger Log { get; }

    /// <summary>What a request's id starts with, so that it tells which server to ask.</summary>
    public string RequestPrefix { get; }

    /// <summary>The tokens; null where none is asked for.</summary>
    public BearerTokens? Tokens { get; }

    /// <summary>Bounds the memory that large changesets hold together.</summary>
    public SemaphoreSlim LargeChangesets { get; }

    public PrometheusExporter Exporter { get; } = new();

    /// <summary>True once a stop was asked for: this server takes no new work.</summary>
    public bool Stopping => Volatile.Read(ref _stopping);

    /// <summary>Signalled once a stop was asked for: connections that would never end by themselves end now.</summary>
    public CancellationToken Ending => _ending.Token;

    /// <summary>Answers that would never end by themselves; they end by a stop too.</summary>
    public OpenStreams Streams { get; }

    private readonly CancellationTokenSource _ending = new();
    private bool _stopping;

    /// <summary>From now on new requests are refused.</summary>
    public void Stop()
    {
        Volatile.Write(ref _stopping, true);
        Streams.Stop();
        _ending.Cancel();
    }

    /// <summary>
    /// Makes an idempotency key for a client that gave none: 120 random bits drawn at the start and a count. It need not be secret, only
    /// never be made twice, and a random draw per put would cost more than the rest of the gateway's part.
    /// </summary>
    public string MakeKey() => string.Create(CultureInfo.InvariantCulture, $"{_keyPrefix}.{Interlocked.Increment(ref _keys)}");

    public void Dispose()
    {
        LargeChangesets.Dispose();
        _ending.Dispose();
        Streams.Dispose();
        Feed.Dispose();
        Exporter.Dispose();
    }
}
