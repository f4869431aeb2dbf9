using System.Collections.Immutable;
using System.Text.Json;
using Carillon.CommandLine;
using Carillon.Protocols.Cluster;

namespace Carillon.Options;

/// <summary>One value in force, and where it came from.</summary>
internal sealed record ConfigurationValue(string Key, string Text, string Origin);

/// <summary>A configuration as it was read: usable only if there are no faults.</summary>
internal sealed record Configuration(ServerOptions Options, ImmutableArray<ConfigurationValue> Values, ImmutableArray<string> Faults)
{
    /// <summary>False if something that was given could not be read, or nobody knows it: then the values are not what was meant.</summary>
    public required bool IsRead { get; init; }
}

/// <summary>
/// Reads a server's configuration: the file, over it the environment, over that the command line. Everything wrong is told at
/// once; a key that nobody knows is a fault, since a mistyped option that is passed over looks as if it were in force.
/// </summary>
internal sealed class ConfigurationLoader
{
    /// <summary>What the environment's variables begin with.</summary>
    public const string VariablePrefix = "CARILLON__";

    private readonly Dictionary<string, (object? Value, string Origin)> _given = new(StringComparer.Ordinal);
    private readonly List<string> _faults = [];

    private ConfigurationLoader()
    {
    }

    /// <summary>Reads and checks.</summary>
    /// <param name="file">The configuration file; null for the defaults alone.</param>
    /// <param name="environment">The environment's variables.</param>
    /// <param name="flags">Each <c>KEY=VALUE</c>.</param>
    public static Configuration Load(string? file, IEnumerable<KeyValuePair<string, string>> environment, IEnumerable<string> flags)
    {
        var loader = new ConfigurationLoader();
        if (file is not null)
        {
            loader.ReadFile(file);
        }

        loader.ReadEnvironment(environment);
        loader.ReadFlags(flags);
        return loader.Build(file);
    }

    /// <summary>The process's environment.</summary>
    public static IEnumerable<KeyValuePair<string, string>> ProcessEnvironment() =>
        Environment.GetEnvironmentVariables().Cast<System.Collections.DictionaryEntry>()
            .Select(e => new KeyValuePair<string, string>((string)e.Key, (string?)e.Value ?? ""));

    private void ReadFile(string file)
    {
        try
        {
            var tolerant = new JsonDocumentOptions { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true };
            using var document = JsonDocument.Parse(File.ReadAllBytes(file), tolerant);
            if (document.RootElement.ValueKind != JsonValueKind.Object)
            {
                _faults.Add($"{file}: it is not a JSON object");
                return;
            }

            ReadObject(document.RootElement, "", $"file {file}");
        }
        catch (JsonException fault)
        {
            _faults.Add($"{file}: it is not JSON: {fault.Message}");
        }
        catch (Exception fault) when (fault is IOException or UnauthorizedAccessException)
        {
            _faults.Add($"{file}: {fault.Message}");
        }
    }

    private void ReadObject(JsonElement element, string prefix, string origin)
    {
        foreach (JsonProperty property in element.EnumerateObject())
        {
            string name = prefix + property.Name;
            if (name == OptionKeys.Servers)
            {
                ReadServers(property.Value, origin);
            }
            else if (property.Value.ValueKind == JsonValueKind.Object && prefix.Length == 0
                && (OptionKeys.IsSection(name) || property.Value.EnumerateObject().Any()))
            {
                ReadObject(property.Value, name + ".", origin);
            }
            else if (OptionKeys.IsSection(name))
            {
                _faults.Add($"{origin}: '{name}' is a section: an object with keys of its own");
            }
            else if (property.Value.ValueKind is JsonValueKind.Object or JsonValueKind.Array)
            {
                Give(name, null, origin, "a plain value");
            }
            else
            {
                Give(name, property.Value.ValueKind == JsonValueKind.String
                    ? property.Value.GetString()!
                    : property.Value.GetRawText(), origin, "");
            }
        }
    }

    private void ReadServers(JsonElement element, string origin)
    {
        if (element.ValueKind != JsonValueKind.Array)
        {
            _faults.Add($"{OptionKeys.Servers}: it is not a list");
            return;
        }

        var servers = ImmutableArray.CreateBuilder<ServerRecord>();
        foreach (JsonElement item in element.EnumerateArray())
        {
            if (ServerRecordJson.Read(item, $"{OptionKeys.Servers}[{servers.Count}]", _faults) is { } server)
            {
                servers.Add(server);
            }
        }

        _given[OptionKeys.Servers] = (servers.DrainToImmutable(), origin);
    }

