using System.Text.Json;
using Carillon.Protocols.Cluster;

namespace Carillon.Gateway.Json;

/// <summary>A server's record as JSON: in answers, in requests for a change, and in configuration files.</summary>
public static class ServerJson
{
    /// <summary>Writes one, whole.</summary>
    public static void Write(Utf8JsonWriter writer, ServerRecord server)
    {
        writer.WriteStartObject();
        writer.WriteString("name", server.Name.Name);
        writer.WriteString("disk", server.Disk.ToString());
        writer.WriteString("host", server.Host);
        writer.WriteNumber("httpPort", server.HttpPort);
        writer.WriteNumber("tunnelPort", server.TunnelPort);
        writer.WriteNumber("datagramPort", server.DatagramPort);
        writer.WriteBoolean("entry", server.Entry);
        writer.WriteBoolean("storage", server.Storage);
        writer.WriteString("failureDomain", server.FailureDomain);
        writer.WriteNumber("weight", server.Weight);
        writer.WriteEndObject();
    }
}
