using System.Collections.Immutable;
using Carillon.Protocols.Wire;

namespace Carillon.Protocols.Primacy;

/// <summary>What a message of primacy is: its second byte.</summary>
public enum PrimacyMessageType : byte
{
    /// <summary>Written into the candidate variable of the node called, if the rank is greater there.</summary>
    Disqualify = 1,

    /// <summary>What the node called says.</summary>
    DisqualifyAnswer = 2,

    /// <summary>Asks a voter for its bit, and so for the first lease.</summary>
    Bid = 3,

    /// <summary>The voter's word.</summary>
    BidAnswer = 4,

    /// <summary>The epoch will never be acted in, or not any more: the lease is void at once, the promise stays.</summary>
    Withdraw = 5,

    /// <summary>The epochs that a node holds, under a version.</summary>
    Holdings = 6,

    /// <summary>Asks all voters to renew everything of a version; and says to all that it is held.</summary>
    Renew = 7,

    /// <summary>The voter's word on each.</summary>
    RenewAnswer = 8,

    /// <summary>A primary's state for a secondary.</summary>
    Checkpoint = 9,

    /// <summary>It is in place there.</summary>
    CheckpointAck = 10,

    /// <summary>What a node provides, for the replica manager.</summary>
    Report = 11,

    /// <summary>A user's request on its way to the replica manager's primary.</summary>
    Request = 12,

    /// <summary>The answer to it.</summary>
    RequestAnswer = 13,

    /// <summary>The replica manager asks a primary to hand over.</summary>
    Yield = 14,
}

/// <summary>Why a voter did not give its bit.</summary>
public enum BidVerdict : byte
{
    /// <summary>It gave it: a lease for the bid's duration has begun.</summary>
    Granted = 0,

    /// <summary>It promised this epoch to another, or a greater one.</summary>
    Promised = 1,

    /// <summary>Another node's lease has not ended.</summary>
    Leased = 2,

    /// <summary>It was restarted, and does not know which leases it gave.</summary>
    Quiet = 3,

    /// <summary>Its configuration is another.</summary>
    Configuration = 4,

    /// <summary>It does not vote, or could not make its bit durable.</summary>
    NotVoting = 5,
}

/// <summary>A message of primacy: <c>u8 version = 1 │ u8 type │ fields</c> (docs/formats/primacy-messages.md). What a newer writer added
/// behind is passed over.</summary>
public interface IPrimacyMessage
{
    /// <summary>Bytes of version, type and fields.</summary>
    int Size { get; }

    /// <summary>Writes version, type and fields.</summary>
    void Write(ref WireWriter writer);
}

/// <summary>Encoding of messages, and the fields that they share.</summary>
public static class PrimacyCodec
{
    /// <summary>The version that this program writes, and the newest that it reads.</summary>
    public const byte Version = 1;

    /// <summary>A message's bytes.</summary>
    public static byte[] Encode<T>(in T message)
        where T : IPrimacyMessage
    {
        byte[] bytes = new byte[message.Size];
        var writer = new WireWriter(bytes);
        message.Write(ref writer);
        Invariant.That(writer.Position == bytes.Length);
        return bytes;
    }

    /// <summary>Reads version and type; false for bytes that are none of ours.</summary>
    public static bool TryReadHead(ref WireReader reader, out PrimacyMessageType type)
    {
        byte version = reader.U8();
        type = (PrimacyMessageType)reader.U8();
        return !reader.Failed && version == Version && type is >= PrimacyMessageType.Disqualify and <= PrimacyMessageType.Yield;
    }

    internal static void Head(ref WireWriter writer, PrimacyMessageType type)
    {
        writer.U8(Version);
        writer.U8((byte)type);
    }

    internal static int SizeOf(ServiceName service) => 2 + service.Name.Length;

    internal static void Service(this ref WireWriter writer, ServiceName service) => writer.Text(service.Name);

