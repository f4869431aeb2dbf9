using System.Buffers.Binary;
using Carillon.Protocols.Cluster;
using Carillon.Protocols.Tests.Membership;
using Carillon.Protocols.Wire;
using Xunit;

namespace Carillon.Protocols.Tests.Wire;

/// <summary>docs/formats/datagram.md: what is sealed opens once, and nothing else ever does.</summary>
public sealed class SealedDatagramTests
{
    private const int HeaderSize = 40;

    private static readonly ServerIdentity S1 = new(NodeId.Parse("s1"), new DiskId(1001), new Incarnation(5));
    private static readonly ClusterConfiguration Configuration = MembershipLab.ConfigurationOf(3, 3);
    private static readonly ClusterKey Key = KeyOf(1);

    [Fact]
    public void Sealed_message_opens_with_its_sender()
    {
        using var sealer = new SealedDatagramSealer(S1, Key);
        using var opener = new SealedDatagramOpener(Configuration, Key);
        for (int length = 0; length < 1500; length += 37)
        {
            byte[] message = [.. Enumerable.Range(0, length).Select(i => (byte)i)];
            byte[] datagram = Seal(sealer, message);

            Assert.Equal(length + sealer.Overhead, datagram.Length);
            Assert.Equal(DatagramVerdict.Opened, Open(opener, datagram, out ServerIdentity sender, out byte[] opened));
            Assert.Equal(S1, sender);
            Assert.Equal(message, opened);
        }
    }

    // The last line was computed by an implementation of HKDF and AES-GCM other than the framework's.
    [Fact]
    public void Sealed_message_has_its_golden_bytes()
    {
        using var sealer = new SealedDatagramSealer(S1, Key);
        Assert.Equal(
            "01" + "027331" + "e9030000000000000000000000000000" + "0500000000000000" + "01000000" + "0100000000000000"
            + "e1b98b80867fb56a" + "d036f6890848c4ac7b3c58dae66d6de0",
            Convert.ToHexStringLower(Seal(sealer, "carillon"u8)));
    }

    [Fact]
    public void Replayed_datagram_is_refused_and_counted()
    {
        using var sealer = new SealedDatagramSealer(S1, Key);
        using var opener = new SealedDatagramOpener(Configuration, Key);
        byte[] datagram = Seal(sealer, [1]);

        Assert.Equal(DatagramVerdict.Opened, Open(opener, datagram));
        Assert.Equal(DatagramVerdict.Replayed, Open(opener, datagram));
        Assert.Equal(DatagramVerdict.Replayed, Open(opener, datagram));
        Assert.Equal(2, opener.Count(DatagramVerdict.Replayed));
        Assert.Equal(1, opener.Count(DatagramVerdict.Opened));
    }

    [Fact]
    public void Datagrams_in_any_order_open_once_each_and_none_from_behind_the_window()
    {
        for (ulong seed = 0; seed < 20; seed++)
        {
            var random = new RandomSource(seed);
            using var sealer = new SealedDatagramSealer(S1, Key);
            using var opener = new SealedDatagramOpener(Configuration, Key);
            byte[][] datagrams = [.. Enumerable.Range(0, 3000).Select(_ => Seal(sealer, [1]))];
            var seen = new HashSet<int>();
            int greatest = -1;
            for (int round = 0; round < 4000; round++)
            {
                // Mostly near the front, sometimes anywhere, sometimes far ahead.
                int chosen = random.Chance(0.1)
                    ? random.Below(datagrams.Length)
                    : Math.Clamp(greatest + random.Below(40) - 25, 0, datagrams.Length - 1);
                DatagramVerdict expected =
                    chosen > greatest ? DatagramVerdict.Opened
                    : greatest - chosen >= 1024 ? DatagramVerdict.Old
                    : seen.Contains(chosen) ? DatagramVerdict.Replayed : DatagramVerdict.Opened;
                Assert.Equal(expected, Open(opener, datagrams[chosen]));
                seen.Add(chosen);
                greatest = Math.Max(greatest, chosen);
            }
        }
    }

    [Fact]
    public void Datagram_with_any_bit_changed_is_refused()
    {
        using var sealer = new SealedDatagramSealer(S1, Key);
        using var opener = new SealedDatagramOpener(Configuration, Key);
        byte[] datagram = Seal(sealer, [1, 2, 3, 4]);
        for (int bit = 0; bit < datagram.Length * 8; bit++)
        {
            byte[] changed = (byte[])datagram.Clone();
            changed[bit / 8] ^= (byte)(1 << (bit % 8));
            Assert.NotEqual(DatagramVerdict.Opened, Open(opener, changed));
        }

        Assert.Equal(DatagramVerdict.Opened, Open(opener, datagram));
    }

