using Carillon.Node;
using Carillon.Protocols;

namespace Carillon.Simulator.World;

/// <summary>
/// Tunnels and datagrams between all servers. A tunnel's streams keep their order; when it breaks, what was under way is lost and each end
/// learns of it in its own time. Cut links hold a tunnel's bytes until they heal or the tunnel is given up, and lose datagrams.
/// </summary>
internal sealed class Network
{
    private readonly EventQueue _queue;
    private readonly RandomSource _random;
    private readonly TraceDigest _digest;
    private readonly List<INetworkEnd> _ends = [];
    private readonly Dictionary<NodeId, int> _places = [];
    private readonly int[,] _cuts;
    private readonly long[,] _slowBytesPerSecond;
    private readonly bool[,] _multicastDead;
    private readonly Tunnel[,] _tunnels;

    public Network(EventQueue queue, RandomSource random, TraceDigest digest, int servers, NetworkConditions conditions)
    {
        _queue = queue;
        _random = random;
        _digest = digest;
        Conditions = conditions;
        _cuts = new int[servers, servers];
        _slowBytesPerSecond = new long[servers, servers];
        _multicastDead = new bool[servers, servers];
        _tunnels = new Tunnel[servers, servers];
        for (int low = 0; low < servers; low++)
        {
            for (int high = low + 1; high < servers; high++)
            {
                _tunnels[low, high] = _tunnels[high, low] = new Tunnel(low, high);
            }
        }
    }

    /// <summary>How good it is at present.</summary>
    public NetworkConditions Conditions { get; set; }

    /// <summary>What it did so far.</summary>
    public NetworkFigures Figures { get; } = new();

    /// <summary>Sees every message that a server sends on a tunnel, lost or not: (from, to, kind, bytes).</summary>
    public Action<NodeId, NodeId, TrafficKind, ReadOnlyMemory<byte>>? Tap { get; set; }

    /// <summary>Sees every datagram to one server before it is sealed.</summary>
    public Action<NodeId, NodeId, ReadOnlyMemory<byte>>? DatagramTap { get; set; }

    /// <summary>Places 0 to n-1 are given in the order of these calls.</summary>
    public void Add(INetworkEnd end)
    {
        _places.Add(end.Name, _ends.Count);
        _ends.Add(end);
    }

    /// <summary>Queues a message; false if the sender's end is not connected, or the queue is full.</summary>
    public bool Send(NodeId from, NodeId to, TrafficKind kind, ReadOnlyMemory<byte> bytes, ReadOnlyMemory<byte>? body = null)
    {
        if (!_places.TryGetValue(to, out int target))
        {
            return false;
        }

        int source = _places[from];
        Tunnel tunnel = _tunnels[source, target];
        int end = tunnel.EndOf(source);
        if (tunnel.Told[end] == 0)
        {
            return false;
        }

        Figures.Messages++;
        Tap?.Invoke(from, to, kind, bytes);
        if (tunnel.State != TunnelState.Up || tunnel.Told[end] != tunnel.Generation)
        {
            // The tunnel is gone and this end has not been told: the bytes go nowhere.
            return true;
        }

        TunnelStream stream = tunnel.Streams[(end * Tunnel.Kinds) + (int)kind];
        long length = bytes.Length + (body?.Length ?? 0);
        if (stream.WaitingBytes + length > Conditions.QueueLimitBytes)
        {
            return false;
        }

        TimeSpan flight = Conditions.Latency + _random.Below(Conditions.Jitter);
        Instant arrival = Later(_queue.Now + flight, stream.LastArrival) + PaceOf(length, source, target);
        stream.LastArrival = arrival;
        stream.WaitingBytes += length;
        stream.Waiting.Enqueue(new TunnelMessage(arrival, bytes, body));
        Pump(tunnel, end, kind);
        return true;
    }

    /// <summary>True if the sender's end believes that the tunnel is up.</summary>
    public bool IsOpen(NodeId from, NodeId to) =>
        _places.TryGetValue(to, out int target) && _tunnels[_places[from], target] is { } tunnel
            && tunnel.Told[tunnel.EndOf(_places[from])] != 0;

    /// <summary>Sends a datagram to one server.</summary>
    public void SendDatagram(NodeId from, NodeId to, ReadOnlyMemory<byte> bytes)
    {
        if (_places.TryGetValue(to, out int target) && to != from)
        {
            SendDatagram(_places[from], target, bytes);
        }
    }

