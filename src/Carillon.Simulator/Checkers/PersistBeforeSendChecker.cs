using Carillon.Protocols;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.VectorExchange;
using Carillon.Protocols.Wire;
using Carillon.Simulator.World;

namespace Carillon.Simulator.Checkers;

/// <summary>
/// What a message claims is in its sender's durable image at the instant at which it leaves: the record that an acknowledgement speaks
/// of, the own bit of a vector, a promise, a fence, the reservation of a stamp.
/// A share of the messages is looked at, since opening an image is slow.
/// </summary>
internal sealed class PersistBeforeSendChecker(SimulatedWorld world, RandomSource random, Func<SimulatedServer, bool> mayBeDamaged)
{
    private const double Share = 0.02;
    private const int MostOfOneRun = 80;
    private const int MostFresh = 60;

    private static readonly TimeSpan FreshTime = TimeSpan.FromMilliseconds(100);

    private int _lookedFresh;

    /// <summary>How many messages were looked at.</summary>
    public int Looked { get; private set; }

    /// <summary>A server sends a message of vector exchange.</summary>
    public void OnMessage(NodeId from, MessageType type, ReadOnlySpan<byte> payload)
    {
        bool claims = type
            is MessageType.Push or MessageType.PushAnswer or MessageType.Vector or MessageType.Promise or MessageType.KeyAnswer;
        if (!claims)
        {
            return;
        }

        SimulatedServer sender = world.Servers.Find(server => server.Name == from)!;
        double share = type is MessageType.Promise or MessageType.KeyAnswer ? Share * 5 : Share;
        if (mayBeDamaged(sender) || !(IsFresh(sender) || (Looked < MostOfOneRun && random.Chance(share))))
        {
            return;
        }

        var reader = new WireReader(payload);
        _ = MessageCodec.TryReadHead(ref reader, out _);
        Look(sender, type, ref reader);
    }

    // What a new process says first may rest on what it has read back and the disk does not have: all of it is looked at.
    private bool IsFresh(SimulatedServer sender) =>
        sender.Identity.Incarnation.Value > 1 && world.Queue.Now - sender.StartedAt < FreshTime && _lookedFresh++ < MostFresh;

    private void Look(SimulatedServer sender, MessageType type, ref WireReader reader)
    {
        switch (type)
        {
            case MessageType.Push when Push.TryRead(ref reader, out _, out _, out ReadOnlySpan<byte> record)
                && Submission.TryRead(record, out Submission submission):
                Require(sender, image => image.ReservedStamps >= submission.Tag.Uid.Stamp, () => $"pushes {submission.Tag}, and its stamp is not reserved durably");
                break;
            case MessageType.PushAnswer when PushAnswer.TryRead(ref reader, out PushAnswer answer) && answer.Verdict == PushVerdict.Held:
                Require(sender, image => image.Holds(answer.Tag) || image.KnowsOutcome(answer.Tag), () => $"says that it holds {answer.Tag}, and does not, durably");
                break;
            case MessageType.Vector when Vector.TryRead(ref reader, out Vector vector) && SetsOwnBit(sender, vector):
                Require(
                    sender,
                    image => image.KnowsOutcome(vector.Tag)
                        || (image.HasBit(vector.Tag, vector.Round) && (!vector.Value || image.Holds(vector.Tag))),
                    () => $"sends its {(vector.Value ? "yes" : "no")} bit of {vector.Tag}, round {vector.Round}, and bit or record are not durable");
                break;
            case MessageType.Promise when Promise.TryRead(ref reader, out Promise promise):
                Require(
                    sender,
                    image => image.HasPromised(promise.Tag, promise.Round) || image.KnowsOutcome(promise.Tag),
                    () => $"promises round {promise.Round} of {promise.Tag}, and that is not durable");
                break;
            case MessageType.KeyAnswer when KeyAnswer.TryRead(ref reader, out KeyAnswer answer) && answer.State == TagState.Fenced:
                // The answer does not name its key; some fence there must be.
                Require(sender, image => image.HasAnyFence, () => "says that it fenced a key, and has no durable fence");
                break;
            default:
                break;
        }
    }

    private bool SetsOwnBit(SimulatedServer sender, Vector vector) =>
        new Protocols.Cluster.VoterSet(vector.Bits).Contains(sender.Node!.Configuration.BitOf(sender.Name));

    private void Require(SimulatedServer sender, Func<IDurableImage, bool> isTrue, Func<string> claim)
    {
        Looked++;
        using IDurableImage image = world.Nodes.OpenDurable(sender.Name, sender.Disk.DurableCopy(), sender.Catalog);
        if (!isTrue(image))
        {
            throw Violation.Of("persist before send", $"{sender.Name} {claim()}");
        }
    }
}
