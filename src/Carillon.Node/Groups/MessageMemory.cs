namespace Carillon.Node.Groups;

/// <summary>
/// Memory of messages' payloads, cut from blocks that the collector does not move. What a group keeps in memory lives for seconds: as
/// arrays of their own its payloads would be copied twice by the collector on their way to the old generation. They are let go in about
/// the order in which they came, so a block does not outlive its payloads by much.
/// </summary>
public static class MessageMemory
{
    // Far above where arrays are no longer moved (85,000 bytes), and a sixty-fourth of what a group keeps in memory.
    private const int BlockBytes = 1 << 20;

    // What is larger has an array of its own; so at most an eighth of a block is lost at its end.
    private const int LargestPart = BlockBytes / 8;

    private static readonly Lock Gate = new();
    private static byte[] _block = [];
    private static int _used;

    /// <summary>Memory for one payload, or for a message with several: whoever gets it owns it for good. Any thread.</summary>
    public static Memory<byte> Take(int length)
    {
        if (length > LargestPart)
        {
            return GC.AllocateUninitializedArray<byte>(length);
        }

        lock (Gate)
        {
            if (_block.Length - _used < length)
            {
                (_block, _used) = (GC.AllocateUninitializedArray<byte>(BlockBytes), 0);
            }

            Memory<byte> part = _block.AsMemory(_used, length);
            _used += length;
            return part;
        }
    }
}