    /// <summary>Sends a datagram to all others.</summary>
    public void SendDatagramToAll(NodeId from, ReadOnlyMemory<byte> bytes, bool multicast)
    {
        int source = _places[from];
        for (int target = 0; target < _ends.Count; target++)
        {
            if (target != source && !(multicast && _multicastDead[source, target]))
            {
                SendDatagram(source, target, bytes);
            }
        }
    }

    /// <summary>Cuts one direction of one link; cuts add up.</summary>
    public void Cut(int from, int to)
    {
        _cuts[from, to]++;
        Tunnel tunnel = _tunnels[from, to];
        if (_cuts[from, to] == 1 && _cuts[to, from] == 0)
        {
            int count = ++tunnel.CutCount;
            _queue.After(TunnelTimeout(), () =>
            {
                if (tunnel.CutCount == count && tunnel.State == TunnelState.Up)
                {
                    Break(tunnel, null);
                }
            });
        }
    }

    /// <summary>Takes one cut back.</summary>
    public void Heal(int from, int to)
    {
        _cuts[from, to]--;
        Invariant.That(_cuts[from, to] >= 0);
        Tunnel tunnel = _tunnels[from, to];
        if (_cuts[from, to] == 0 && _cuts[to, from] == 0)
        {
            tunnel.CutCount++;
        }

        for (int kind = 0; kind < Tunnel.Kinds; kind++)
        {
            Pump(tunnel, tunnel.EndOf(from), (TrafficKind)kind);
        }
    }

    /// <summary>True if bytes can't get from one server to another.</summary>
    public bool IsCut(int from, int to) => _cuts[from, to] > 0;

    /// <summary>Makes one direction of a link slow; 0 for its normal speed. What is under way goes on at the new one.</summary>
    public void SetSpeed(int from, int to, long bytesPerSecond)
    {
        _slowBytesPerSecond[from, to] = bytesPerSecond;
        Tunnel tunnel = _tunnels[from, to];
        int end = tunnel.EndOf(from);
        for (int kind = 0; kind < Tunnel.Kinds; kind++)
        {
            TunnelStream stream = tunnel.Streams[(end * Tunnel.Kinds) + kind];

            // Not before its end knows the tunnel.
            Instant last = _queue.Now + Conditions.Latency + Conditions.Jitter;
            for (int waiting = stream.Waiting.Count; waiting > 0; waiting--)
            {
                TunnelMessage message = stream.Waiting.Dequeue();
                Instant arrival = last + PaceOf(message.Length, from, to);
                last = bytesPerSecond == 0 ? Instant.Min(message.Arrival, arrival) : Later(message.Arrival, arrival);
                stream.Waiting.Enqueue(message with { Arrival = last });
            }

            stream.LastArrival = stream.WaitingBytes > 0 ? last : stream.LastArrival;
            stream.Pumping = false;
            Pump(tunnel, end, (TrafficKind)kind);
        }
    }

    /// <summary>Lets multicast from one server to another get lost, or arrive again.</summary>
    public void SetMulticast(int from, int to, bool works) => _multicastDead[from, to] = !works;

    /// <summary>Closes a pair's tunnel, as a router's restart would.</summary>
    public void Reset(int a, int b)
    {
        if (_tunnels[a, b].State == TunnelState.Up)
        {
            Break(_tunnels[a, b], null);
        }
    }

    /// <summary>A server's process started: it will open its tunnels.</summary>
    public void Started(int place)
    {
        for (int other = 0; other < _ends.Count; other++)
        {
            if (other != place)
            {
                ScheduleOpen(_tunnels[place, other], TimeSpan.FromMilliseconds(1));
            }
        }
    }

    /// <summary>A server's process ended; its peers are told at once (its machine resets the connections) or after a timeout (it is
    /// dark).</summary>
    public void Stopped(int place, bool dark)
    {
        for (int other = 0; other < _ends.Count; other++)
        {
            if (other == place)
            {
                continue;
            }

            Tunnel tunnel = _tunnels[place, other];
            tunnel.Told[tunnel.EndOf(place)] = 0;
            if (tunnel.State != TunnelState.Down)
            {
                Break(tunnel, dark ? null : Conditions.Latency);
            }
        }
    }

