using System.Buffers.Text;
using System.Globalization;
using System.Security.Cryptography;
using Carillon.Gateway.Metrics;
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

    public GatewayServices(GatewayOptions options, IEntryServer server, IServiceGate? services, ILogger log)
    {
        Services = services;
        Options = options;
        Server = server;
        Log = log;
        RequestPrefix = $"{server.Name}.";
        Tokens = options.RequiresToken ? options.Tokens : null;
        LargeChangesets = new SemaphoreSlim(options.MaxLargeChangesets);
    }

    public GatewayOptions Options { get; }

    public IEntryServer Server { get; }

    /// <summary>Services with one primary; null for a server that takes no part in them.</summary>
    public IServiceGate? Services { get; }

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

    private bool _stopping;

    /// <summary>From now on new requests are refused.</summary>
    public void Stop() => Volatile.Write(ref _stopping, true);

    /// <summary>
    /// Makes an idempotency key for a client that gave none: 120 random bits drawn at the start and a count. It need not be secret, only
    /// never be made twice, and a random draw per put would cost more than the rest of the gateway's part.
    /// </summary>
    public string MakeKey() => string.Create(CultureInfo.InvariantCulture, $"{_keyPrefix}.{Interlocked.Increment(ref _keys)}");

    public void Dispose()
    {
        LargeChangesets.Dispose();
        Exporter.Dispose();
    }
}