    [Fact]
    public void Datagram_cut_short_anywhere_is_refused()
    {
        using var sealer = new SealedDatagramSealer(S1, Key);
        using var opener = new SealedDatagramOpener(Configuration, Key);
        byte[] datagram = Seal(sealer, [1, 2, 3, 4]);
        for (int length = 0; length < datagram.Length; length++)
        {
            DatagramVerdict verdict = Open(opener, datagram[..length]);
            Assert.Equal(length < HeaderSize + SealedDatagram.TagSize ? DatagramVerdict.Malformed : DatagramVerdict.NotAuthentic, verdict);
        }

        Assert.Equal(DatagramVerdict.Opened, Open(opener, datagram));
    }

    [Fact]
    public void Former_incarnation_is_old_once_its_successor_was_heard()
    {
        using var former = new SealedDatagramSealer(S1, Key);
        using var present = new SealedDatagramSealer(S1 with { Incarnation = new Incarnation(6) }, Key);
        using var opener = new SealedDatagramOpener(Configuration, Key);

        Assert.Equal(DatagramVerdict.Opened, Open(opener, Seal(former, [1])));
        Assert.Equal(DatagramVerdict.Opened, Open(opener, Seal(present, [1])));
        Assert.Equal(DatagramVerdict.Old, Open(opener, Seal(former, [1])));
        Assert.Equal(DatagramVerdict.Opened, Open(opener, Seal(present, [1])));
    }

    [Fact]
    public void Incarnation_and_disk_have_keys_of_their_own()
    {
        ServerIdentity[] identities =
        [
            S1,
            S1 with { Incarnation = new Incarnation(6) },
            S1 with { Disk = new DiskId(9) },
            S1 with { Name = NodeId.Parse("s2") },
        ];
        var ciphertexts = new HashSet<string>(StringComparer.Ordinal);
        foreach (ServerIdentity identity in identities)
        {
            foreach (ClusterKey key in new[] { Key, new ClusterKey(2, new byte[32]), KeyOf(2) })
            {
                using var sealer = new SealedDatagramSealer(identity, key);
                Assert.True(ciphertexts.Add(Convert.ToHexString(Seal(sealer, new byte[16])[HeaderSize..])));
            }
        }
    }

    [Fact]
    public void Forged_sender_is_not_authentic_and_does_not_push_the_true_one_out()
    {
        using var sealer = new SealedDatagramSealer(S1, Key);
        using var opener = new SealedDatagramOpener(Configuration, Key);
        byte[] first = Seal(sealer, [1]);
        Assert.Equal(DatagramVerdict.Opened, Open(opener, first));
        using var forger = new SealedDatagramSealer(S1 with { Incarnation = new Incarnation(99) }, new ClusterKey(1, new byte[32]));
        for (int i = 0; i < 100; i++)
        {
            Assert.Equal(DatagramVerdict.NotAuthentic, Open(opener, Seal(forger, [1])));
        }

        Assert.Equal(DatagramVerdict.Replayed, Open(opener, first));
        Assert.Equal(DatagramVerdict.Opened, Open(opener, Seal(sealer, [1])));
    }

    [Fact]
    public void Foreign_disks_are_opened_to_be_told_of_and_do_not_push_the_configured_one_out()
    {
        using var sealer = new SealedDatagramSealer(S1, Key);
        using var opener = new SealedDatagramOpener(Configuration, Key);
        byte[] first = Seal(sealer, [1]);
        Assert.Equal(DatagramVerdict.Opened, Open(opener, first));
        for (uint disk = 1; disk < 20; disk++)
        {
            using var foreign = new SealedDatagramSealer(S1 with { Disk = new DiskId(disk) }, Key);
            Assert.Equal(DatagramVerdict.Opened, Open(opener, Seal(foreign, [1]), out ServerIdentity sender, out _));
            Assert.Equal(new DiskId(disk), sender.Disk);
        }

        Assert.Equal(DatagramVerdict.Replayed, Open(opener, first));
    }

    [Fact]
    public void Current_and_previous_cluster_key_are_accepted_and_no_other()
    {
        using var sealer = new SealedDatagramSealer(S1, KeyOf(1));
        using var opener = new SealedDatagramOpener(Configuration, KeyOf(1));
        byte[] early = Seal(sealer, [1]);
        byte[] earlier = Seal(sealer, [1]);
        opener.Accept(KeyOf(2));
        Assert.Equal(DatagramVerdict.Opened, Open(opener, early));

        sealer.Rotate(KeyOf(2));
        Assert.Equal(DatagramVerdict.Opened, Open(opener, Seal(sealer, [1])));
        sealer.Rotate(KeyOf(3));
        Assert.Equal(DatagramVerdict.UnknownKey, Open(opener, Seal(sealer, [1])));
        opener.Accept(KeyOf(3));
        Assert.Equal(DatagramVerdict.Opened, Open(opener, Seal(sealer, [1])));
        Assert.Equal(DatagramVerdict.UnknownKey, Open(opener, earlier));
        opener.Accept(KeyOf(1));
        Assert.Equal(DatagramVerdict.UnknownKey, Open(opener, earlier));
    }

