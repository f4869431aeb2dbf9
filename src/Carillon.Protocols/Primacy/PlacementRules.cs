using System.Collections.Immutable;
using System.Text;

namespace Carillon.Protocols.Primacy;

/// <summary>
/// Which definitions can be satisfied together, and where their primaries may be (RMM-42, RMM-43, RMM-58). Services that must be on one
/// node form a tree by their <see cref="ServiceDefinition.With"/>; the whole tree may be where all its services may. What can't be
/// satisfied is refused with the reason, never half done.
/// </summary>
public static class PlacementRules
{
    /// <summary>Why this definition can't join, or replace its former self in, a table; null if it can.</summary>
    public static string? FaultOf(
        ServiceDefinition definition, IReadOnlyDictionary<ServiceName, ServiceEntry> table, Func<NodeId, bool> isServer)
    {
        if (definition.Name.IsOwn)
        {
            return $"'{definition.Name}' is a service of the servers themselves";
        }

        if (FaultOfFields(definition, isServer) is { } fault)
        {
            return fault;
        }

        if (definition.With.IsNone)
        {
            return FaultOfTree(definition, table);
        }

        if (definition.With != definition.Name && !table.ContainsKey(definition.With))
        {
            return $"there is no service '{definition.With}' that '{definition.Name}' could be with";
        }

        var path = new List<ServiceName> { definition.Name };
        for (ServiceName next = definition.With;
            !next.IsNone;
            next = table.TryGetValue(next, out ServiceEntry? entry) ? entry.Definition.With : default)
        {
            path.Add(next);
            if (next == definition.Name)
            {
                return $"a service can't depend on itself: {string.Join(" → ", path)}";
            }
        }

        return FaultOfTree(definition, table);
    }

    /// <summary>Why a service can't be removed, or null.</summary>
    public static string? FaultOfRemoval(ServiceName service, IReadOnlyDictionary<ServiceName, ServiceEntry> table)
    {
        ServiceName[] dependent = [.. table.Values.Where(e => e.Definition.With == service).Select(e => e.Definition.Name).Order()];
        return dependent.Length == 0 ? null : $"'{service}' is needed by {string.Join(", ", dependent)}: remove those first";
    }

    /// <summary>The service at the root of a service's tree: the one that is selected.</summary>
    public static ServiceName RootOf(ServiceName service, IReadOnlyDictionary<ServiceName, ServiceEntry> table)
    {
        while (table.TryGetValue(service, out ServiceEntry? entry) && !entry.Definition.With.IsNone)
        {
            service = entry.Definition.With;
        }

        return service;
    }

    /// <summary>All services of the tree with this root.</summary>
    public static ImmutableArray<ServiceEntry> TreeOf(ServiceName root, IReadOnlyDictionary<ServiceName, ServiceEntry> table) =>
        [.. table.Values.Where(e => RootOf(e.Definition.Name, table) == root).OrderBy(e => e.Definition.Name)];

    /// <summary>
    /// Where a tree's primaries may be: the servers that each of its services allows, the preferred one first, then those with the fewest
    /// trees that would choose them first (RMM-54), then in the order of the root's definition.
    /// </summary>
    public static ImmutableArray<NodeId> EligibleFor(ServiceName root, IReadOnlyDictionary<ServiceName, ServiceEntry> table)
    {
        ImmutableArray<ServiceEntry> tree = TreeOf(root, table);
        ServiceDefinition definition = table[root].Definition;
        IEnumerable<NodeId> allowed = definition.Providers.Where(n => tree.All(e => e.Definition.Providers.Contains(n)));
        NodeId preferred = tree.Select(e => e.Definition.Preferred).FirstOrDefault(p => !p.IsNone && p == definition.Preferred);
        preferred = preferred.IsNone ? tree.Select(e => e.Definition.Preferred).FirstOrDefault(p => !p.IsNone) : preferred;
        return
        [
            .. allowed.OrderByDescending(n => n == preferred)
                .ThenBy(n => table.Values.Count(
                    e => e.Definition.With.IsNone && e.Definition.Name != root && !e.Eligible.IsEmpty && e.Eligible[0] == n)),
        ];
    }

    private static string? FaultOfFields(ServiceDefinition definition, Func<NodeId, bool> isServer)
    {
        if (definition.Providers.Length is 0 or > ServiceDefinition.MaxProviders)
        {
            return $"a service has 1 to {ServiceDefinition.MaxProviders} providers";
        }

        foreach (NodeId provider in definition.Providers)
        {
            if (!isServer(provider))
            {
                return $"there is no server '{provider}' in the configuration";
            }
        }

        if (!definition.Preferred.IsNone && !definition.Providers.Contains(definition.Preferred))
        {
            return $"the preferred server '{definition.Preferred}' is not among the providers";
        }

        if (definition.WantedSecondaries < 0 || definition.WantedSecondaries >= definition.Providers.Length)
        {
            return $"{definition.WantedSecondaries} secondaries and a primary need {definition.WantedSecondaries + 1} providers, "
                + $"there are {definition.Providers.Length}";
        }

        ServiceCommand command = definition.Command;
        foreach (string argument in command.Arguments.Concat(command.Secondary).Append(command.CheckpointFile))
        {
            if (Encoding.UTF8.GetByteCount(argument) > ServiceCodec.MaxArgumentBytes || argument.Contains('\0', StringComparison.Ordinal))
            {
                return $"an argument has at most {ServiceCodec.MaxArgumentBytes} bytes, none of them zero";
            }
        }

        return command.Arguments.Length > ServiceCodec.MaxArguments || command.Secondary.Length > ServiceCodec.MaxArguments
                || ServiceCodec.SizeOf(definition) > ServiceCodec.MaxDefinitionBytes
            ? $"a command has at most {ServiceCodec.MaxArguments} arguments, and a definition {ServiceCodec.MaxDefinitionBytes} bytes"
            : null;
    }

    private static string? FaultOfTree(ServiceDefinition definition, IReadOnlyDictionary<ServiceName, ServiceEntry> table)
    {
        var changed = new SortedDictionary<ServiceName, ServiceEntry>();
        foreach ((ServiceName name, ServiceEntry entry) in table)
        {
            changed[name] = entry;
        }

        changed[definition.Name] = new ServiceEntry { Definition = definition, Eligible = [] };
        ServiceName root = RootOf(definition.Name, changed);
        if (!EligibleFor(root, changed).IsEmpty)
        {
            return null;
        }

        IEnumerable<string> members = TreeOf(root, changed)
            .Select(e => $"{e.Definition.Name} ({string.Join(", ", e.Definition.Providers)})");
        return $"no server may provide all that must be on one node: {string.Join(", ", members)}";
    }
}
