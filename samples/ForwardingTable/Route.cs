using System.Buffers;
using System.Net;
using System.Text;
using Carillon.Client.Groups;

namespace ForwardingTable;

/// <summary>Where packets to a network go: the router's next hop, and over which interface.</summary>
/// <param name="NextHop">The next router.</param>
/// <param name="Interface">The way out.</param>
internal sealed record Route(IPAddress NextHop, string Interface);

/// <summary>A route as bytes: 1 byte length of the address, the address, the interface's name.</summary>
internal sealed class RouteCodec : ITableCodec<Route>
{
    /// <inheritdoc/>
    public void Write(Route value, IBufferWriter<byte> output)
    {
        byte[] address = value.NextHop.GetAddressBytes();
        output.Write([(byte)address.Length]);
        output.Write(address);
        Encoding.UTF8.GetBytes(value.Interface, output);
    }

    /// <inheritdoc/>
    public Route Read(ReadOnlySpan<byte> bytes) =>
        new(new IPAddress(bytes.Slice(1, bytes[0])), Encoding.UTF8.GetString(bytes[(1 + bytes[0])..]));
}

/// <summary>A network as bytes: 1 byte prefix length, then its address. Equal networks have equal bytes.</summary>
internal sealed class NetworkCodec : ITableCodec<IPNetwork>
{
    /// <inheritdoc/>
    public void Write(IPNetwork value, IBufferWriter<byte> output)
    {
        output.Write([(byte)value.PrefixLength]);
        output.Write(value.BaseAddress.GetAddressBytes());
    }

    /// <inheritdoc/>
    public IPNetwork Read(ReadOnlySpan<byte> bytes) => new(new IPAddress(bytes[1..]), bytes[0]);
}
