using System.Buffers.Binary;
using Carillon.Protocols;
using Carillon.Protocols.Cluster;
using Carillon.Protocols.Wire;

namespace Carillon.Simulator.World;

/// <summary>
/// The seal that ships, for one life of one server: flipped bits and replays end here, as they do in production. Each datagram carries a
/// number of its own inside, so that one that is let through twice is noticed.
/// </summary>
internal sealed class DatagramSeal : IDisposable
{
    private static readonly ClusterKey Key = new(1, new byte[ClusterKey.SecretSize]);

    private readonly ServerIdentity _self;
    private readonly SealedDatagramSealer _sealer;
    private readonly SealedDatagramOpener _opener;
    private readonly HashSet<(ServerIdentity From, ulong Number)> _seen = [];
    private byte[] _buffer = new byte[2048];
    private ulong _number;

    public DatagramSeal(ServerIdentity self, ClusterConfiguration configuration)
    {
        _self = self;
        _sealer = new SealedDatagramSealer(self, Key);
        _opener = new SealedDatagramOpener(configuration, Key);
    }

    /// <summary>Another version of the configuration is in force.</summary>
    public void Reconfigure(ClusterConfiguration configuration) => _opener.Reconfigure(configuration);

    /// <summary>Seals a message.</summary>
    public byte[] Seal(ReadOnlySpan<byte> message)
    {
        byte[] numbered = new byte[8 + message.Length];
        BinaryPrimitives.WriteUInt64LittleEndian(numbered, ++_number);
        message.CopyTo(numbered.AsSpan(8));
        byte[] datagram = new byte[numbered.Length + _sealer.Overhead];
        _sealer.Seal(numbered, datagram);
        return datagram;
    }

    /// <summary>Opens a datagram; false if it is refused.</summary>
    public bool TryOpen(ReadOnlySpan<byte> datagram, out ServerIdentity from, out byte[] message)
    {
        message = [];
        if (_buffer.Length < datagram.Length)
        {
            _buffer = new byte[datagram.Length];
        }

        if (_opener.Open(datagram, _buffer, out from, out int length) != DatagramVerdict.Opened)
        {
            return false;
        }

        ulong number = BinaryPrimitives.ReadUInt64LittleEndian(_buffer);
        if (!_seen.Add((from, number)))
        {
            throw new SimulationFailedException(FailureKind.Safety, "replay", $"{_self.Name} takes datagram {number} of {from} a second time");
        }

        message = _buffer[8..length];
        return true;
    }

    public void Dispose()
    {
        _sealer.Dispose();
        _opener.Dispose();
    }
}