    internal static ServiceName Service(this ref WireReader reader)
    {
        string name = reader.Text(ServiceName.MaxLength);
        if (!ServiceName.TryParse(name, out ServiceName service))
        {
            reader.Fail();
        }

        return service;
    }

    internal static ServiceName ServiceOrNone(this ref WireReader reader)
    {
        string name = reader.Text(ServiceName.MaxLength);
        if (!ServiceName.TryParse(name, out ServiceName service) && name.Length > 0)
        {
            reader.Fail();
        }

        return service;
    }

    internal static void Epoch(this ref WireWriter writer, Epoch epoch) => writer.U64(epoch.Value);

    internal static Epoch Epoch(this ref WireReader reader) => new(reader.U64());

    internal static void Freshness(this ref WireWriter writer, Freshness state)
    {
        writer.U64(state.Epoch.Value);
        writer.U64(state.Number);
    }

    internal static Freshness Freshness(this ref WireReader reader) => new(new Epoch(reader.U64()), reader.U64());

    internal static void Milliseconds(this ref WireWriter writer, TimeSpan span) =>
        writer.U32((uint)Math.Clamp(Math.Ceiling(span.TotalMilliseconds), 0, uint.MaxValue));

    internal static TimeSpan Milliseconds(this ref WireReader reader) => TimeSpan.FromMilliseconds(reader.U32());
}

/// <summary><c>service │ u64 run │ rank</c>; the rank's node is the sender.</summary>
public readonly record struct DisqualifyMessage(ServiceName Service, Epoch Run, Rank Rank) : IPrimacyMessage
{
    public int Size => 2 + PrimacyCodec.SizeOf(Service) + 8 + Rank.EncodedSize;

    public void Write(ref WireWriter writer)
    {
        PrimacyCodec.Head(ref writer, PrimacyMessageType.Disqualify);
        writer.Service(Service);
        writer.Epoch(Run);
        Rank.Write(ref writer);
    }

    public static bool TryRead(ref WireReader reader, out DisqualifyMessage message)
    {
        message = new DisqualifyMessage(reader.Service(), reader.Epoch(), Rank.Read(ref reader));
        return !reader.Failed && !message.Rank.IsNone;
    }
}

/// <summary><c>service │ u64 run │ u8 verdict │ rank</c>: the answerer's rank, or the primary's, or none.</summary>
public readonly record struct DisqualifyAnswerMessage(ServiceName Service, CallAnswer Answer) : IPrimacyMessage
{
    public int Size => 2 + PrimacyCodec.SizeOf(Service) + 8 + 1 + Answer.Rank.EncodedSize;

    public void Write(ref WireWriter writer)
    {
        PrimacyCodec.Head(ref writer, PrimacyMessageType.DisqualifyAnswer);
        writer.Service(Service);
        writer.Epoch(Answer.Run);
        writer.U8((byte)Answer.Verdict);
        Answer.Rank.Write(ref writer);
    }

    public static bool TryRead(ref WireReader reader, out DisqualifyAnswerMessage message)
    {
        ServiceName service = reader.Service();
        Epoch run = reader.Epoch();
        var verdict = (CallVerdict)reader.U8();
        message = new DisqualifyAnswerMessage(service, new CallAnswer(verdict, run, Rank.Read(ref reader)));
        bool hasRank = verdict is CallVerdict.Ranked or CallVerdict.PrimaryExists;
        return !reader.Failed && verdict <= CallVerdict.NewerRun && hasRank != message.Answer.Rank.IsNone;
    }
}

/// <summary><c>service │ u64 epoch │ u64 configuration │ u32 duration, ms │ u64 counter</c>; the tunnel says who.</summary>
public readonly record struct BidMessage(ServiceName Service, Epoch Epoch, ulong Configuration, TimeSpan Duration, ulong Counter)
    : IPrimacyMessage
{
    public int Size => 2 + PrimacyCodec.SizeOf(Service) + 8 + 8 + 4 + 8;

    public void Write(ref WireWriter writer)
    {
        PrimacyCodec.Head(ref writer, PrimacyMessageType.Bid);
        writer.Service(Service);
        writer.Epoch(Epoch);
        writer.U64(Configuration);
        writer.Milliseconds(Duration);
        writer.U64(Counter);
    }

    public static bool TryRead(ref WireReader reader, out BidMessage message)
    {
        message = new BidMessage(reader.Service(), reader.Epoch(), reader.U64(), reader.Milliseconds(), reader.U64());
        return !reader.Failed && !message.Epoch.IsNone;
    }
}

