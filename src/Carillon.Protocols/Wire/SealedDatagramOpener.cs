using System.Collections.Immutable;
using System.Security.Cryptography;
using Carillon.Protocols.Cluster;

namespace Carillon.Protocols.Wire;

/// <summary>
/// Opens other servers' datagrams. What is wrong, old, replayed or cut short is refused and counted: never an exception, never
/// an answer. Keeps derived keys and a replay window for each sender, both only of datagrams that proved authentic, so that
/// forged headers cost a derivation and no memory. Not for several threads at once.
/// </summary>
public sealed class SealedDatagramOpener : IDisposable
{
    // A name's configured disk, and the last foreign one: that one is opened so that it can be told of.
    private const int DisksKept = 2;

    private readonly long[] _counts = new long[(int)DatagramVerdict.NotAuthentic + 1];
    private readonly Dictionary<NodeId, Name> _names = [];
    private ImmutableArray<ClusterKey> _keys = [];

    /// <summary>Makes an opener for the servers of a configuration.</summary>
    public SealedDatagramOpener(ClusterConfiguration configuration, ClusterKey key)
    {
        Reconfigure(configuration);
        Accept(key);
    }

    /// <summary>How many datagrams met this verdict.</summary>
    public long Count(DatagramVerdict verdict) => _counts[(int)verdict];

    /// <summary>Accepts this key from now on, and of the others the newest one: the two greatest epochs, current and previous.</summary>
    public void Accept(ClusterKey key)
    {
        if (_keys.Any(known => known.Epoch == key.Epoch))
        {
            return;
        }

        _keys = [.. _keys.Add(key).OrderByDescending(known => known.Epoch).Take(2)];
        foreach (Sender sender in _names.Values.SelectMany(name => name.Senders))
        {
            sender.Forget(_keys);
        }
    }

    /// <summary>Accepts the servers of this configuration, and no others.</summary>
    public void Reconfigure(ClusterConfiguration configuration)
    {
        foreach (NodeId gone in _names.Keys.Where(name => configuration.Find(name) is null).ToArray())
        {
            _names.Remove(gone, out Name? name);
            name?.Senders.ForEach(sender => sender.Dispose());
        }

        foreach (ServerRecord server in configuration.Servers)
        {
            List<Sender> senders = _names.TryGetValue(server.Name, out Name? known) ? known.Senders : [];
            _names[server.Name] = new Name(server.Disk, senders);
        }
    }

    /// <summary>
    /// Opens a datagram. Only for <see cref="DatagramVerdict.Opened"/> are sender and length set, and the message's bytes at the
    /// front of <paramref name="message"/>, which has room for the whole datagram.
    /// </summary>
    public DatagramVerdict Open(ReadOnlySpan<byte> datagram, Span<byte> message, out ServerIdentity sender, out int length)
    {
        DatagramVerdict verdict = TryOpen(datagram, message, out sender, out length);
        _counts[(int)verdict]++;
        return verdict;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (Sender sender in _names.Values.SelectMany(name => name.Senders))
        {
            sender.Dispose();
        }

        _names.Clear();
    }

    private DatagramVerdict TryOpen(ReadOnlySpan<byte> datagram, Span<byte> message, out ServerIdentity from, out int length)
    {
        from = default;
        length = 0;
        var reader = new WireReader(datagram);
        byte version = reader.U8();
        if (!reader.Failed && version != SealedDatagram.FormatVersion)
        {
            return DatagramVerdict.UnknownVersion;
        }

        var claimed = new ServerIdentity(reader.Node(), reader.Disk(), new Incarnation(reader.U64()));
        uint keyEpoch = reader.U32();
        ulong counter = reader.U64();
        int sealedLength = reader.Remaining - SealedDatagram.TagSize;
        if (reader.Failed || claimed.Name.IsNone || sealedLength < 0 || message.Length < sealedLength)
        {
            return DatagramVerdict.Malformed;
        }

        if (!_names.TryGetValue(claimed.Name, out Name? name))
        {
            return DatagramVerdict.Stranger;
        }

        if (KeyOf(keyEpoch) is not { } key)
        {
            return DatagramVerdict.UnknownKey;
        }

        Sender? sender = name.Of(claimed.Disk);
        DatagramVerdict verdict = sender?.Judge(claimed.Incarnation, counter) ?? DatagramVerdict.Opened;
        if (verdict != DatagramVerdict.Opened)
        {
            return verdict;
        }

        bool isSame = sender is not null && sender.Identity == claimed;
        AesGcm cipher = isSame ? sender!.CipherOf(key) : SealedDatagram.DeriveCipher(key, claimed);
        int headerSize = SealedDatagram.HeaderSize(claimed.Name);
        if (!TryDecrypt(cipher, datagram, headerSize, counter, message[..sealedLength]))
        {
            if (!isSame)
            {
                cipher.Dispose();
            }

            return DatagramVerdict.NotAuthentic;
        }

        if (!isSame)
        {
            sender = Replace(name, sender, claimed, key, cipher);
        }

        sender!.Take(counter);
        from = claimed;
        length = sealedLength;
        return DatagramVerdict.Opened;
    }

