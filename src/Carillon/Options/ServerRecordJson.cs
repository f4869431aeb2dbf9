using System.Text.Json;
using Carillon.CommandLine;
using Carillon.Protocols;
using Carillon.Protocols.Cluster;

namespace Carillon.Options;

/// <summary>A server's record as it stands in configuration files.</summary>
internal static class ServerRecordJson
{
    /// <summary>Port of the HTTP interface where none is given; tunnel and datagrams follow it.</summary>
    public const int DefaultHttpPort = 7410;

    private static readonly string[] Keys =
        ["name", "disk", "host", "httpPort", "tunnelPort", "datagramPort", "entry", "storage", "failureDomain", "weight"];

    /// <summary>Reads one, and adds what is wrong to the faults; null if it can't be used.</summary>
    public static ServerRecord? Read(JsonElement element, string where, List<string> faults)
    {
        if (element.ValueKind != JsonValueKind.Object)
        {
            faults.Add($"{where}: it is not an object");
            return null;
        }

        int before = faults.Count;
        foreach (JsonProperty property in element.EnumerateObject())
        {
            if (!Keys.Contains(property.Name))
            {
                string? nearest = Nearest.To(property.Name, Keys);
                faults.Add($"{where}: unknown key '{property.Name}'{(nearest is null ? "" : $", did you mean '{nearest}'?")}");
            }
        }

        if (!NodeId.TryParse(Text(element, "name", where, faults) ?? "", out NodeId name))
        {
            faults.Add($"{where}.name: it is not a server name: use 1-{NodeId.MaxLength} of a-z 0-9 -");
        }

        if (!DiskId.TryParse(Text(element, "disk", where, faults) ?? "", out DiskId disk))
        {
            faults.Add($"{where}.disk: it is not 32 hexadecimal digits");
        }

        string host = Text(element, "host", where, faults) ?? "";
        if (host.Length == 0 || Uri.CheckHostName(host) == UriHostNameType.Unknown)
        {
            faults.Add($"{where}.host: '{host}' is not a host name or address");
        }

        int http = Number(element, "httpPort", DefaultHttpPort, 1, 65535, where, faults);
        var record = new ServerRecord
        {
            Name = name,
            Disk = disk,
            Host = host,
            HttpPort = http,
            TunnelPort = Number(element, "tunnelPort", http + 1, 1, 65535, where, faults),
            DatagramPort = Number(element, "datagramPort", http + 2, 1, 65535, where, faults),
            Entry = Flag(element, "entry", where, faults),
            Storage = Flag(element, "storage", where, faults),
            FailureDomain = Text(element, "failureDomain", where, faults) ?? "",
            Weight = Number(element, "weight", 100, 1, ServerRecord.MaxWeight, where, faults),
        };
        return faults.Count == before ? record : null;
    }

    private static string? Text(JsonElement element, string key, string where, List<string> faults)
    {
        if (!element.TryGetProperty(key, out JsonElement value))
        {
            return null;
        }

        if (value.ValueKind == JsonValueKind.String)
        {
            return value.GetString();
        }

        faults.Add($"{where}.{key}: it is not a text");
        return null;
    }

    private static int Number(JsonElement element, string key, int otherwise, int least, int most, string where, List<string> faults)
    {
        if (!element.TryGetProperty(key, out JsonElement value))
        {
            return otherwise;
        }

        if (value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out int number) && number >= least && number <= most)
        {
            return number;
        }

        faults.Add($"{where}.{key}: {value.GetRawText()} is not a number from {least} to {most}");
        return otherwise;
    }

    private static bool Flag(JsonElement element, string key, string where, List<string> faults)
    {
        if (!element.TryGetProperty(key, out JsonElement value))
        {
            return true;
        }

        if (value.ValueKind is JsonValueKind.True or JsonValueKind.False)
        {
            return value.GetBoolean();
        }

        faults.Add($"{where}.{key}: it is neither true nor false");
        return true;
    }
}
