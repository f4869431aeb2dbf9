using System.Collections.Immutable;
using Carillon.Protocols;
using Carillon.Protocols.Cluster;
using Carillon.Storage;

namespace Carillon.Node;

/// <content>The rebuilding of a lost catalog, or of a lost disk, from the other servers, and the way back to voting.</content>
public sealed partial class ServerNode
{
    private static readonly TimeSpan AskAgain = TimeSpan.FromSeconds(1);

    // A source that went away near the end: after so long another quorum may serve as well.
    private static readonly TimeSpan BeginAgain = TimeSpan.FromMinutes(1);

    private CatalogRebuild _rebuild = null!;
    private Instant _rebuildDeadline = Instant.Never;
    private bool _rebuilt;
    private bool _catalogIsRebuilt;
    private ulong _rebuildNumber;
    private ulong _fencesAt;
    private ulong _feedEpoch;

    private void OpenRebuild()
    {
        _rebuild = new CatalogRebuild(Configuration, Self.Name);
        if (_identity.IsRebuilding)
        {
            _rebuild.Begin(_now.Now);
        }
    }

    /// <summary>Other voters are a quorum under another version: what has not come to its end begins again with them.</summary>
    private void RebuildUnder(ClusterConfiguration version)
    {
        bool isUnderWay = _rebuild.Stage != RebuildStage.None;
        _rebuild = new CatalogRebuild(version, Self.Name);
        if (isUnderWay)
        {
            _rebuild.Begin(_now.Now);
            _rebuildDeadline = Instant.Never;
            HurryMerges();
        }
    }

    private void RebuildMerged(NodeId peer, Instant began)
    {
        if (!Members.ConnectedVoters.Contains(Configuration.BitOf(peer)))
        {
            return;
        }

        if (_rebuild.Merged(peer, began))
        {
            // It votes once what it was given is durable: the log knows nothing of it.
            _rebuilt = true;
            _snapshotWanted = true;
            _rebuildDeadline = Instant.Never;
        }
        else if (_rebuild.Stage == RebuildStage.Waiting && _rebuildDeadline == Instant.Never)
        {
            _rebuildDeadline = _now.Now;
        }
    }

    private void AdvanceRebuild(Moment now)
    {
        if (now.Now < _rebuildDeadline)
        {
            return;
        }

        if (_rebuild.Stage == RebuildStage.MergingAgain)
        {
            _rebuild.Begin(now.Now);
            HurryMerges();
        }

        _rebuildDeadline = _rebuild.Stage == RebuildStage.Waiting ? now.Now + AskAgain : Instant.Never;
        foreach (NodeId peer in _rebuild.ToAsk)
        {
            Post(peer, TrafficKind.Merge, Protocol.Node, new OpenTagsMessage(IsQuestion: true, ++_rebuildNumber, [], []).Encode(), 0);
        }
    }

    private bool ReceiveOwn(ServerIdentity from, ReadOnlySpan<byte> payload)
    {
        if (ClosingMessage.IsOne(payload))
        {
            return ReceiveClosing(from, payload);
        }

        if (ExclusionMessage.IsOne(payload))
        {
            return ReceiveExclusion(from, payload);
        }

        if (CopiesMessage.IsOne(payload))
        {
            return ReceiveCopies(from, payload);
        }

        if (!OpenTagsMessage.TryRead(payload, out OpenTagsMessage message))
        {
            return false;
        }

        if (message.IsQuestion)
        {
            AnswerOpenTags(from.Name, message.Number);
            return true;
        }

        // Keys that the lost disk helped to fence stay fenced: a quorum with it in it promised that they never are accepted.
        foreach ((string key, long until) in message.Fences)
        {
            _fencesAt = Math.Max(_fencesAt, Exchange.AdoptFence(key, until));
        }

        _feedEpoch = Math.Max(_feedEpoch, message.Epoch);
        if (_rebuild.Hear(from.Name, message.Tags, _now.Now))
        {
            _rebuildDeadline = _now.Now + BeginAgain;
            HurryMerges();
        }

        return true;
    }

    private void AnswerOpenTags(NodeId asker, ulong number)
    {
        // What is decided and not in the catalog yet is as good as open: a comparison of catalogs does not show it.
        ImmutableArray<Tag> open = [.. Exchange.OpenTagList().Concat(Deciding.Keys.Order())];
        ImmutableArray<KeyValuePair<string, long>> fences = [.. Exchange.Fences(_now)];
        if (open.Length <= OpenTagsMessage.MaxTags && fences.Length <= OpenTagsMessage.MaxFences && MayVote)
        {
            Post(asker, TrafficKind.Merge, Protocol.Node, new OpenTagsMessage(IsQuestion: false, number, open, fences)
            {
                Epoch = _feed.Member.Promised.Value,
            }.Encode(), 0);
        }
    }

    private void HurryMerges()
    {
        foreach (NodeId peer in Configuration.Voters)
        {
            _merge.Hurry(peer, _now.Now);
        }
    }

    /// <summary>The rebuilt catalog is durable: this disk votes again, once the fences that it was given are durable too.</summary>
    private void EndRebuild()
    {
        _rebuilt = false;
        _catalogIsRebuilt = true;
        if (Configuration.Voters.Length - 1 >= Configuration.Quorum.Size)
        {
            // The others can recover without this disk: it waits for a sequencer that did. Where they can't, nothing was committed without
            // each of them.
            _feed.Member.Forget(new Protocols.Primacy.Epoch(_feedEpoch));
        }

        VoteIfRebuilt();
    }

    private void VoteIfRebuilt()
    {
        // A group that were opened behind that would not know that its promises are lost.
        if (!_catalogIsRebuilt || _isJoining || !_groups.AreOpen || (ulong)Log.Durable.Value < _fencesAt || _feed.Member.HasForgotten
            || _feed.Member.Delivered < _feed.Member.Heard || Feed.Applied < _feed.Member.Delivered)
        {
            return;
        }

        _catalogIsRebuilt = false;
        try
        {
            _identity.SetRebuilding(false);
        }
        catch (StorageException refusal)
        {
            // What its next start would find is not known, so it says nothing on the strength of it (seed 416 with changes).
            _world.Stop($"that this disk is rebuilt can't be kept: {refusal.Message}");
            return;
        }

        _notVotingBecause = "";
        Members.SetVotes(MayVote, _now);
        Tell(NodeEventKind.Rebuilt, Self.Name, "what was lost is rebuilt from the other servers; this server votes");
    }
}
