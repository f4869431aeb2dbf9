using System.Collections.Frozen;
using System.Reflection;
using Carillon.Protocols.Cluster;
using Carillon.Protocols.Membership;
using Carillon.Protocols.VectorExchange;
using Carillon.Runtime.Loop;
using Carillon.Storage.Catalogs;

namespace Carillon.Options;

/// <summary>One key of the configuration, and the properties that its value goes to: two where components must agree on it.</summary>
internal sealed record OptionKey(string Name, Type Type, IReadOnlyList<(PropertyInfo Section, PropertyInfo Property)> Places)
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
    }.ToFrozenDictionary();

    /// <summary>Every key, in order of the names.</summary>
    public static IReadOnlyList<OptionKey> All { get; } = [.. Build().OrderBy(k => k.Name, StringComparer.Ordinal)];

    /// <summary>The key of that name, whatever its letters' case.</summary>
    public static OptionKey? Find(string name) => All.FirstOrDefault(k => string.Equals(k.Name, name, StringComparison.OrdinalIgnoreCase));

    private static IEnumerable<OptionKey> Build()
    {
        var places = new Dictionary<string, List<(PropertyInfo Section, PropertyInfo Property)>>(StringComparer.Ordinal);
        foreach (PropertyInfo section in typeof(ServerOptions).GetProperties().Where(IsSection))
        {
            foreach (PropertyInfo property in section.PropertyType.GetProperties().Where(IsOption))
            {
                string name = Names.GetValueOrDefault((section.PropertyType, property.Name))
                    ?? $"{OptionText.CamelCase(section.Name)}.{OptionText.CamelCase(property.Name)}";
                (places.TryGetValue(name, out var list) ? list : places[name] = []).Add((section, property));
            }
        }

        return places.Select(p => new OptionKey(p.Key, p.Value[0].Property.PropertyType, p.Value));
    }

    private static bool IsSection(PropertyInfo property) => property.PropertyType.Name.EndsWith("Options", StringComparison.Ordinal);

    private static bool IsOption(PropertyInfo property) =>
        property is { CanWrite: true, GetMethod.IsStatic: false }
        // What a loop is called in logs is nobody's to configure.
        && !(property.DeclaringType == typeof(EventLoopOptions) && property.Name == nameof(EventLoopOptions.Name))
        && (OptionText.IsScalar(property.PropertyType)
            || property.PropertyType == typeof(System.Collections.Immutable.ImmutableArray<ServerRecord>));
}
