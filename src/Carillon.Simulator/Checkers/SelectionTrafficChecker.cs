using Carillon.Protocols;
using Carillon.Protocols.Primacy;
using Carillon.Protocols.Wire;

namespace Carillon.Simulator.Checkers;

/// <summary>What a node knows of the ranks that it told for a service.</summary>
/// <param name="Selection">Its selection for that service: another object once the service was removed and added again.</param>
/// <param name="Times">How often its rank was frozen after it had heard a primary.</param>
internal readonly record struct FrozenRanks(object? Selection, int Times);

/// <summary>
/// What nodes say in a selection: a rank, a call or a bid is told only by a node with two-way contact with a quorum, so that nobody who
/// can't win silences those who can; and in one run a node tells one rank, so that no two outrank each other, until it hears the primary
/// again: from then on it may tell a greater one.
/// </summary>
internal sealed class SelectionTrafficChecker
{
    private readonly Dictionary<(ServerIdentity Node, ServiceName Service, Epoch Run), ToldRanks> _ranks = [];
    private readonly Dictionary<(ServerIdentity Node, ServiceName Service), FrozenCount> _frozen = [];

    /// <summary>A server sends a message of primacy.</summary>
    /// <param name="from">Which life of which server.</param>
    /// <param name="to">To whom.</param>
    /// <param name="batch">Which batch of inputs it comes from: the messages of one leave together at its end, in order for each
    /// receiver.</param>
    /// <param name="hadQuorum">True if it had a quorum at some moment since it sent last.</param>
    /// <param name="payload">The message.</param>
    /// <param name="frozen">What it knows of its ranks for a service.</param>
    public void OnMessage(
        ServerIdentity from, NodeId to, long batch, bool hadQuorum, ReadOnlySpan<byte> payload, Func<ServiceName, FrozenRanks> frozen)
    {
        var reader = new WireReader(payload);
        if (!PrimacyCodec.TryReadHead(ref reader, out PrimacyMessageType type))
        {
            return;
        }

        switch (type)
        {
            case PrimacyMessageType.Disqualify when DisqualifyMessage.TryRead(ref reader, out DisqualifyMessage call)
                && call.Rank.Class != RankClass.Primary:
                RequireQuorum(from, hadQuorum, $"calls others for {call.Service}");
                RequireOneRank(
                    (from, call.Service, call.Run), to, call.Rank, Rises(from, call.Service, batch, frozen(call.Service)), batch);
                break;
            case PrimacyMessageType.DisqualifyAnswer when DisqualifyAnswerMessage.TryRead(ref reader, out DisqualifyAnswerMessage answer)
                && answer.Answer.Verdict == CallVerdict.Ranked:
                RequireQuorum(from, hadQuorum, $"tells its rank for {answer.Service}");
                RequireOneRank(
                    (from, answer.Service, answer.Answer.Run), to, answer.Answer.Rank,
                    Rises(from, answer.Service, batch, frozen(answer.Service)), batch);
                break;
            case PrimacyMessageType.Bid when BidMessage.TryRead(ref reader, out BidMessage bid):
                RequireQuorum(from, hadQuorum, $"bids for {bid.Service}");
                break;
            default:
                break;
        }
    }

    private static void RequireQuorum(ServerIdentity from, bool hadQuorum, string what)
    {
        if (!hadQuorum)
        {
            throw Violation.Of("selection", $"{from} {what} without contact with a quorum");
        }
    }

    // How often a rank may have risen since the last batch that told one. The count is that of the batch's end already when its first
    // message is seen (services' seed 62: after a pause, a rank, the primary's word and its withdrawal, and a greater rank, all in one).
    private int Rises(ServerIdentity from, ServiceName service, long batch, FrozenRanks frozen)
    {
        FrozenCount count = _frozen.GetValueOrDefault((from, service));
        if (frozen.Selection != count.Selection)
        {
            // Removed and added again: what was told was of another service (seeds 110, 478, and 924 with changes).
            foreach (var told in _ranks.Keys.Where(key => key.Node == from && key.Service == service).ToArray())
            {
                _ranks.Remove(told);
            }

            count = default;
        }

        int now = frozen.Times;
        count = count.Batch == batch && count.Selection is not null
            ? count with { Now = now } : new FrozenCount(frozen.Selection, batch, count.Now, now);
        _frozen[(from, service)] = count;
        return count.Now - count.Before;
    }

    private void RequireOneRank((ServerIdentity Node, ServiceName Service, Epoch Run) at, NodeId to, Rank rank, int rises, long batch)
    {
        if (!_ranks.TryGetValue(at, out ToldRanks? told))
        {
            _ranks.Add(at, told = new ToldRanks(batch, rank, default));
        }
        else if (told.Batch != batch)
        {
            _ranks[at] = told = new ToldRanks(batch, told.Ranks.Max, told.Ranks.Max);
        }

        Rank before = told.To.GetValueOrDefault(to, told.Least);
        told.To[to] = rank;
        told.Ranks.Add(rank);
        if (rank < before || told.Ranks.Count - 1 > rises)
        {
            Rank other = rank < before ? before : told.Ranks.Min;
            throw Violation.Of(
                "selection", $"{at.Node} tells {rank} for {at.Service} in run {at.Run}, and told {other} there before");
        }
    }

    private readonly record struct FrozenCount(object? Selection, long Batch, int Before, int Now);

    /// <summary>What a node tells in one run in a batch, beside the greatest of those before: each one more is a rise.</summary>
    private sealed class ToldRanks(long batch, Rank first, Rank least)
    {
        public long Batch => batch;

        public Rank Least => least;

        public SortedSet<Rank> Ranks { get; } = [first];

        public Dictionary<NodeId, Rank> To { get; } = [];
    }
}
