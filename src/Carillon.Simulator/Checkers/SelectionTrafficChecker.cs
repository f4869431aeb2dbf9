using Carillon.Protocols;
using Carillon.Protocols.Primacy;
using Carillon.Protocols.Wire;

namespace Carillon.Simulator.Checkers;

/// <summary>
/// What nodes say in a selection: a rank, a call or a bid is told only by a node with two-way contact with a quorum, so that nobody who
/// can't win silences those who can; and in one run a node tells one rank, so that no two outrank each other, until it hears the primary
/// again: from then on it may tell a greater one.
/// </summary>
internal sealed class SelectionTrafficChecker
{
    private readonly Dictionary<(ServerIdentity Node, ServiceName Service, Epoch Run), (Rank Rank, int Frozen, Instant At)> _ranks = [];

    /// <summary>A server sends a message of primacy.</summary>
    /// <param name="from">Which life of which server.</param>
    /// <param name="hadQuorum">True if it had a quorum at some moment since it sent last.</param>
    /// <param name="payload">The message.</param>
    /// <param name="frozen">How often its rank for a service was frozen after it had heard a primary.</param>
    /// <param name="now">The present.</param>
    public void OnMessage(ServerIdentity from, bool hadQuorum, ReadOnlySpan<byte> payload, Func<ServiceName, int> frozen, Instant now)
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
                RequireOneRank(from, call.Service, call.Run, call.Rank, frozen(call.Service), now);
                break;
            case PrimacyMessageType.DisqualifyAnswer when DisqualifyAnswerMessage.TryRead(ref reader, out DisqualifyAnswerMessage answer)
                && answer.Answer.Verdict == CallVerdict.Ranked:
                RequireQuorum(from, hadQuorum, $"tells its rank for {answer.Service}");
                RequireOneRank(from, answer.Service, answer.Answer.Run, answer.Answer.Rank, frozen(answer.Service), now);
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

    private void RequireOneRank(ServerIdentity from, ServiceName service, Epoch run, Rank rank, int frozen, Instant now)
    {
        (Rank told, int then, Instant at) = _ranks.GetValueOrDefault((from, service, run), (rank, frozen, now));
        _ranks[(from, service, run)] = (rank, frozen, now);

        // What a node says in one step is looked at behind it: after a pause much can happen in one.
        if (rank != told && !((frozen > then || at == now) && rank > told))
        {
            throw Violation.Of(
                "selection", $"{from} tells {rank} for {service} in run {run}, and told {told} there before");
        }
    }
}