/// <summary><c>service │ u64 epoch │ u64 counter │ u8 verdict │ u64 promised │ node holder │ u32 time left, ms</c>.</summary>
/// <param name="Service">Of the bid.</param>
/// <param name="Epoch">Of the bid.</param>
/// <param name="Counter">Of the bid.</param>
/// <param name="Verdict">Granted, or why not.</param>
/// <param name="Promised">The greatest epoch that the voter promised.</param>
/// <param name="Holder">Who has the lease, where that is the reason.</param>
/// <param name="Left">How long the reason holds at most.</param>
public readonly record struct BidAnswerMessage(
    ServiceName Service, Epoch Epoch, ulong Counter, BidVerdict Verdict, Epoch Promised, NodeId Holder, TimeSpan Left) : IPrimacyMessage
{
    public int Size => 2 + PrimacyCodec.SizeOf(Service) + 8 + 8 + 1 + 8 + WireSize.Node(Holder) + 4;

    public void Write(ref WireWriter writer)
    {
        PrimacyCodec.Head(ref writer, PrimacyMessageType.BidAnswer);
        writer.Service(Service);
        writer.Epoch(Epoch);
        writer.U64(Counter);
        writer.U8((byte)Verdict);
        writer.Epoch(Promised);
        writer.Node(Holder);
        writer.Milliseconds(Left);
    }

    public static bool TryRead(ref WireReader reader, out BidAnswerMessage message)
    {
        message = new BidAnswerMessage(
            reader.Service(), reader.Epoch(), reader.U64(), (BidVerdict)reader.U8(), reader.Epoch(), reader.Node(), reader.Milliseconds());
        return !reader.Failed && message.Verdict <= BidVerdict.NotVoting;
    }
}

/// <summary><c>service │ u64 epoch │ bool released │ node successor</c>: released says that it was acted in, and no longer is; the
/// successor is who the epoch is handed over to, or none.</summary>
public readonly record struct WithdrawMessage(ServiceName Service, Epoch Epoch, bool Released, NodeId Successor) : IPrimacyMessage
{
    public int Size => 2 + PrimacyCodec.SizeOf(Service) + 8 + 1 + WireSize.Node(Successor);

    public void Write(ref WireWriter writer)
    {
        PrimacyCodec.Head(ref writer, PrimacyMessageType.Withdraw);
        writer.Service(Service);
        writer.Epoch(Epoch);
        writer.Bool(Released);
        writer.Node(Successor);
    }

    public static bool TryRead(ref WireReader reader, out WithdrawMessage message)
    {
        message = new WithdrawMessage(reader.Service(), reader.Epoch(), reader.Bool(), reader.Node());
        return !reader.Failed && !message.Epoch.IsNone;
    }
}

/// <summary>One epoch that a node holds.</summary>
/// <param name="Service">Of which service.</param>
/// <param name="Epoch">Which.</param>
/// <param name="IsActing">True if its lease is in force as the node counts: its statement that the primary exists ◆.</param>
public readonly record struct Holding(ServiceName Service, Epoch Epoch, bool IsActing);

