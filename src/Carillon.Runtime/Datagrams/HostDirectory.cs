using System.Collections.Immutable;
using System.Net;
using System.Net.Sockets;
using Carillon.Protocols;
using Carillon.Protocols.Cluster;
using Microsoft.Extensions.Logging;

namespace Carillon.Runtime.Datagrams;

/// <summary>
/// Where datagrams to each server go. Addresses are used as they are; host names are looked up by a loop of their own, again and
/// again, so that sending never waits for a name server and a host may move. Safe for any thread.
/// </summary>
internal sealed class HostDirectory(IPAddress listen, ILogger logger)
{
    private static readonly TimeSpan LookUpAgain = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan LookUpFailed = TimeSpan.FromSeconds(2);

    private readonly Lock _gate = new();
    private readonly SemaphoreSlim _changed = new(0, 1);
    private ImmutableDictionary<NodeId, (string Host, int Port)> _names = ImmutableDictionary<NodeId, (string, int)>.Empty;
    private ImmutableDictionary<NodeId, SocketAddress> _addresses = ImmutableDictionary<NodeId, SocketAddress>.Empty;
    private ImmutableArray<SocketAddress> _all = [];

    /// <summary>All addresses that are known.</summary>
    public ImmutableArray<SocketAddress> All
    {
        get
        {
            lock (_gate)
            {
                return _all;
            }
        }
    }

    /// <summary>A server's address; null while it is not known.</summary>
    public SocketAddress? Find(NodeId server) => Volatile.Read(ref _addresses).GetValueOrDefault(server);

    /// <summary>Takes the servers of a configuration. Of those that keep their host, the address stays.</summary>
    public void Configure(IEnumerable<ServerRecord> servers)
    {
        lock (_gate)
        {
            ImmutableDictionary<NodeId, (string Host, int Port)> former = _names;
            ImmutableDictionary<NodeId, SocketAddress> known = _addresses;
            _names = servers.ToImmutableDictionary(server => server.Name, server => (server.Host, server.DatagramPort));
            ImmutableDictionary<NodeId, SocketAddress>.Builder next = ImmutableDictionary.CreateBuilder<NodeId, SocketAddress>();
            foreach ((NodeId name, (string host, int port)) in _names)
            {
                if (IPAddress.TryParse(host, out IPAddress? address) && Fit(address) is { } fitting)
                {
                    next[name] = new IPEndPoint(fitting, port).Serialize();
                }
                else if (former.GetValueOrDefault(name) == (host, port) && known.GetValueOrDefault(name) is { } kept)
                {
                    next[name] = kept;
                }
            }

            Publish(next.ToImmutable());
            if (_changed.CurrentCount == 0)
            {
                _changed.Release();
            }
        }
    }

    /// <summary>Looks host names up until it is stopped.</summary>
    public async Task ResolveAsync(CancellationToken stop)
    {
        HashSet<string> unknown = [];
        try
        {
            while (true)
            {
                ImmutableDictionary<NodeId, (string Host, int Port)> names = Volatile.Read(ref _names);
                foreach ((NodeId name, (string host, int port)) in names)
                {
                    if (IPAddress.TryParse(host, out _))
                    {
                        continue;
                    }

                    if (await LookUpAsync(host, stop).ConfigureAwait(false) is { } address)
                    {
                        unknown.Remove(host);
                        Learn(name, host, port, address);
                    }
                    else if (unknown.Add(host))
                    {
                        DatagramLog.HostUnknown(logger, name, host);
                    }
                }

                await _changed.WaitAsync(unknown.Count > 0 ? LookUpFailed : LookUpAgain, stop).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException)
        {
            return;
        }
    }

    private async Task<IPAddress?> LookUpAsync(string host, CancellationToken stop)
    {
        try
        {
            IPAddress[] found = await Dns.GetHostAddressesAsync(host, stop).ConfigureAwait(false);
            return found.Select(Fit).FirstOrDefault(address => address is not null);
        }
        catch (SocketException)
        {
            return null; // the caller says so, once
        }
    }

    private void Learn(NodeId name, string host, int port, IPAddress address)
    {
        lock (_gate)
        {
            if (_names.GetValueOrDefault(name) == (host, port))
            {
                Publish(_addresses.SetItem(name, new IPEndPoint(address, port).Serialize()));
            }
        }
    }

    private void Publish(ImmutableDictionary<NodeId, SocketAddress> addresses)
    {
        Volatile.Write(ref _addresses, addresses);
        _all = [.. addresses.Values];
    }

    // The socket speaks one family; one on all IPv6 addresses was opened for both, and reaches IPv4 hosts by mapped addresses.
    private IPAddress? Fit(IPAddress address) =>
        address.AddressFamily == listen.AddressFamily ? address : listen.Equals(IPAddress.IPv6Any) ? address.MapToIPv6() : null;
}