    private ClusterKey? KeyOf(uint epoch)
    {
        foreach (ClusterKey key in _keys)
        {
            if (key.Epoch == epoch)
            {
                return key;
            }
        }

        return null;
    }

    private static Sender Replace(Name name, Sender? former, ServerIdentity identity, ClusterKey key, AesGcm cipher)
    {
        if (former is null && name.Senders.Count == DisksKept)
        {
            former = name.Senders.Find(known => known.Identity.Disk != name.Disk);
        }

        if (former is not null)
        {
            name.Senders.Remove(former);
            former.Dispose();
        }

        var sender = new Sender(identity, key, cipher);
        name.Senders.Add(sender);
        return sender;
    }

    private static bool TryDecrypt(AesGcm cipher, ReadOnlySpan<byte> datagram, int headerSize, ulong counter, Span<byte> message)
    {
        Span<byte> nonce = stackalloc byte[SealedDatagram.NonceSize];
        SealedDatagram.WriteNonce(nonce, counter);
        try
        {
            cipher.Decrypt(
                nonce, datagram.Slice(headerSize, message.Length), datagram[^SealedDatagram.TagSize..], message, datagram[..headerSize]);
            return true;
        }
        catch (AuthenticationTagMismatchException)
        {
            return false;
        }
    }

    /// <summary>A configured name, its disk, and who has spoken under it.</summary>
    private sealed record Name(DiskId Disk, List<Sender> Senders)
    {
        public Sender? Of(DiskId disk)
        {
            foreach (Sender sender in Senders)
            {
                if (sender.Identity.Disk == disk)
                {
                    return sender;
                }
            }

            return null;
        }
    }

    /// <summary>One incarnation of one disk, with its keys and what has been seen of it.</summary>
    private sealed class Sender(ServerIdentity identity, ClusterKey key, AesGcm cipher) : IDisposable
    {
        private readonly List<(uint Epoch, AesGcm Cipher)> _ciphers = [(key.Epoch, cipher)];
        private ReplayWindow _window = new();

        public ServerIdentity Identity { get; } = identity;

        public DatagramVerdict Judge(Incarnation incarnation, ulong counter)
        {
            if (incarnation < Identity.Incarnation)
            {
                return DatagramVerdict.Old;
            }

            return incarnation > Identity.Incarnation ? DatagramVerdict.Opened : _window.Judge(counter);
        }

        public void Take(ulong counter) => _window.Take(counter);

        public AesGcm CipherOf(ClusterKey key)
        {
            foreach ((uint epoch, AesGcm known) in _ciphers)
            {
                if (epoch == key.Epoch)
                {
                    return known;
                }
            }

            AesGcm derived = SealedDatagram.DeriveCipher(key, Identity);
            _ciphers.Add((key.Epoch, derived));
            return derived;
        }

        public void Forget(ImmutableArray<ClusterKey> kept)
        {
            for (int i = _ciphers.Count - 1; i >= 0; i--)
            {
                if (kept.All(key => key.Epoch != _ciphers[i].Epoch))
                {
                    _ciphers[i].Cipher.Dispose();
                    _ciphers.RemoveAt(i);
                }
            }
        }

        public void Dispose() => _ciphers.ForEach(held => held.Cipher.Dispose());
    }
}
