using Carillon.Protocols;

namespace Carillon.Simulator.World;

/// <summary>State of a pair's tunnel, as a bystander who sees everything has it.</summary>
internal enum TunnelState
{
    /// <summary>No connection; an end may not know yet.</summary>
    Down,

    /// <summary>A handshake is under way.</summary>
    Opening,

    /// <summary>Bytes flow, unless a link is cut.</summary>
    Up,
}

/// <summary>A pair's tunnel: its state, what each end believes, and the ordered streams in both directions.</summary>
internal sealed class Tunnel
{
    /// <summary>Number of <see cref="Node.TrafficKind"/>s.</summary>
    public const int Kinds = 5;

    /// <summary>Makes a tunnel between two servers' places.</summary>
    public Tunnel(int low, int high)
    {
        Low = low;
        High = high;
        for (int i = 0; i < Streams.Length; i++)
        {
            Streams[i] = new TunnelStream();
        }
    }

    public int Low { get; }

    public int High { get; }

    public TunnelState State { get; set; }

    /// <summary>Counts openings and breaks: what was begun under another number is void.</summary>
    public int Generation { get; set; }

    /// <summary>Per end: the generation under which it was told "up", or 0.</summary>
    public int[] Told { get; } = new int[2];

    /// <summary>Per end: who shook hands.</summary>
    public ServerIdentity[] Identities { get; } = new ServerIdentity[2];

    /// <summary>Per end: whom it was told about last.</summary>
    public ServerIdentity[] ToldOf { get; } = new ServerIdentity[2];

    /// <summary>True while a try to open is scheduled.</summary>
    public bool RetryScheduled { get; set; }

    /// <summary>Counts cuts and healings of its links: a timeout begun under another number is void.</summary>
    public int CutCount { get; set; }

    /// <summary>Streams, four from the low end, then four from the high end.</summary>
    public TunnelStream[] Streams { get; } = new TunnelStream[2 * Kinds];

    /// <summary>0 for the low end, 1 for the high one.</summary>
    public int EndOf(int place) => place == Low ? 0 : 1;

    /// <summary>The server at the other end.</summary>
    public int Other(int place) => place == Low ? High : Low;

    /// <summary>Everything under way is gone.</summary>
    public void DropAll()
    {
        foreach (TunnelStream stream in Streams)
        {
            stream.Waiting.Clear();
            stream.WaitingBytes = 0;
            stream.Pumping = false;
        }
    }
}

/// <summary>One direction of one kind of traffic: first in, first out.</summary>
internal sealed class TunnelStream
{
    public Queue<TunnelMessage> Waiting { get; } = new();

    public long WaitingBytes { get; set; }

    /// <summary>When the last byte that was sent arrives, as things are.</summary>
    public Instant LastArrival { get; set; }

    /// <summary>True while the arrival of the first one is scheduled.</summary>
    public bool Pumping { get; set; }

    /// <summary>Counts those schedules: an earlier one is void.</summary>
    public long PumpTurn { get; set; }
}

/// <summary>A message under way; with a body it is a chunk behind its header.</summary>
internal readonly record struct TunnelMessage(Instant Arrival, ReadOnlyMemory<byte> Bytes, ReadOnlyMemory<byte>? Body)
{
    public long Length => Bytes.Length + (Body?.Length ?? 0);
}