    private void ReadEnvironment(IEnumerable<KeyValuePair<string, string>> environment)
    {
        foreach ((string variable, string value) in environment.OrderBy(v => v.Key, StringComparer.Ordinal))
        {
            if (!variable.StartsWith(VariablePrefix, StringComparison.Ordinal))
            {
                continue;
            }

            OptionKey? key = OptionKeys.All.FirstOrDefault(k => string.Equals(k.Variable, variable, StringComparison.OrdinalIgnoreCase));
            string name = variable[VariablePrefix.Length..].Replace("__", ".", StringComparison.Ordinal).ToLowerInvariant();
            if (key is null && name != OptionKeys.ServerName)
            {
                string? nearest = Nearest.To(variable, OptionKeys.All.Select(k => k.Variable));
                _faults.Add($"environment: unknown variable {variable}{(nearest is null ? "" : $", did you mean {nearest}?")}");
                continue;
            }

            Give(key?.Name ?? name, value, "environment " + variable, "");
        }
    }

    private void ReadFlags(IEnumerable<string> flags)
    {
        foreach (string flag in flags)
        {
            int equals = flag.IndexOf('=');
            if (equals <= 0)
            {
                _faults.Add($"--set {flag}: use --set SECTION.KEY=VALUE");
                continue;
            }

            Give(flag[..equals], flag[(equals + 1)..], "flag --set", "");
        }
    }

    private void Give(string name, string? text, string origin, string expected)
    {
        if (name == OptionKeys.ServerName && text is not null)
        {
            _given[name] = (text, origin);
            return;
        }

        if (OptionKeys.Find(name) is not { } key)
        {
            string? nearest = Nearest.To(name, OptionKeys.All.Select(k => k.Name).Append(OptionKeys.ServerName));
            _faults.Add($"{origin}: unknown key '{name}'{(nearest is null ? "" : $", did you mean '{nearest}'?")}");
            return;
        }

        if (key.Name == OptionKeys.Servers)
        {
            _faults.Add($"{origin}: {key.Name} can only be given in the file");
        }
        else if (text is null || !OptionText.TryParse(key.Type, text, out object? value, out expected))
        {
            _faults.Add($"{origin}: {key.Name}: '{text}' is not {expected}");
        }
        else
        {
            _given[key.Name] = (value, origin);
        }
    }

    private Configuration Build(string? file)
    {
        var options = new ServerOptions
        {
            Folder = file is null ? "." : Path.GetDirectoryName(Path.GetFullPath(file))!,
            Name = _given.TryGetValue(OptionKeys.ServerName, out var name) ? (string)name.Value! : "",
        };
        foreach (OptionKey key in OptionKeys.All)
        {
            if (_given.TryGetValue(key.Name, out var given))
            {
                key.Places.ToList().ForEach(place => place.Set(options, given.Value));
            }
        }

        if (!_given.ContainsKey(OptionKeys.HttpPort) && options.Record is { } record)
        {
            OptionKeys.Find(OptionKeys.HttpPort)!.Places[0].Set(options, record.HttpPort);
            _given[OptionKeys.HttpPort] = (record.HttpPort, OptionKeys.Servers);
        }

        ImmutableArray<ConfigurationValue> values =
        [
            new(OptionKeys.ServerName, options.Name, name.Origin ?? "default"),
            .. OptionKeys.All.Select(k => new ConfigurationValue(
                k.Name, Text(k.Places[0].Get(options)), _given.TryGetValue(k.Name, out var given) ? given.Origin : "default")),
        ];
        // What could not be read has its default now; checks that go by it would only confuse.
        ImmutableArray<string> faults = _faults.Count > 0 ? [.. _faults] : [.. options.Validate()];
        return new Configuration(options, values, faults) { IsRead = _faults.Count == 0 };
    }

    private static string Text(object? value) => value is ImmutableArray<ServerRecord> servers
        ? string.Join(", ", servers.Select(s => $"{s.Name}={s.Host}:{s.HttpPort}"))
        : OptionText.Format(value);
}
