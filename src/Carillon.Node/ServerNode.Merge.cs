using Carillon.Protocols;
using Carillon.Protocols.IndexMerge;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.VectorExchange;

namespace Carillon.Node;

/// <content>Index merge: what this server missed comes from its peers; and how fresh its knowledge is.</content>
public sealed partial class ServerNode : IIndexMergeHost
{
    private readonly SortedDictionary<NodeId, Instant> _mergedWith = [];
    private IndexMerge _merge = null!;

    private Instant MergeDeadline => _merge.NextDeadline;

    /// <summary>True if this server merged with a quorum (itself counted) within <c>gc.fresh</c>: it knows what there is.</summary>
    private bool MergedRecently
    {
        get
        {
            int fresh = 1;
            foreach (Instant at in _mergedWith.Values)
            {
                fresh += _now.Now - at <= _options.CollectFresh ? 1 : 0;
            }

            return Configuration.Quorum.IsReachedBy(fresh);
        }
    }

    /// <summary>When the last run of index merge with a peer began that came to its end in this life; null if none did.</summary>
    public Instant? MergedWith(NodeId peer) => _mergedWith.TryGetValue(peer, out Instant since) ? since : null;

    void IIndexMergeHost.Send(NodeId to, ReadOnlyMemory<byte> message) => Post(to, TrafficKind.Merge, Protocol.Merge, message, 0);

    void IIndexMergeHost.Learned(Submission submission)
    {
        if (!MayVote)
        {
            Sometimes.Reached("merge-while-not-voting");
        }

        Exchange.Learned(submission, _now);
    }

    void IIndexMergeHost.LearnedRejected(MergeItem item)
    {
        if (Exchange.StateOf(item.Tag) is TagState.Open)
        {
            Exchange.LearnedRejected(item.Tag, item.Successor, _now);
        }
        else
        {
            QueueRejected(item.Tag, item.Successor, item.Key);
        }
    }

    bool IIndexMergeHost.IsOnItsWay(Tag tag) => Exchange.StateOf(tag) is TagState.Accepted || Deciding.ContainsKey(tag);

    bool IIndexMergeHost.IsBusy => _feed.Store.WaitingCount + _rejected.Count >= 4 * _options.ApplyBatch;

    void IIndexMergeHost.Merged(NodeId peer, Instant since)
    {
        _mergedWith[peer] = since;
        RebuildMerged(peer, since);
    }

    private void OpenMerge() => _merge = new IndexMerge(_options.Merge, _random.Fork(), Reader, this);

    private void AdvanceMerge(Moment now) => _merge.Advance(now.Now);

    private bool ReceiveMerge(ServerIdentity from, ReadOnlySpan<byte> payload) => _merge.Receive(from.Name, payload, _now.Now);

    private void PeerUp(ServerIdentity peer)
    {
        _merge.PeerUp(peer.Name, _now.Now);
        Replication.PeerUp(peer.Name, _now);
    }

    private void PeerDown(ServerIdentity peer)
    {
        _merge.PeerDown(peer.Name);
        Replication.PeerDown(peer.Name, _now);
    }
}
