using System.Buffers;
using System.Buffers.Binary;

namespace Carillon.Runtime.Tunnels;

/// <summary>
/// Messages of one kind that wait for one peer, laid out as they go on the wire. While the writer sends one buffer, senders fill
/// the other: so batches form by themselves, and an idle stream sends at once. Bounded in bytes. Any thread may add; one writer takes.
/// </summary>
internal sealed class SendQueue(TrafficOptions traffic)
{
    private const int SmallBuffer = 16 << 10;

    // A buffer that a burst has blown up is not kept: at rest, a tunnel must be small.
    private const int KeptBuffer = 256 << 10;

    private readonly Lock _gate = new();
    private readonly WakeSignal _signal = new();
    private readonly long _limit = (long)traffic.QueueBytes + ReceivedMessages.PrefixBytes;
    private byte[]? _filling;
    private byte[]? _spare;
    private int _length;
    private bool _closed;
    private bool _unsignalled;

    /// <summary>Adds a message; <see cref="Wake"/> must follow. False: full, closed, or a message above the kind's limit.</summary>
    public bool TryAdd(ReadOnlySpan<byte> message)
    {
        int size = ReceivedMessages.PrefixBytes + message.Length;
        lock (_gate)
        {
            if (_closed || message.Length > traffic.MaxMessageBytes || _length + (long)size > _limit)
            {
                return false;
            }

            Span<byte> target = Room(size);
            BinaryPrimitives.WriteUInt32LittleEndian(target, (uint)message.Length);
            message.CopyTo(target[ReceivedMessages.PrefixBytes..]);
            _length += size;
            _unsignalled = true;
            return true;
        }
    }

    /// <summary>Lets the writer send what was added since. It runs on this thread as far as the connection takes it at once.</summary>
    public void Wake()
    {
        if (Volatile.Read(ref _unsignalled))
        {
            // Cleared before the wake: what is added after this line is found by the writer, or wakes it again.
            Volatile.Write(ref _unsignalled, false);
            _signal.Wake();
        }
    }

    /// <summary>Refuses what comes from now on; the writer sends what waits, and ends.</summary>
    public void Close()
    {
        lock (_gate)
        {
            _closed = true;
        }

        _signal.Wake();
    }

    /// <summary>
    /// Takes all that waits, waiting for something first. Empty: closed, and nothing is left. To be given back by <see cref="Return"/>.
    /// </summary>
    public async ValueTask<ArraySegment<byte>> TakeAsync()
    {
        while (true)
        {
            lock (_gate)
            {
                if (_length > 0)
                {
                    ArraySegment<byte> taken = new(_filling!, 0, _length);
                    _filling = _spare;
                    _spare = null;
                    _length = 0;
                    return taken;
                }

                if (_closed)
                {
                    return ArraySegment<byte>.Empty;
                }
            }

            await _signal.WaitAsync().ConfigureAwait(false);
        }
    }

    /// <summary>Gives back a buffer that was sent.</summary>
    public void Return(ArraySegment<byte> taken)
    {
        lock (_gate)
        {
            if (_spare is null && taken.Array!.Length <= KeptBuffer)
            {
                _spare = taken.Array;
                return;
            }
        }

        ArrayPool<byte>.Shared.Return(taken.Array!);
    }

    /// <summary>Gives all buffers back, once the writer has ended.</summary>
    public void Release()
    {
        lock (_gate)
        {
            _closed = true;
            _length = 0;
            if (_filling is not null)
            {
                ArrayPool<byte>.Shared.Return(_filling);
                _filling = null;
            }

            if (_spare is not null)
            {
                ArrayPool<byte>.Shared.Return(_spare);
                _spare = null;
            }
        }
    }

    private Span<byte> Room(int size)
    {
        int needed = _length + size;
        if (_filling is null)
        {
            _filling = ArrayPool<byte>.Shared.Rent(Math.Max(SmallBuffer, needed));
        }
        else if (_filling.Length < needed)
        {
            byte[] larger = ArrayPool<byte>.Shared.Rent(Math.Max(_filling.Length * 2, needed));
            _filling.AsSpan(0, _length).CopyTo(larger);
            ArrayPool<byte>.Shared.Return(_filling);
            _filling = larger;
        }

        return _filling.AsSpan(_length, size);
    }
}
