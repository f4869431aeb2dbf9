using Carillon.Node;
using Carillon.Protocols;
using Carillon.Protocols.Cluster;
using Carillon.Protocols.Primacy;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.VectorExchange;
using Carillon.Protocols.Wire;
using Carillon.Simulator.Checkers;
using Carillon.Simulator.World;

namespace Carillon.Simulator;

/// <summary>Looks into what servers send each other: for the checkers that judge messages, and for people who follow a trace.</summary>
internal sealed class WireTap(
    SimulatedWorld world, SubmissionRegistry registry, VectorTrafficChecker traffic, BallotTrafficChecker ballots,
        StalePushChecker pushes, PersistBeforeSendChecker durability, Func<SimulatedServer, bool> mayBeDamaged)
{
    private readonly SelectionTrafficChecker _selection = new();
    private readonly FenceChecker _fences = new();
    private readonly MergeChecker _merges = new(world);
    private readonly HashSet<Tag> _begun = [];

    /// <summary>Called when an accepting server sends the first vector of a tag.</summary>
    public Action<NodeId, Tag>? ExchangeBegun { get; set; }

    /// <summary>Called when a server reports what it left under a version that it closed.</summary>
    public Action<NodeId>? Closed { get; set; }

    /// <summary>What is numbered under which version.</summary>
    public ChangeChecker Changes { get; } = new();

    /// <summary>Called when a round of a tag is under way: bits of it travel, or promises that show some.</summary>
    public Action<Tag>? RoundSeen { get; set; }

    /// <summary>Called when a server passes on its yes for a tag to one that knows it as rejected: the first has not been told
    /// yet.</summary>
    public Action<Tag, int>? YesOfRejected { get; set; }

    /// <summary>A message is sent.</summary>
    public void Look(NodeId from, NodeId to, TrafficKind kind, ReadOnlyMemory<byte> bytes)
    {
        if (kind == TrafficKind.Bulk)
        {
            world.Trace?.Invoke($"{from} → {to} chunk header of {bytes.Length} bytes");
            return;
        }

        _merges.Look();
        ReadOnlySpan<byte> rest = bytes.Span;
        while (Envelope.TryTake(ref rest, out Node.Protocol protocol, out ReadOnlySpan<byte> payload, out _))
        {
            if (protocol == Node.Protocol.VectorExchange)
            {
                Look(from, to, payload);
            }
            else if (protocol == Node.Protocol.Feed)
            {
                Changes.OnMessage(payload);
            }
            else if (protocol == Node.Protocol.Node && ClosingMessage.IsOne(payload))
            {
                if (ClosingMessage.TryRead(payload, out ClosingMessage closing) && closing is { IsQuestion: false, IsClosed: true })
                {
                    Closed?.Invoke(from);
                }
            }
            else if (protocol == Node.Protocol.Merge)
            {
                _merges.OnMessage(from, to, payload);
            }
            else if (protocol == Node.Protocol.Primacy)
            {
                world.Trace?.Invoke($"{from} → {to} {Describe(payload)}");
                SimulatedServer sender = world.Servers.Find(server => server.Name == from)!;
                _selection.OnMessage(
                    sender.Identity, to, sender.Batches, sender.HadQuorum, payload,
                    service => sender.Node?.RanksFrozen(service) ?? default);
            }
        }
    }

    /// <summary>The same of what goes as a datagram.</summary>
    public void LookAtDatagram(NodeId from, NodeId to, ReadOnlyMemory<byte> bytes)
    {
        if (!NodeDatagram.TryRead(bytes.Span, out Node.Protocol protocol, out ReadOnlySpan<byte> payload))
        {
            return;
        }

        if (protocol == Node.Protocol.VectorExchange)
        {
            Look(from, to, payload);
        }
        else if (protocol == Node.Protocol.Feed)
        {
            Changes.OnMessage(payload);
        }
    }

    private void Look(NodeId from, NodeId to, ReadOnlySpan<byte> payload)
    {
        var reader = new WireReader(payload);
        if (!MessageCodec.TryReadHead(ref reader, out MessageType type))
        {
            return;
        }

        traffic.OnMessage(payload);
        durability.OnMessage(from, type, payload);
        SimulatedServer sender = world.Servers.Find(server => server.Name == from)!;
        if (!mayBeDamaged(sender))
        {
            TagState StateAtSender(Tag tag) => sender.Node?.StateOf(tag) ?? TagState.Unknown;
            ballots.SetVersion(from, sender.Node?.ConfigurationVersion);
            ballots.OnMessage(from, type, payload, world.Queue.Now, tag => sender.Node?.HasYesBit(tag) ?? false, StateAtSender);
            // What the feed found stale or refused holds its name no more.
            pushes.OnMessage(
                from, type, payload, world.Queue.Now,
                tag => sender.Node?.IsWithoutEffect(tag) ?? false ? TagState.Rejected : StateAtSender(tag));
        }

        TellOfRareMoments(from, to, type, payload);

        if (type == MessageType.Push && Push.TryRead(ref reader, out _, out _, out ReadOnlySpan<byte> record)
            && Submission.TryRead(record, out Submission submission))
        {
            registry.Add(submission);
            _fences.Pushed(to, submission.Tag, submission.Fence);
            pushes.OnPush(to, submission, world.Queue.Now);
            world.Trace?.Invoke($"{from} → {to} Push {submission.Tag} key {submission.Key} {string.Join(' ', submission.Operations.Select(o => o.Target))}");
        }
        else
        {
            world.Trace?.Invoke($"{from} → {to} {Describe(type, payload)}");
        }
    }

    private void TellOfRareMoments(NodeId from, NodeId to, MessageType type, ReadOnlySpan<byte> payload)
    {
        var reader = new WireReader(payload);
        _ = MessageCodec.TryReadHead(ref reader, out _);
        if (type == MessageType.Vector && Vector.TryRead(ref reader, out Vector vector))
        {
            if (vector.Round > 0)
            {
                RoundSeen?.Invoke(vector.Tag);
            }
            else if (vector.Tag.Uid.Server == from && _begun.Add(vector.Tag))
            {
                ExchangeBegun?.Invoke(from, vector.Tag);
            }

            if (vector is { Again: true, Value: true })
            {
                LookForYesOfRejected(from, to, vector.Tag);
            }
        }
        else if (type == MessageType.Promise && Promise.TryRead(ref reader, out Promise promise) && promise.HasBit)
        {
            RoundSeen?.Invoke(promise.Tag);
        }
        else if (type == MessageType.PushAnswer && PushAnswer.TryRead(ref reader, out PushAnswer answer)
            && answer.Verdict == PushVerdict.Held)
        {
            _fences.Held(from, answer.Tag);
        }
    }

    private void LookForYesOfRejected(NodeId from, NodeId to, Tag tag)
    {
        SimulatedServer sender = world.Servers.Find(server => server.Name == from)!;
        SimulatedServer receiver = world.Servers.Find(server => server.Name == to)!;
        bool areTalking = !world.Network.IsCut(sender.Place, receiver.Place) && !world.Network.IsCut(receiver.Place, sender.Place);
        if (areTalking && receiver.Node?.StateOf(tag) == TagState.Rejected)
        {
            YesOfRejected?.Invoke(tag, receiver.Place);
        }
    }

    private static string Describe(ReadOnlySpan<byte> primacy)
    {
        var reader = new WireReader(primacy);
        _ = PrimacyCodec.TryReadHead(ref reader, out PrimacyMessageType type);
        return type switch
        {
            PrimacyMessageType.Disqualify when DisqualifyMessage.TryRead(ref reader, out DisqualifyMessage m) => m.ToString(),
            PrimacyMessageType.DisqualifyAnswer when DisqualifyAnswerMessage.TryRead(ref reader, out DisqualifyAnswerMessage m) =>
                m.ToString(),
            PrimacyMessageType.Bid when BidMessage.TryRead(ref reader, out BidMessage m) => m.ToString(),
            PrimacyMessageType.BidAnswer when BidAnswerMessage.TryRead(ref reader, out BidAnswerMessage m) => m.ToString(),
            PrimacyMessageType.Withdraw when WithdrawMessage.TryRead(ref reader, out WithdrawMessage m) => m.ToString(),
            PrimacyMessageType.Holdings when HoldingsMessage.TryRead(ref reader, out HoldingsMessage m) =>
                $"Holdings {m.Version:x} {string.Join(", ", m.Items)}",
            PrimacyMessageType.RequestAnswer when RequestAnswerMessage.TryRead(ref reader, out RequestAnswerMessage m) => m.ToString(),
            PrimacyMessageType.Request when RequestMessage.TryRead(ref reader, out RequestMessage m) => $"Request {m.Number} {m.Request}",
            PrimacyMessageType.Yield when YieldMessage.TryRead(ref reader, out YieldMessage m) => m.ToString(),
            _ => type.ToString(),
        };
    }

    private static string Describe(MessageType type, ReadOnlySpan<byte> payload)
    {
        var reader = new WireReader(payload);
        _ = MessageCodec.TryReadHead(ref reader, out _);
        return type switch
        {
            MessageType.PushAnswer when PushAnswer.TryRead(ref reader, out PushAnswer m) => m.ToString(),
            MessageType.Vector when Vector.TryRead(ref reader, out Vector m) =>
                $"Vector {m.Tag} round {m.Round} {m.Value} bits {m.Bits:b} {(m.Again ? "again" : "")}",
            MessageType.Ask when Ask.TryRead(ref reader, out Ask m) => m.ToString(),
            MessageType.Promise when Promise.TryRead(ref reader, out Promise m) => m.ToString(),
            MessageType.Decided when Decided.TryRead(ref reader, out Decided m) => m.ToString(),
            MessageType.Barred when Barred.TryRead(ref reader, out Barred m) => m.ToString(),
            MessageType.KeyAsk when KeyAsk.TryRead(ref reader, out KeyAsk m) => m.ToString(),
            MessageType.KeyAnswer when KeyAnswer.TryRead(ref reader, out KeyAnswer m) => m.ToString(),
            MessageType.ReadAsk when ReadAsk.TryRead(ref reader, out ReadAsk m) => m.ToString(),
            MessageType.Abort or MessageType.AbortAck or MessageType.Fetch or MessageType.Inquire => $"{type} {reader.Tag()}",
            _ => type.ToString(),
        };
    }
}