    /// <summary>A server's process does not run for a while: peers that wait too long give its tunnels up.</summary>
    public void Paused(int place, TimeSpan duration)
    {
        for (int other = 0; other < _ends.Count; other++)
        {
            TimeSpan timeout = TunnelTimeout();
            if (other == place || timeout >= duration)
            {
                continue;
            }

            Tunnel tunnel = _tunnels[place, other];
            int generation = tunnel.Generation;
            _queue.After(timeout, () =>
            {
                if (tunnel.Generation == generation && tunnel.State == TunnelState.Up)
                {
                    Break(tunnel, null);
                }
            });
        }
    }

    private static Instant Later(Instant a, Instant b) => a > b ? a : b;

    private TimeSpan PaceOf(long bytes, int source, int target)
    {
        long slow = _slowBytesPerSecond[source, target];
        return TimeSpan.FromSeconds(bytes / (double)(slow > 0 ? Math.Min(slow, Conditions.BytesPerSecond) : Conditions.BytesPerSecond));
    }

    private TimeSpan TunnelTimeout() =>
        Conditions.TunnelTimeoutLeast + _random.Below(Conditions.TunnelTimeoutMost - Conditions.TunnelTimeoutLeast);

    private void SendDatagram(int source, int target, ReadOnlyMemory<byte> bytes)
    {
        Figures.Datagrams++;
        if (_cuts[source, target] > 0 || _random.Chance(Conditions.DatagramLoss))
        {
            Figures.DatagramsLost++;
            return;
        }

        int copies = _random.Chance(Conditions.DatagramDuplication) ? 2 : 1;
        Figures.DatagramsDoubled += copies - 1;
        for (int copy = 0; copy < copies; copy++)
        {
            TimeSpan flight = Conditions.Latency + _random.Below(Conditions.Jitter);
            if (_random.Chance(Conditions.DatagramDelay))
            {
                Figures.DatagramsDelayed++;
                flight += _random.Below(Conditions.DatagramDelayLimit);
            }

            ReadOnlyMemory<byte> arriving = _random.Chance(Conditions.DatagramCorruption) ? Corrupt(bytes) : bytes;
            _queue.After(flight, () =>
            {
                _digest.Add(((ulong)source << 8) | (uint)target);
                _digest.Add(arriving.Span);
                _ends[target].ReceiveDatagram(arriving);
            });
        }
    }

    private byte[] Corrupt(ReadOnlyMemory<byte> bytes)
    {
        Figures.Corrupted++;
        byte[] corrupted = bytes.ToArray();
        if (corrupted.Length > 0)
        {
            corrupted[_random.Below(corrupted.Length)] ^= (byte)(1 << _random.Below(8));
        }

        return corrupted;
    }

    private void Pump(Tunnel tunnel, int end, TrafficKind kind)
    {
        TunnelStream stream = tunnel.Streams[(end * Tunnel.Kinds) + (int)kind];
        if (stream.Pumping || stream.Waiting.Count == 0)
        {
            return;
        }

        stream.Pumping = true;
        int generation = tunnel.Generation;
        long turn = ++stream.PumpTurn;
        _queue.At(Later(stream.Waiting.Peek().Arrival, _queue.Now), () =>
        {
            if (tunnel.Generation == generation && stream.PumpTurn == turn)
            {
                stream.Pumping = false;
                Deliver(tunnel, end, kind, stream);
            }
        });
    }

    private void Deliver(Tunnel tunnel, int end, TrafficKind kind, TunnelStream stream)
    {
        int source = end == 0 ? tunnel.Low : tunnel.High;
        int target = tunnel.Other(source);
        int generation = tunnel.Generation;
        while (_cuts[source, target] == 0 && stream.Waiting.TryPeek(out TunnelMessage message) && message.Arrival <= _queue.Now)
        {
            stream.Waiting.Dequeue();
            stream.WaitingBytes -= message.Length;
            _digest.Add(((ulong)source << 16) | ((ulong)target << 8) | (byte)kind);
            _digest.Add(message.Bytes.Span);
            INetworkEnd receiver = _ends[target];
            if (message.Body is { } body)
            {
                receiver.ReceiveChunk(
                    tunnel.Identities[end], message.Bytes, _random.Chance(Conditions.ChunkCorruption) ? Corrupt(body) : body);
            }
            else
            {
                receiver.Receive(tunnel.Identities[end], kind, message.Bytes);
            }

            if (tunnel.Generation != generation)
            {
                return;
            }
        }

        if (_cuts[source, target] == 0)
        {
            Pump(tunnel, end, kind);
        }
    }

