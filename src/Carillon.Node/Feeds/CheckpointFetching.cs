using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Storage;
using Carillon.Storage.Catalogs;

namespace Carillon.Node.Feeds;

/// <summary>A checkpoint on its way here: first its list, then its blocks, from any servers and in any order, each verified.</summary>
internal sealed class CheckpointFetching(CheckpointMark mark)
{
    private bool[] _have = [];
    private int _left = int.MaxValue;
    private int _outstanding;

    public CheckpointMark Mark => mark;

    public Instant AskAt { get; set; }

    /// <summary>Counts questions, so that each goes to the next server.</summary>
    public int Turn { get; set; }

    public CatalogCheckpoint? Checkpoint { get; private set; }

    public IStorageFile? File { get; private set; }

    /// <summary>Blocks that came and are not stored yet.</summary>
    public int Storing { get; set; }

    /// <summary>True once all blocks came.</summary>
    public bool IsComplete => _left == 0;

    /// <summary>True if all that was asked for came.</summary>
    public bool AskedAllOut => _outstanding <= 0;

    public void Begin(CatalogCheckpoint checkpoint, IStorageFile file)
    {
        (Checkpoint, File) = (checkpoint, file);
        _have = new bool[checkpoint.Blocks.Length];
        _left = _have.Length;
    }

    /// <summary>What to ask for next; 0 is the list.</summary>
    public IReadOnlyList<uint> Missing(int most)
    {
        if (Checkpoint is null)
        {
            return [0];
        }

        var missing = new List<uint>();
        for (int i = 0; i < _have.Length && missing.Count < most; i++)
        {
            if (!_have[i])
            {
                missing.Add((uint)i + 1);
            }
        }

        _outstanding = missing.Count;
        return missing;
    }

    /// <summary>Takes a block if it is the one that the list names, and was not here.</summary>
    public bool Take(int index, ReadOnlySpan<byte> bytes)
    {
        if (Checkpoint is null || index >= _have.Length || _have[index] || ChunkId.Of(bytes) != Checkpoint.Blocks[index].Id)
        {
            return false;
        }

        _have[index] = true;
        _left--;
        _outstanding--;
        Storing++;
        return true;
    }
}
