using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;

namespace Carillon.Node;

/// <summary>
/// What other threads may know of the catalog's feed on this server: how far it is applied, and when there is more. Its entries are read
/// with <c>CatalogReader.Feed</c>, from any reader of the catalog.
/// </summary>
public sealed class CatalogFeed
{
    private readonly Lock _lock = new();
    private Action? _changed;
    private ulong _applied;
    private CatalogFeedState _state;

    /// <summary>The greatest number that is applied here: readers of the catalog see it and all before.</summary>
    public SequenceNumber Applied => new(Volatile.Read(ref _applied));

    /// <summary>The rest, as this server knows it.</summary>
    public CatalogFeedState State
    {
        get
        {
            lock (_lock)
            {
                return _state;
            }
        }
    }

    /// <summary>Called, on the loop, behind each batch that is applied: one listener for all that watch.</summary>
    public Action? Changed
    {
        get => Volatile.Read(ref _changed);
        set => Volatile.Write(ref _changed, value);
    }

    internal void Update(CatalogFeedState state)
    {
        lock (_lock)
        {
            _state = state;
        }
    }

    internal void HasApplied(SequenceNumber number)
    {
        if (number.Value > _applied)
        {
            Volatile.Write(ref _applied, number.Value);
            Changed?.Invoke();
        }
    }
}

/// <summary>The feed as one server knows it.</summary>
/// <param name="Committed">Everything up to it is committed.</param>
/// <param name="Checkpoint">The newest checkpoint that is advertised.</param>
/// <param name="Sequencer">Who gives the numbers, as far as was heard; none if nobody was.</param>
/// <param name="Epoch">In which epoch.</param>
public readonly record struct CatalogFeedState(SequenceNumber Committed, SequenceNumber Checkpoint, NodeId Sequencer, ulong Epoch);
