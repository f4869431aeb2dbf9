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
    private int _storing;
    private volatile bool _isGivenUp;

    public CheckpointMark Mark => mark;

    /// <summary>True once it is to go no further: what waits on the lane to be stored is not stored. Any thread.</summary>
    public bool IsGivenUp => _isGivenUp;

    public Instant AskAt { get; set; }

    /// <summary>Counts questions, so that each goes to the next server.</summary>
    public int Turn { get; set; }

    public CatalogCheckpoint? Checkpoint { get; private set; }

    public IStorageFile? File { get; private set; }

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
        if (Checkpoint is null || index < 0 || index >= _have.Length || _have[index] || ChunkId.Of(bytes) != Checkpoint.Blocks[index].Id)
        {
            return false;
        }

        _have[index] = true;
        _left--;
        _outstanding--;
        _storing++;
        return true;
    }

    /// <summary>A block that was taken is off the lane. True once all are, stored, and the file closed.</summary>
    public bool Stored()
    {
        _storing--;
        if (_storing == 0 && (IsComplete || _isGivenUp))
        {
            File!.Dispose();
            return !_isGivenUp;
        }

        return false;
    }

    /// <summary>It goes no further. Its file stays open while blocks are on the lane, which write to it.</summary>
    public void GiveUp()
    {
        bool isFirst = !_isGivenUp;
        _isGivenUp = true;
        if (isFirst && _storing == 0)
        {
            File?.Dispose();
        }
    }

    /// <summary>A block could not be stored, on the lane: those behind it are not either, or the checkpoint would look whole.</summary>
    public void Failed() => _isGivenUp = true;
}