/// <summary><c>u64 version │ u32 count │ (service │ u64 epoch │ bool acting)…</c>.</summary>
public readonly record struct HoldingsMessage(ulong Version, ImmutableArray<Holding> Items) : IPrimacyMessage
{
    /// <summary>The most services that one node can be primary of.</summary>
    public const int MaxItems = 4096;

    public int Size => 2 + 8 + 4 + Items.Sum(i => PrimacyCodec.SizeOf(i.Service) + 9);

    public void Write(ref WireWriter writer)
    {
        PrimacyCodec.Head(ref writer, PrimacyMessageType.Holdings);
        writer.U64(Version);
        writer.U32((uint)Items.Length);
        foreach (Holding item in Items)
        {
            writer.Service(item.Service);
            writer.Epoch(item.Epoch);
            writer.Bool(item.IsActing);
        }
    }

    public static bool TryRead(ref WireReader reader, out HoldingsMessage message)
    {
        ulong version = reader.U64();
        int count = reader.Count(MaxItems, 12);
        var items = ImmutableArray.CreateBuilder<Holding>(count);
        for (int i = 0; i < count && !reader.Failed; i++)
        {
            items.Add(new Holding(reader.Service(), reader.Epoch(), reader.Bool()));
        }

        message = new HoldingsMessage(version, items.ToImmutable());
        return !reader.Failed;
    }
}

/// <summary><c>u64 version │ u64 counter</c>: the same in a datagram, behind membership's frame.</summary>
public readonly record struct RenewMessage(ulong Version, ulong Counter) : IPrimacyMessage
{
    public int Size => 2 + 8 + 8;

    public void Write(ref WireWriter writer)
    {
        PrimacyCodec.Head(ref writer, PrimacyMessageType.Renew);
        writer.U64(Version);
        writer.U64(Counter);
    }

    public static bool TryRead(ref WireReader reader, out RenewMessage message)
    {
        message = new RenewMessage(reader.U64(), reader.U64());
        return !reader.Failed;
    }
}

/// <summary><c>u64 version │ u64 counter │ bool version known │ u32 count │ services refused…</c>; all others of that version are
/// renewed.</summary>
public readonly record struct RenewAnswerMessage(ulong Version, ulong Counter, bool IsKnown, ImmutableArray<ServiceName> Refused)
    : IPrimacyMessage
{
    public int Size => 2 + 8 + 8 + 1 + 4 + Refused.Sum(PrimacyCodec.SizeOf);

    public void Write(ref WireWriter writer)
    {
        PrimacyCodec.Head(ref writer, PrimacyMessageType.RenewAnswer);
        writer.U64(Version);
        writer.U64(Counter);
        writer.Bool(IsKnown);
        writer.U32((uint)Refused.Length);
        foreach (ServiceName service in Refused)
        {
            writer.Service(service);
        }
    }

    public static bool TryRead(ref WireReader reader, out RenewAnswerMessage message)
    {
        ulong version = reader.U64();
        ulong counter = reader.U64();
        bool isKnown = reader.Bool();
        int count = reader.Count(HoldingsMessage.MaxItems, 3);
        var refused = ImmutableArray.CreateBuilder<ServiceName>(count);
        for (int i = 0; i < count && !reader.Failed; i++)
        {
            refused.Add(reader.Service());
        }

        message = new RenewAnswerMessage(version, counter, isKnown, refused.ToImmutable());
        return !reader.Failed;
    }
}

/// <summary><c>service │ u64 epoch │ u64 checkpoint's epoch │ u64 its number │ blob content</c>.</summary>
/// <param name="Service">Of which service.</param>
/// <param name="Epoch">The epoch in which its primary acts: an effect, so fenced.</param>
/// <param name="State">Which checkpoint.</param>
/// <param name="Content">Its bytes.</param>
public readonly record struct CheckpointMessage(ServiceName Service, Epoch Epoch, Freshness State, ReadOnlyMemory<byte> Content)
    : IPrimacyMessage
{
    public int Size => 2 + PrimacyCodec.SizeOf(Service) + 8 + 16 + WireSize.Blob(Content.Length);

    public void Write(ref WireWriter writer)
    {
        PrimacyCodec.Head(ref writer, PrimacyMessageType.Checkpoint);
        writer.Service(Service);
        writer.Epoch(Epoch);
        writer.Freshness(State);
        writer.Blob(Content.Span);
    }

    public static bool TryRead(ref WireReader reader, out CheckpointMessage message)
    {
        ServiceName service = reader.Service();
        Epoch epoch = reader.Epoch();
        Freshness state = reader.Freshness();
        ReadOnlySpan<byte> content = reader.Blob(ServiceNews.MaxCheckpointBytes);
        message = reader.Failed ? default : new CheckpointMessage(service, epoch, state, content.ToArray());
        return !reader.Failed && !epoch.IsNone;
    }
}

