using System.Net;
using Carillon.Protocols.Cluster;

namespace Carillon.Options;

/// <summary>Section <c>listen</c>: where the other servers are listened for.</summary>
public sealed record ListenOptions
{
    /// <summary>
    /// Address of tunnel and datagrams; empty: the host of this server's own record if that is an address, else every address. Another one
    /// is wanted where the others reach this server by an address that it does not have itself.
    /// </summary>
    public string Address { get; init; } = "";

    /// <summary>The address to listen on.</summary>
    public IPAddress AddressOf(ServerRecord record)
    {
        if (IPAddress.TryParse(Address, out IPAddress? given))
        {
            return given;
        }

        return record.Host.Equals("localhost", StringComparison.OrdinalIgnoreCase) ? IPAddress.Loopback
            : IPAddress.TryParse(record.Host, out IPAddress? address) ? address : IPAddress.Any;
    }

    /// <summary>All faults, each in words.</summary>
    public IEnumerable<string> Validate()
    {
        if (Address.Length > 0 && !IPAddress.TryParse(Address, out _))
        {
            yield return $"listen.address: '{Address}' is not an IP address";
        }
    }
}
