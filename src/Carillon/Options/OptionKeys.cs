using System.Collections.Frozen;
using System.Collections.Immutable;
using System.Reflection;
using Carillon.Node;
using Carillon.Protocols.Cluster;
using Carillon.Protocols.Membership;
using Carillon.Protocols.Replicast;
using Carillon.Protocols.VectorExchange;
using Carillon.Runtime.Loop;
using Carillon.Storage.Catalogs;

namespace Carillon.Options;

/// <summary>Where a value goes: through these sections of <see cref="ServerOptions"/> to that property.</summary>
internal sealed record OptionPlace(ImmutableArray<PropertyInfo> Sections, PropertyInfo Property)
{
    public object? Get(object options) => Property.GetValue(SectionOf(options));

    public void Set(object options, object? value) => Property.SetValue(SectionOf(options), value);

    private object? SectionOf(object? options) => Sections.Aggregate(options, (at, section) => section.GetValue(at));
}

/// <summary>One key of the configuration, and the places that its value goes to: two where components must agree on it.</summary>
internal sealed record OptionKey(string Name, Type Type, IReadOnlyList<OptionPlace> Places)
{
    /// <summary>Its variable in the environment.</summary>
    public string Variable => ConfigurationLoader.VariablePrefix + Name.Replace(".", "__", StringComparison.Ordinal).ToUpperInvariant();
}

/// <summary>
/// What every option is called: <c>section.key</c>, made of the component's place in <see cref="ServerOptions"/> and the
/// property's name, but for the names of the protocol pages, which this table gives.
/// </summary>
internal static class OptionKeys
{
    /// <summary>The key of this server's name, which stands alone.</summary>
    public const string ServerName = "name";

    /// <summary>The key of the list of servers, which is no plain value.</summary>
    public const string Servers = "cluster.servers";

    /// <summary>True for the first part of some key's name.</summary>
    public static bool IsSection(string name) => All.Any(key => key.Name.StartsWith(name + ".", StringComparison.Ordinal));

    /// <summary>The key of the HTTP port; where it is not given, the server's own record tells.</summary>
    public const string HttpPort = "http.port";