/// <summary><c>service │ u64 checkpoint's epoch │ u64 its number</c>.</summary>
public readonly record struct CheckpointAckMessage(ServiceName Service, Freshness State) : IPrimacyMessage
{
    public int Size => 2 + PrimacyCodec.SizeOf(Service) + 16;

    public void Write(ref WireWriter writer)
    {
        PrimacyCodec.Head(ref writer, PrimacyMessageType.CheckpointAck);
        writer.Service(Service);
        writer.Freshness(State);
    }

    public static bool TryRead(ref WireReader reader, out CheckpointAckMessage message)
    {
        message = new CheckpointAckMessage(reader.Service(), reader.Freshness());
        return !reader.Failed;
    }
}

/// <summary>What a node says of one service that it may provide.</summary>
/// <param name="Service">Which.</param>
/// <param name="IsUp">True if its provider is there.</param>
/// <param name="Role">What it is.</param>
/// <param name="Epoch">Of a primary: in which epoch.</param>
/// <param name="Detail">Why the provider is down, or why the last primary here ended.</param>
public readonly record struct ProviderReport(ServiceName Service, bool IsUp, ServiceRole Role, Epoch Epoch, string Detail);

/// <summary><c>u32 count │ (service │ bool up │ u8 role │ u64 epoch │ text detail)…</c>.</summary>
public readonly record struct ReportMessage(ImmutableArray<ProviderReport> Items) : IPrimacyMessage
{
    /// <summary>The longest detail, in bytes.</summary>
    public const int MaxDetailBytes = 300;

    public int Size => 2 + 4 + Items.Sum(i => PrimacyCodec.SizeOf(i.Service) + 1 + 1 + 8 + WireSize.Text(i.Detail));

    public void Write(ref WireWriter writer)
    {
        PrimacyCodec.Head(ref writer, PrimacyMessageType.Report);
        writer.U32((uint)Items.Length);
        foreach (ProviderReport item in Items)
        {
            writer.Service(item.Service);
            writer.Bool(item.IsUp);
            writer.U8((byte)item.Role);
            writer.Epoch(item.Epoch);
            writer.Text(item.Detail);
        }
    }

    public static bool TryRead(ref WireReader reader, out ReportMessage message)
    {
        int count = reader.Count(HoldingsMessage.MaxItems, 15);
        var items = ImmutableArray.CreateBuilder<ProviderReport>(count);
        for (int i = 0; i < count && !reader.Failed; i++)
        {
            var item = new ProviderReport(
                reader.Service(), reader.Bool(), (ServiceRole)reader.U8(), reader.Epoch(), reader.Text(MaxDetailBytes));
            if (item.Role > ServiceRole.Primary)
            {
                reader.Fail();
            }

            items.Add(item);
        }

        message = new ReportMessage(items.ToImmutable());
        return !reader.Failed;
    }
}

