using System.Collections.Immutable;
using Carillon.Protocols;

namespace Carillon.Node;

/// <content>The rebuilding of a lost catalog from the other servers, and the way back to voting.</content>
public sealed partial class ServerNode
{
    private static readonly TimeSpan AskAgain = TimeSpan.FromSeconds(1);

    private CatalogRebuild _rebuild = null!;
    private Instant _rebuildDeadline = Instant.Never;
    private bool _rebuilt;
    private ulong _rebuildNumber;

    private void OpenRebuild()
    {
        _rebuild = new CatalogRebuild(Configuration, Self.Name);
        if (_identity.IsRebuilding)
        {
            _rebuild.Begin(_now.Now);
        }
    }

    private void RebuildMerged(NodeId peer, Instant began)
    {
        if (_rebuild.Merged(peer, began, _now.Now))
        {
            // It votes once what it was given is durable: the log knows nothing of it.
            _rebuilt = true;
            _snapshotWanted = true;
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

        _rebuildDeadline = _rebuild.Stage == RebuildStage.Waiting ? now.Now + AskAgain : Instant.Never;
        foreach (NodeId peer in _rebuild.ToAsk)
        {
            Post(peer, TrafficKind.Merge, Protocol.Node, new OpenTagsMessage(IsQuestion: true, ++_rebuildNumber, []).Encode(), 0);
        }
    }

    private bool ReceiveOwn(ServerIdentity from, ReadOnlySpan<byte> payload)
    {
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
            ImmutableArray<Tag> open = [.. Exchange.OpenTagList()];
            if (open.Length <= OpenTagsMessage.MaxTags && MayVote)
            {
                Post(from.Name, TrafficKind.Merge, Protocol.Node, new OpenTagsMessage(IsQuestion: false, message.Number, open).Encode(), 0);
            }
        }
        else if (_rebuild.Hear(from.Name, message.Tags, _now.Now))
        {
            foreach (NodeId peer in Configuration.Voters)
            {
                _merge.Hurry(peer, _now.Now);
            }
        }

        return true;
    }

    /// <summary>The rebuilt catalog is durable: this disk votes again.</summary>
    private void EndRebuild()
    {
        if (!_rebuilt)
        {
            return;
        }

        _rebuilt = false;
        _identity.SetRebuilding(false);
        _notVotingBecause = "";
        Members.SetVotes(MayVote, _now);
        Tell(NodeEventKind.Rebuilt, Self.Name, "the catalog is rebuilt from the other servers; this server votes again");
    }
}