    private static readonly FrozenDictionary<(Type, string), string> Names = new Dictionary<(Type, string), string>
    {
        [(typeof(MembershipOptions), nameof(MembershipOptions.HeartbeatInterval))] = "heartbeat.interval",
        [(typeof(MembershipOptions), nameof(MembershipOptions.HeartbeatTimeout))] = "heartbeat.timeout",
        [(typeof(MembershipOptions), nameof(MembershipOptions.ProbeTimeout))] = "heartbeat.probeTimeout",
        [(typeof(MembershipOptions), nameof(MembershipOptions.ProbeHelpers))] = "heartbeat.probeHelpers",
        [(typeof(MembershipOptions), nameof(MembershipOptions.ClockMaxSkew))] = "clock.maxSkew",
        [(typeof(MembershipOptions), nameof(MembershipOptions.ClockStrict))] = "clock.strict",
        [(typeof(MembershipOptions), nameof(MembershipOptions.Transport))] = "transport.mode",
        [(typeof(MembershipOptions), nameof(MembershipOptions.MulticastProbe))] = "multicast.probe",
        [(typeof(MembershipOptions), nameof(MembershipOptions.MulticastSettle))] = "multicast.settle",
        [(typeof(MembershipOptions), nameof(MembershipOptions.DatagramBytes))] = "datagram.bytes",
        [(typeof(VectorExchangeOptions), nameof(VectorExchangeOptions.PushTimeout))] = "push.timeout",
        [(typeof(VectorExchangeOptions), nameof(VectorExchangeOptions.PushMinimumRate))] = "push.minRate",
        [(typeof(VectorExchangeOptions), nameof(VectorExchangeOptions.ExchangeTimeout))] = "exchange.timeout",
        [(typeof(VectorExchangeOptions), nameof(VectorExchangeOptions.TemporaryTtl))] = "temporary.ttl",
        [(typeof(VectorExchangeOptions), nameof(VectorExchangeOptions.IdempotencyTtl))] = "idempotency.ttl",
        [(typeof(VectorExchangeOptions), nameof(VectorExchangeOptions.ReadTimeout))] = "read.timeout",
        [(typeof(VectorExchangeOptions), nameof(VectorExchangeOptions.MaxSkew))] = "clock.maxSkew",
        [(typeof(VectorExchangeOptions), nameof(VectorExchangeOptions.StampBlock))] = "stamp.block",
        [(typeof(VectorExchangeOptions), nameof(VectorExchangeOptions.MaxRestamps))] = "tags.maxRestamps",
        [(typeof(VectorExchangeOptions), nameof(VectorExchangeOptions.MaxOpenTags))] = "tags.maxOpen",
        [(typeof(CatalogOptions), nameof(CatalogOptions.OutcomeTtl))] = "idempotency.ttl",
        [(typeof(CatalogOptions), nameof(CatalogOptions.KeyCount))] = "idempotency.count",
        [(typeof(CatalogOptions), nameof(CatalogOptions.LeastKeys))] = "idempotency.least",
        [(typeof(NodeOptions), nameof(NodeOptions.FeedLead))] = "feed.lead",
        [(typeof(NodeOptions), nameof(NodeOptions.ReadPatience))] = "feed.readPatience",
        [(typeof(NodeOptions), nameof(NodeOptions.Joins))] = "cluster.joins",
        [(typeof(NodeOptions), nameof(NodeOptions.CollectFresh))] = "gc.fresh",
        [(typeof(ChunkReplicationOptions), nameof(ChunkReplicationOptions.CollectGrace))] = "gc.grace",
        [(typeof(NodeOptions), nameof(NodeOptions.SnapshotBytes))] = "log.snapshotBytes",
        [(typeof(NodeOptions), nameof(NodeOptions.ApplyBatch))] = "catalog.applyBatch",
        [(typeof(NodeOptions), nameof(NodeOptions.ApplyDelay))] = "catalog.applyDelay",
        [(typeof(NodeOptions), nameof(NodeOptions.ApplyBytes))] = "catalog.applyBytes",
        [(typeof(NodeOptions), nameof(NodeOptions.CatalogReserveBytes))] = "catalog.reserveBytes",
    }.ToFrozenDictionary();

    /// <summary>Every key, in order of the names.</summary>
    public static IReadOnlyList<OptionKey> All { get; } = [.. Build().OrderBy(k => k.Name, StringComparer.Ordinal)];

    /// <summary>The key of that name, whatever its letters' case.</summary>
    public static OptionKey? Find(string name) => All.FirstOrDefault(k => string.Equals(k.Name, name, StringComparison.OrdinalIgnoreCase));

    private static IEnumerable<OptionKey> Build()
    {
        var places = new Dictionary<string, List<OptionPlace>>(StringComparer.Ordinal);
        Walk(typeof(ServerOptions), [], places);
        return places.Select(p => new OptionKey(p.Key, p.Value[0].Property.PropertyType, p.Value));
    }

    private static void Walk(Type type, ImmutableArray<PropertyInfo> sections, Dictionary<string, List<OptionPlace>> places)
    {
        foreach (PropertyInfo property in type.GetProperties().Where(p => p is { CanWrite: true, GetMethod.IsStatic: false }))
        {
            if (property.PropertyType.Name.EndsWith("Options", StringComparison.Ordinal))
            {
                Walk(property.PropertyType, sections.Add(property), places);
            }
            else if (sections.Length > 0 && IsOption(property))
            {
                string name = Names.GetValueOrDefault((type, property.Name))
                    ?? $"{OptionText.CamelCase(sections[^1].Name)}.{OptionText.CamelCase(property.Name)}";
                (places.TryGetValue(name, out var list) ? list : places[name] = []).Add(new OptionPlace(sections, property));
            }
        }
    }

    private static bool IsOption(PropertyInfo property) =>
        (OptionText.IsScalar(property.PropertyType) || property.PropertyType == typeof(ImmutableArray<ServerRecord>))
        // What a loop is called in logs is nobody's to configure.
        && !(property.DeclaringType == typeof(EventLoopOptions) && property.Name == nameof(EventLoopOptions.Name));
}
