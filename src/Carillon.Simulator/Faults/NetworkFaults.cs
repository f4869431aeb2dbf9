using System.Buffers.Binary;
using Carillon.Node;
using Carillon.Protocols;
using Carillon.Simulator.World;

namespace Carillon.Simulator.Faults;

/// <summary>Cut, slow and lying links.</summary>
internal sealed class NetworkFaults(SimulatedWorld world, RandomSource random)
{
    // Of a group's messages there is no traffic in most runs.
    private const int ForgedKinds = (int)TrafficKind.Groups;

    private const int MaxGarbageBytes = 200;

    private int Count => world.Servers.Count;

    /// <summary>Cuts links in the pattern of the kind, until <paramref name="keep"/> takes it back.</summary>
    public bool Partition(FaultKind kind, Action<Action> keep)
    {
        if (Count < 2)
        {
            return false;
        }

        int[] order = [.. Enumerable.Range(0, Count)];
        for (int i = Count - 1; i > 0; i--)
        {
            int other = random.Below(i + 1);
            (order[i], order[other]) = (order[other], order[i]);
        }

        int half = 1 + random.Below(Count - 1);
        var cuts = new List<(int From, int To)>();
        for (int a = 0; a < Count; a++)
        {
            for (int b = 0; b < Count; b++)
            {
                int distance = Math.Abs(a - b);
                bool isCut = a != b && kind switch
                {
                    FaultKind.PartitionOne => a == 0 || b == 0,
                    FaultKind.PartitionHalves => a < half != b < half,
                    FaultKind.PartitionRing => distance != 1 && distance != Count - 1,
                    FaultKind.PartitionBridge => a != 0 && b != 0 && a <= half != b <= half,
                    _ => a == 0 && b == 1,
                };
                if (isCut)
                {
                    cuts.Add((order[a], order[b]));
                }
            }
        }

        return CutAll(cuts, keep);
    }

    /// <summary>One server is heard by nobody, and hears nobody unless <paramref name="isOneWay"/>.</summary>
    public bool CutOff(int place, bool isOneWay, Action<Action> keep) => CutAll(
        [.. Places().Where(other => other != place).SelectMany(other => isOneWay
            ? [(place, other)]
            : new[] { (place, other), (other, place) })],
        keep);

    /// <summary>The others fall into two groups, which hear each other only through this one.</summary>
    public bool Bridge(int place, Action<Action> keep)
    {
        int[] others = [.. Places().Where(other => other != place)];
        int first = 1 + random.Below(others.Length - 1);
        int turn = random.Below(others.Length);
        int[] group = [.. others.Select((other, i) => others[(i + turn) % others.Length]).Take(first)];
        return CutAll(
            [.. others.SelectMany(a => others.Where(b => group.Contains(a) != group.Contains(b)).Select(b => (a, b)))], keep);
    }

    private IEnumerable<int> Places() => Enumerable.Range(0, Count);

    private bool CutAll(List<(int From, int To)> cuts, Action<Action> keep)
    {
        foreach ((int from, int to) in cuts)
        {
            world.Network.Cut(from, to);
        }

        keep(() =>
        {
            foreach ((int from, int to) in cuts)
            {
                world.Network.Heal(from, to);
            }
        });
        return cuts.Count > 0;
    }

    /// <summary>Cuts all links of a server, until <paramref name="keep"/> takes it back.</summary>
    public void CutOff(int place, Action<Action> keep)
    {
        int[] others = [.. Enumerable.Range(0, Count).Where(other => other != place)];
        foreach (int other in others)
        {
            world.Network.Cut(place, other);
            world.Network.Cut(other, place);
        }

        bool losesAll = random.Chance(0.5);
        keep(() =>
        {
            foreach (int other in others)
            {
                if (losesAll)
                {
                    // What the tunnel held meanwhile never comes.
                    world.Network.Reset(place, other);
                }

                world.Network.Heal(place, other);
                world.Network.Heal(other, place);
            }
        });
    }

    /// <summary>Closes one pair's tunnel.</summary>
    public bool ResetTunnel()
    {
        if (!TryPickLink(out int from, out int to))
        {
            return false;
        }

        world.Network.Reset(from, to);
        return true;
    }

    /// <summary>Makes one direction slow: 1 KB/s to 1 MB/s.</summary>
    public bool SlowDown(Action<Action> keep)
    {
        if (!TryPickLink(out int from, out int to))
        {
            return false;
        }

        world.Network.SetSpeed(from, to, (long)(1000 * Math.Pow(1000, random.Fraction())));
        keep(() => world.Network.SetSpeed(from, to, 0));
        return true;
    }

    /// <summary>Multicast from one server, to one or to all, is lost.</summary>
    public bool LoseMulticast(Action<Action> keep)
    {
        if (!TryPickLink(out int from, out int only))
        {
            return false;
        }

        bool all = random.Chance(0.5);
        void Set(bool works)
        {
            for (int to = 0; to < Count; to++)
            {
                if (all || to == only)
                {
                    world.Network.SetMulticast(from, to, works);
                }
            }
        }

        Set(works: false);
        keep(() => Set(works: true));
        return true;
    }

    /// <summary>
    /// Random bytes reach a server's readers as if a peer had sent them. (A flipped bit of a good message can't: the seal of a datagram and
    /// the record of TLS fail first. What can is a peer of another build.)
    /// </summary>
    public bool SendGarbage(SimulatedServer server)
    {
        if (Count < 2)
        {
            return false;
        }

        SimulatedServer peer = world.Servers[(server.Place + 1 + random.Below(Count - 1)) % Count];
        byte[] bytes = new byte[random.Below(MaxGarbageBytes)];
        for (int i = 0; i < bytes.Length; i++)
        {
            bytes[i] = (byte)random.Next();
        }

        if (bytes.Length > 2 && random.Chance(0.8))
        {
            // A version and a type that exist, so that the fields behind them are looked at.
            bytes[0] = 1;
            bytes[1] = (byte)random.Below(24);
        }

        ServerIdentity from = peer.Identity;
        if (from.Name.IsNone)
        {
            return false;
        }

        if (random.Chance(0.4))
        {
            server.Input((node, now) => node.ReceiveDatagram(from, bytes, now));
        }
        else
        {
            var kind = (TrafficKind)random.Below(ForgedKinds);
            byte[] message = random.Chance(0.3) ? bytes : Frame(bytes);
            server.Input((node, now) => node.Receive(from, kind, message, now));
        }

        return true;
    }

    // In an envelope, so that a core gets to see it: u32 length, u8 protocol, payload.
    private byte[] Frame(byte[] payload)
    {
        byte[] frame = new byte[Envelope.Overhead + payload.Length];
        BinaryPrimitives.WriteInt32LittleEndian(frame, payload.Length + 1);
        frame[4] = (byte)(1 + random.Below(5));
        payload.CopyTo(frame, Envelope.Overhead);
        return frame;
    }

    private bool TryPickLink(out int from, out int to)
    {
        from = random.Below(Count);
        to = Count < 2 ? 0 : (from + 1 + random.Below(Count - 1)) % Count;
        return Count >= 2;
    }
}