    [Fact]
    public void Counter_seen_before_a_rotation_is_not_taken_after_it()
    {
        // Each key epoch has its own key, but the counter goes on: one window serves both.
        using var sealer = new SealedDatagramSealer(S1, KeyOf(1));
        using var opener = new SealedDatagramOpener(Configuration, KeyOf(1));
        opener.Accept(KeyOf(2));
        byte[] before = Seal(sealer, [1]);
        Open(opener, before);
        sealer.Rotate(KeyOf(2));
        byte[] after = Seal(sealer, [1]);

        Assert.Equal(2UL, BinaryPrimitives.ReadUInt64LittleEndian(after.AsSpan(HeaderSize - 8)));
        Assert.Equal(DatagramVerdict.Opened, Open(opener, after));
        Assert.Equal(DatagramVerdict.Replayed, Open(opener, before));
    }

    [Fact]
    public void Stranger_and_server_that_left_are_refused()
    {
        using var stranger = new SealedDatagramSealer(S1 with { Name = NodeId.Parse("x9") }, Key);
        using var leaving = new SealedDatagramSealer(S1 with { Name = NodeId.Parse("s3"), Disk = new DiskId(1003) }, Key);
        using var opener = new SealedDatagramOpener(Configuration, Key);

        Assert.Equal(DatagramVerdict.Stranger, Open(opener, Seal(stranger, [1])));
        Assert.Equal(DatagramVerdict.Opened, Open(opener, Seal(leaving, [1])));
        opener.Reconfigure(MembershipLab.ConfigurationOf(2, 2));
        Assert.Equal(DatagramVerdict.Stranger, Open(opener, Seal(leaving, [1])));
    }

    [Fact]
    public void Newer_format_is_told_apart()
    {
        using var sealer = new SealedDatagramSealer(S1, Key);
        using var opener = new SealedDatagramOpener(Configuration, Key);
        byte[] datagram = Seal(sealer, [1]);
        datagram[0] = 2;
        Assert.Equal(DatagramVerdict.UnknownVersion, Open(opener, datagram));
    }

    [Fact]
    public void Any_bytes_are_refused_without_an_exception()
    {
        var random = new RandomSource(3);
        using var opener = new SealedDatagramOpener(Configuration, Key);
        for (int round = 0; round < 1000; round++)
        {
            byte[] bytes = new byte[random.Below(200)];
            foreach (ref byte b in bytes.AsSpan())
            {
                b = (byte)random.Next();
            }

            if (bytes.Length > HeaderSize)
            {
                bytes[0] = 1;
                bytes[1] = 2;
                bytes[2] = (byte)'s';
                bytes[3] = (byte)'1';
            }

            Assert.NotEqual(DatagramVerdict.Opened, Open(opener, bytes));
        }

        Assert.Equal(0, opener.Count(DatagramVerdict.Opened));
    }

    [Fact]
    public void Room_that_is_too_small_is_refused()
    {
        using var sealer = new SealedDatagramSealer(S1, Key);
        using var opener = new SealedDatagramOpener(Configuration, Key);
        byte[] datagram = Seal(sealer, new byte[100]);
        Assert.Equal(DatagramVerdict.Malformed, opener.Open(datagram, new byte[99], out _, out _));
        Assert.Equal(DatagramVerdict.Opened, opener.Open(datagram, new byte[100], out _, out _));
    }

    [Fact]
    public void Cluster_key_never_shows_its_secret() => Assert.Equal("cluster key 1", Key.ToString());

    private static ClusterKey KeyOf(uint epoch) => new(epoch, Enumerable.Range(0, 32).Select(i => (byte)(i + epoch)).ToArray());

    private static byte[] Seal(SealedDatagramSealer sealer, ReadOnlySpan<byte> message)
    {
        byte[] datagram = new byte[message.Length + sealer.Overhead];
        Assert.Equal(datagram.Length, sealer.Seal(message, datagram));
        return datagram;
    }

    private static DatagramVerdict Open(SealedDatagramOpener opener, byte[] datagram) => Open(opener, datagram, out _, out _);

    private static DatagramVerdict Open(SealedDatagramOpener opener, byte[] datagram, out ServerIdentity sender, out byte[] message)
    {
        byte[] room = new byte[datagram.Length];
        DatagramVerdict verdict = opener.Open(datagram, room, out sender, out int length);
        message = room[..length];
        return verdict;
    }
}
