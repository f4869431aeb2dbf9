using System.Collections;
using Carillon.Protocols;

namespace Carillon.Storage.Catalogs;

/// <summary>The blocks of a list, each compared with its name before anything of it is read.</summary>
internal sealed class VerifiedBlocks(CatalogCheckpoint checkpoint, Func<int, ReadOnlyMemory<byte>> block)
    : IEnumerator<ReadOnlyMemory<byte>>
{
    private int _next;

    /// <summary>True once one was not what its name says.</summary>
    public bool IsWrong { get; private set; }

    public ReadOnlyMemory<byte> Current { get; private set; }

    object IEnumerator.Current => Current;

    public bool MoveNext()
    {
        if (_next >= checkpoint.Blocks.Length)
        {
            return false;
        }

        CheckpointBlock named = checkpoint.Blocks[_next];
        Current = block(_next++);
        IsWrong |= Current.Length != named.Length || ChunkId.Of(Current.Span) != named.Id;
        return !IsWrong;
    }

    public void Reset() => _next = 0;

    public void Dispose()
    {
    }
}