    private void ScheduleOpen(Tunnel tunnel, TimeSpan delay)
    {
        if (!tunnel.RetryScheduled)
        {
            tunnel.RetryScheduled = true;
            _queue.After(delay, () =>
            {
                tunnel.RetryScheduled = false;
                TryOpen(tunnel);
            });
        }
    }

    private void TryOpen(Tunnel tunnel)
    {
        bool somebodyWants = tunnel.Told[0] == 0 || tunnel.Told[1] == 0;
        if (tunnel.State != TunnelState.Down || !somebodyWants)
        {
            return;
        }

        if (!CanShakeHands(tunnel))
        {
            ScheduleRetry(tunnel);
            return;
        }

        tunnel.State = TunnelState.Opening;
        int generation = ++tunnel.Generation;
        ServerIdentity low = _ends[tunnel.Low].Identity;
        ServerIdentity high = _ends[tunnel.High].Identity;
        _queue.After((Conditions.Latency * 3) + _random.Below(Conditions.Jitter), () =>
        {
            if (tunnel.Generation != generation)
            {
                return;
            }

            if (!CanShakeHands(tunnel) || _ends[tunnel.Low].Identity != low || _ends[tunnel.High].Identity != high)
            {
                tunnel.State = TunnelState.Down;
                ScheduleRetry(tunnel);
                return;
            }

            Open(tunnel, low, high);
        });
    }

    private void ScheduleRetry(Tunnel tunnel)
    {
        // Where a process is down there is nothing to try; its start schedules the next one.
        if (!_ends[tunnel.Low].Identity.Name.IsNone && !_ends[tunnel.High].Identity.Name.IsNone)
        {
            ScheduleOpen(tunnel, TimeSpan.FromMilliseconds(20) + _random.Below(Conditions.ReconnectLimit));
        }
    }

    private bool CanShakeHands(Tunnel tunnel) =>
        _cuts[tunnel.Low, tunnel.High] == 0 && _cuts[tunnel.High, tunnel.Low] == 0
        && _ends[tunnel.Low].Answers && _ends[tunnel.High].Answers;

    private void Open(Tunnel tunnel, ServerIdentity low, ServerIdentity high)
    {
        Figures.TunnelsOpened++;
        tunnel.State = TunnelState.Up;
        tunnel.Identities[0] = low;
        tunnel.Identities[1] = high;
        tunnel.DropAll();
        int generation = tunnel.Generation;
        int first = _random.Below(2);
        TimeSpan lag = _random.Below(Conditions.Latency + Conditions.Jitter);
        foreach (TunnelStream stream in tunnel.Streams)
        {
            // Nothing arrives at an end before it knows the tunnel.
            stream.LastArrival = _queue.Now + lag;
        }

        TellUp(tunnel, first, generation);
        _queue.After(lag, () =>
        {
            if (tunnel.Generation == generation)
            {
                TellUp(tunnel, 1 - first, generation);
            }
        });
    }

    private void TellUp(Tunnel tunnel, int end, int generation)
    {
        int place = end == 0 ? tunnel.Low : tunnel.High;
        int other = tunnel.Other(place);
        if (tunnel.Told[end] != 0)
        {
            // This end still believed in the old one: the new one takes its place.
            _ends[place].TunnelDown(tunnel.ToldOf[end]);
        }

        tunnel.Told[end] = generation;
        tunnel.ToldOf[end] = tunnel.Identities[1 - end];
        _digest.Add(((ulong)place << 32) | (uint)other);
        _ends[place].TunnelUp(tunnel.Identities[1 - end]);
    }

    private void Break(Tunnel tunnel, TimeSpan? notice)
    {
        if (tunnel.State == TunnelState.Up)
        {
            Figures.TunnelsBroken++;
        }

        tunnel.State = TunnelState.Down;
        tunnel.Generation++;
        tunnel.DropAll();
        for (int end = 0; end < 2; end++)
        {
            int told = tunnel.Told[end];
            if (told == 0)
            {
                continue;
            }

            int place = end == 0 ? tunnel.Low : tunnel.High;
            int side = end;
            TimeSpan delay = notice ?? (
                _random.Chance(0.7) ? _random.Below(Conditions.Latency * 2) : _random.Below(Conditions.TunnelTimeoutMost));
            _queue.After(delay, () =>
            {
                if (tunnel.Told[side] == told)
                {
                    tunnel.Told[side] = 0;
                    _ends[place].TunnelDown(tunnel.ToldOf[side]);
                    ScheduleRetry(tunnel);
                }
            });
        }

        ScheduleRetry(tunnel);
    }
}