/// <summary><c>u64 number │ u8 kind │ fields of the request</c>; the number is the asking server's own.</summary>
public readonly record struct RequestMessage(ulong Number, ServiceRequest Request) : IPrimacyMessage
{
    private enum Kind : byte
    {
        Add = 1,
        Remove = 2,
        Move = 3,
        Register = 4,
        Unregister = 5,
    }

    public int Size => 2 + 8 + 1 + Request switch
    {
        ServiceRequest.Add add => ServiceCodec.SizeOf(add.Definition) + 1,
        ServiceRequest.Move move => PrimacyCodec.SizeOf(Request.Service) + WireSize.Node(move.Target),
        ServiceRequest.Register register => PrimacyCodec.SizeOf(Request.Service) + WireSize.Node(register.Provider),
        ServiceRequest.Unregister unregister => PrimacyCodec.SizeOf(Request.Service) + WireSize.Node(unregister.Provider),
        _ => PrimacyCodec.SizeOf(Request.Service),
    };

    public void Write(ref WireWriter writer)
    {
        PrimacyCodec.Head(ref writer, PrimacyMessageType.Request);
        writer.U64(Number);
        switch (Request)
        {
            case ServiceRequest.Add add:
                writer.U8((byte)Kind.Add);
                ServiceCodec.Write(ref writer, add.Definition);
                writer.Bool(add.Replace);
                break;
            case ServiceRequest.Move move:
                writer.U8((byte)Kind.Move);
                writer.Service(move.Service);
                writer.Node(move.Target);
                break;
            case ServiceRequest.Register register:
                writer.U8((byte)Kind.Register);
                writer.Service(register.Service);
                writer.Node(register.Provider);
                break;
            case ServiceRequest.Unregister unregister:
                writer.U8((byte)Kind.Unregister);
                writer.Service(unregister.Service);
                writer.Node(unregister.Provider);
                break;
            default:
                writer.U8((byte)Kind.Remove);
                writer.Service(Request.Service);
                break;
        }
    }

    public static bool TryRead(ref WireReader reader, out RequestMessage message)
    {
        ulong number = reader.U64();
        ServiceRequest? request = (Kind)reader.U8() switch
        {
            Kind.Add => new ServiceRequest.Add(ServiceCodec.ReadDefinition(ref reader), reader.Bool()),
            Kind.Remove => new ServiceRequest.Remove(reader.Service()),
            Kind.Move => new ServiceRequest.Move(reader.Service(), reader.Node()),
            Kind.Register => new ServiceRequest.Register(reader.Service(), reader.Node()),
            Kind.Unregister => new ServiceRequest.Unregister(reader.Service(), reader.Node()),
            _ => null,
        };
        message = new RequestMessage(number, request!);
        return !reader.Failed && request is not null;
    }
}

/// <summary><c>u64 number │ u8 result │ text detail</c>.</summary>
public readonly record struct RequestAnswerMessage(ulong Number, ServiceAnswer Answer) : IPrimacyMessage
{
    /// <summary>The longest detail, in bytes.</summary>
    public const int MaxDetailBytes = 2000;

    public int Size => 2 + 8 + 1 + WireSize.Text(Answer.Detail);

    public void Write(ref WireWriter writer)
    {
        PrimacyCodec.Head(ref writer, PrimacyMessageType.RequestAnswer);
        writer.U64(Number);
        writer.U8((byte)Answer.Result);
        writer.Text(Answer.Detail);
    }

    public static bool TryRead(ref WireReader reader, out RequestAnswerMessage message)
    {
        message = new RequestAnswerMessage(reader.U64(), new ServiceAnswer((ServiceResult)reader.U8(), reader.Text(MaxDetailBytes)));
        return !reader.Failed && message.Answer.Result <= ServiceResult.Unavailable;
    }
}

/// <summary><c>service │ u64 epoch │ node successor │ u64 replica manager's epoch</c>: hand this epoch over, by the replica manager of that
/// epoch.</summary>
public readonly record struct YieldMessage(ServiceName Service, Epoch Epoch, NodeId Successor, Epoch Manager) : IPrimacyMessage
{
    public int Size => 2 + PrimacyCodec.SizeOf(Service) + 8 + WireSize.Node(Successor) + 8;

    public void Write(ref WireWriter writer)
    {
        PrimacyCodec.Head(ref writer, PrimacyMessageType.Yield);
        writer.Service(Service);
        writer.Epoch(Epoch);
        writer.Node(Successor);
        writer.Epoch(Manager);
    }

    public static bool TryRead(ref WireReader reader, out YieldMessage message)
    {
        message = new YieldMessage(reader.Service(), reader.Epoch(), reader.Node(), reader.Epoch());
        return !reader.Failed && !message.Epoch.IsNone;
    }
}
