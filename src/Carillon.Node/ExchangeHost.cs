using Carillon.Node.Feeds;
using Carillon.Protocols;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.VectorExchange;

namespace Carillon.Node;

/// <summary>What vector exchange sees of its node.</summary>
internal sealed class ExchangeHost(ServerNode node) : IExchangeHost
{
    // Records of this size and more don't share the agreement stream: a large push must not hold up a vector.
    private const int LargeMessage = 128 << 10;

    public bool MayVote => node.MayVote;

    public bool ClockNearQuorum => node.ClockNearQuorum;

    public ulong Durable => (ulong)node.Log.Durable.Value;

    public Timestamp OutcomesSince => node.OutcomesSince;

    public Timestamp OutcomeHorizon => node.Reader.OutcomeHorizon;

    public bool IsClockGood(NodeId server) => node.Members.IsClockGood(server);

    public bool CanAppend(int bytes, bool urgent) => node.Log.CanAppend(bytes, urgent);

    public ulong Append(ReadOnlySpan<byte> record)
    {
        return node.AppendToLog(record, mayWait: VectorExchange.FollowsFromOthers(record));
    }

    public bool Send(NodeId peer, ReadOnlyMemory<byte> message, ulong after)
    {
        TrafficKind kind = message.Length >= LargeMessage ? TrafficKind.Push : TrafficKind.Agreement;
        node.Post(peer, kind, Protocol.VectorExchange, message, after, mayBeLost: MessageCodec.IsSentAgain(message.Span));
        return true;
    }

    public Tag GreatestApplied(ObjectName name) => node.Applied.GreatestTag(name);

    public AppliedOutcome Outcome(Tag tag)
    {
        if (node.Deciding.TryGetValue(tag, out Tag successor))
        {
            return new AppliedOutcome(TagState.Rejected, successor);
        }

        return node.Applied.Outcome(tag);
    }

    public (Tag Tag, Digest Fingerprint) AcceptedKey(string key) => node.Applied.AcceptedKey(key);

    public Submission? Applied(Tag tag) =>
        node.Reader.Submission(tag) is { } bytes && Submission.TryRead(bytes, out Submission submission) ? submission : null;

    public PushVerdict? RefusePush(Submission submission) =>
        node.Buckets.Refuse(submission)
            ?? (node.IsFenced(submission) ? PushVerdict.Fenced : node.LacksRoomFor(submission) ? PushVerdict.Full : null);

    public void Agreed(Submission submission) => node.TakeAgreed(submission);

    public bool HasFeed => true;

    public FeedOutcome Sequenced(Tag tag) => node.Reader.Sequenced(tag);

    public bool HasConditionalAbove(ObjectName name, Uid uid) => node.Reader.HasConditionalAbove(name, uid);

    public bool IsNumbered(Tag tag, DiskId disk) => node.IsNumbered(FeedStore.IdOf(disk, tag.Uid.Stamp));

    public Tag NumberedBy(string bucket) => node.Applied.Numbered(bucket).Record;

    public Tag DurablyNumberedBy(string bucket) => node.DurablyNumberedBy(bucket);

    public void Succeeds(Tag stale, Tag fresh) => node.MoveIntents(stale, fresh);

    public void Rejected(Tag tag, Tag successor) => node.QueueRejected(tag, successor);

    public void RoundTaken(Tag tag, uint round) => node.Tell(NodeEventKind.RoundTaken, default, $"round {round} of {tag}");
}
