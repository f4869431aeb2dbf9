namespace Carillon.Node;

/// <summary>
/// A chunk's stored bytes on their way between socket, disk and peers. Counted by its users, since one buffer serves the local
/// write and every push at once; the last to release it gives it back to its pool.
/// </summary>
public sealed class ChunkBuffer(ReadOnlyMemory<byte> memory, Action<ChunkBuffer>? free = null)
{
    private int _users = 1;

    /// <summary>The stored bytes; valid until this user's release.</summary>
    public ReadOnlyMemory<byte> Memory { get; } = memory;

    /// <summary>Adds a user.</summary>
    public ChunkBuffer Retain()
    {
        Protocols.Invariant.That(Interlocked.Increment(ref _users) > 1);
        return this;
    }

    /// <summary>One user is done.</summary>
    public void Release()
    {
        int left = Interlocked.Decrement(ref _users);
        Protocols.Invariant.That(left >= 0);
        if (left == 0)
        {
            free?.Invoke(this);
        }
    }
}
