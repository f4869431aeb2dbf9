using Carillon.Protocols;

namespace Carillon.Node;

/// <summary>
/// Messages on their way out. One that rests on a record waits until the log has it durably; then everything for a peer and kind leaves as
/// one tunnel message. The place where persist-before-send is kept.
/// </summary>
/// <remarks>Where only a few small messages are to go to a server that datagrams reach, and their core sends again what is lost, they go
/// as datagrams: one goes through two or three threads less at either end than a message of a tunnel's stream.</remarks>
internal sealed class Postbox(IWorld world, DatagramPaths paths)
{
    // Up to this many bytes share a tunnel message; one that is larger goes alone.
    private const int FrameBytes = 64 << 10;

    // More at once than this are a load, which the tunnel carries in one write.
    private const int MostDatagrams = 3;

    private readonly SortedDictionary<(NodeId Peer, TrafficKind Kind), List<Entry>> _ready = [];
    private readonly byte[] _frame = new byte[FrameBytes];
    private readonly Gate _log = new();
    private readonly Gate _groups = new();

    /// <summary>Takes a message; it leaves once the log that its kind rests on is durable up to <paramref name="after"/>.</summary>
    public void Post(NodeId peer, TrafficKind kind, Entry entry, ulong after, ulong durable)
    {
        if (after > durable)
        {
            GateOf(kind).Enqueue((after, peer, kind, entry));
        }
        else
        {
            Ready(peer, kind, entry);
        }
    }

    /// <summary>Everything up to a position is durable in the server's log.</summary>
    public void Release(ulong durable) => Release(_log, durable);

    /// <summary>Everything up to a position is durable in the groups' log.</summary>
    public void ReleaseGroups(ulong durable) => Release(_groups, durable);

    /// <summary>Hands everything that may leave to the world.</summary>
    public void Flush(Instant now)
    {
        foreach (((NodeId peer, TrafficKind kind), List<Entry> entries) in _ready)
        {
            if (entries.Count > 0 && entries[0].MayBeLost && TrySendDatagrams(peer, entries, now))
            {
                entries.Clear();
                continue;
            }

            int start = 0;
            while (start < entries.Count)
            {
                int size = 0;
                int end = start;
                while (end < entries.Count && (end == start || size + Envelope.Overhead + entries[end].Payload.Length <= FrameBytes))
                {
                    size += Envelope.Overhead + entries[end++].Payload.Length;
                }

                world.Send(peer, kind, Frame(entries, start, end, size));
                start = end;
            }

            entries.Clear();
        }
    }

    private bool TrySendDatagrams(NodeId peer, List<Entry> entries, Instant now)
    {
        bool isGood = paths.IsGood(peer, now);
        if (paths.TryAsk(peer, now, _frame.AsSpan(NodeDatagram.HeaderBytes)))
        {
            world.SendDatagram(peer, NodeDatagram.Lay(_frame, Protocol.Paths, DatagramPaths.QuestionBytes));
        }

        if (!isGood || entries.Count > MostDatagrams)
        {
            return false;
        }

        foreach (Entry entry in entries)
        {
            if (!entry.MayBeLost || entry.Payload.Length > NodeDatagram.MaxPayload)
            {
                return false;
            }
        }

        foreach (Entry entry in entries)
        {
            entry.Payload.Span.CopyTo(_frame.AsSpan(NodeDatagram.HeaderBytes));
            world.SendDatagram(peer, NodeDatagram.Lay(_frame, entry.Protocol, entry.Payload.Length));
        }

        return true;
    }

    // The world copies it: all frames are laid out in one place, but for those that are larger than most.
    private ReadOnlyMemory<byte> Frame(List<Entry> entries, int start, int end, int size)
    {
        byte[] frame = size <= FrameBytes ? _frame : GC.AllocateUninitializedArray<byte>(size);
        int at = 0;
        for (int i = start; i < end; i++)
        {
            Envelope.Write(frame.AsSpan(at), entries[i].Protocol, entries[i].Payload.Span);
            at += Envelope.Overhead + entries[i].Payload.Length;
        }

        return frame.AsMemory(0, size);
    }

    private Gate GateOf(TrafficKind kind) => kind == TrafficKind.Groups ? _groups : _log;

    private void Release(Gate gate, ulong durable)
    {
        // Gates are handed out in the log's order but for a few re-sent promises, which at worst wait a little longer than they need.
        while (gate.TryPeek(out (ulong After, NodeId Peer, TrafficKind Kind, Entry Entry) next) && next.After <= durable)
        {
            gate.Dequeue();
            Ready(next.Peer, next.Kind, next.Entry);
        }
    }

    private void Ready(NodeId peer, TrafficKind kind, Entry entry)
    {
        if (!_ready.TryGetValue((peer, kind), out List<Entry>? entries))
        {
            _ready.Add((peer, kind), entries = []);
        }

        entries.Add(entry);
    }

    /// <summary>A message on its way out.</summary>
    /// <param name="Protocol">The core that it is for.</param>
    /// <param name="Payload">Its bytes.</param>
    /// <param name="MayBeLost">True if its core sends again what was lost, whatever becomes of the tunnel; its order counts for nothing.
    /// </param>
    internal readonly record struct Entry(Protocol Protocol, ReadOnlyMemory<byte> Payload, bool MayBeLost);

    /// <summary>Messages that wait for a log, in the order of their positions.</summary>
    private sealed class Gate : Queue<(ulong After, NodeId Peer, TrafficKind Kind, Entry Entry)>;
}
