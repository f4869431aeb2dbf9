using System.Collections.Immutable;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.Wire;

namespace Carillon.Protocols.VectorExchange;

/// <summary>Types of vector exchange's messages; the second byte of each.</summary>
public enum MessageType : byte
{
    /// <summary>A submission, to be stored as pending (step 206).</summary>
    Push = 1,

    /// <summary>Stored, or why not.</summary>
    PushAnswer = 2,

    /// <summary>A knowledge vector (step 312).</summary>
    Vector = 3,

    /// <summary>The accepting server gave a tag up before the exchange (step 210).</summary>
    Abort = 4,

    /// <summary>An abort or a decided no is durable here.</summary>
    AbortAck = 5,

    /// <summary>Asks for a promise: a resolution round.</summary>
    Ask = 6,

    /// <summary>No bit in a lower round from now on, and the greatest bit so far.</summary>
    Promise = 7,

    /// <summary>A greater round was promised.</summary>
    Barred = 8,

    /// <summary>A tag's outcome.</summary>
    Decided = 9,

    /// <summary>Asks for a submission's record (late fetch).</summary>
    Fetch = 10,

    /// <summary>The record.</summary>
    Fetched = 11,

    /// <summary>A linearizable read's question.</summary>
    ReadAsk = 12,

    /// <summary>What a server knows of the name.</summary>
    ReadAnswer = 13,

    /// <summary>Asks what became of a key, and fences it where nothing did.</summary>
    KeyAsk = 14,

    /// <summary>What became of it.</summary>
    KeyAnswer = 15,

    /// <summary>Active connectivity check (step 202).</summary>
    Probe = 16,

    /// <summary>Here, and the greatest stamp known for the names.</summary>
    ProbeAnswer = 17,

    /// <summary>Asks for a tag's outcome without taking a round.</summary>
    Inquire = 18,
}

/// <summary>How a server answers a push.</summary>
public enum PushVerdict : byte
{
    /// <summary>Durable here as pending.</summary>
    Held = 0,

    /// <summary>Its UID is not the greatest here (VE-68).</summary>
    Stale = 1,

    /// <summary>No space (VE-80).</summary>
    Full = 2,

    /// <summary>A resolution round was promised for this tag.</summary>
    Resolving = 3,

    /// <summary>Another tag of the key is open or accepted here.</summary>
    KeyHeld = 4,

    /// <summary>The key is fenced here.</summary>
    KeyFenced = 5,

    /// <summary>The accepting server's clock is too far ahead, or it is quarantined.</summary>
    ClockSkew = 6,

    /// <summary>The bucket does not exist here.</summary>
    BucketUnknown = 7,

    /// <summary>An open or current record of the bucket has other settings.</summary>
    BucketExists = 8,

    /// <summary>The bucket has names, open or current.</summary>
    BucketNotEmpty = 9,

    /// <summary>This server does not take part at present.</summary>
    NotVoting = 10,

    /// <summary>This tag was decided *no*.</summary>
    Rejected = 11,

    /// <summary>It is an effect of a primary whose epoch is not the newest one that was granted.</summary>
    Fenced = 12,

    /// <summary>A plain submission of the name is not resolved here: the push is to be repeated.</summary>
    Contended = 13,

    /// <summary>Its bucket does not allow answers at agreement, as far as the feed is applied here, and the record allows them: it is to be
    /// stamped afresh as one that waits for its number.</summary>
    Unnumbered = 14,
}

/// <summary>What a server knows of a tag's fate.</summary>
public enum TagState : byte
{
    /// <summary>Nothing.</summary>
    Unknown = 0,

    /// <summary>Not decided as far as is known here.</summary>
    Open = 1,

    /// <summary>Accepted.</summary>
    Accepted = 2,

    /// <summary>Decided *no*, or aborted.</summary>
    Rejected = 3,

    /// <summary>Older than what outcomes are kept for; neither promise nor bit is given.</summary>
    TooOld = 4,

    /// <summary>Fenced (keys only).</summary>
    Fenced = 5,
}

/// <summary>A message of this protocol: <c>u8 version = 1 │ u8 type │ fields</c>. A reader passes over what a newer writer added
/// behind.</summary>
public interface IMessage
{
    /// <summary>Bytes of version, type and fields.</summary>
    int Size { get; }

    /// <summary>Writes version, type and fields.</summary>
    void Write(ref WireWriter writer);
}

/// <summary>Encoding of messages.</summary>
public static class MessageCodec
{
    /// <summary>The version that this program writes, and the newest that it reads.</summary>
    public const byte Version = 1;

    /// <summary>A message's bytes.</summary>
    public static byte[] Encode<T>(in T message)
        where T : struct, IMessage
    {
        byte[] bytes = new byte[message.Size];
        var writer = new WireWriter(bytes);
        message.Write(ref writer);
        Invariant.That(writer.Position == bytes.Length);
        return bytes;
    }

    /// <summary>Reads version and type; false for bytes that are none of ours.</summary>
    public static bool TryReadHead(ref WireReader reader, out MessageType type)
    {
        byte version = reader.U8();
        type = (MessageType)reader.U8();
        return !reader.Failed && version == Version && type is >= MessageType.Push and <= MessageType.Inquire;
    }

    /// <summary>True for a message that is told again if nothing comes of it, and may come late, twice or before others: a vector, when
    /// it is told first.</summary>
    public static bool IsSentAgain(ReadOnlySpan<byte> message)
    {
        var reader = new WireReader(message);
        return TryReadHead(ref reader, out MessageType type) && type == MessageType.Vector
            && Vector.TryRead(ref reader, out Vector vector) && !vector.Again;
    }

    internal static void Head(ref WireWriter writer, MessageType type)
    {
        writer.U8(Version);
        writer.U8((byte)type);
    }
}

/// <summary><c>i64 sender's clock, ms │ u64 configuration │ blob submission</c>.</summary>
public readonly record struct Push(WallTime Clock, ulong Configuration, ReadOnlyMemory<byte> Submission) : IMessage
{
    public int Size => 2 + 8 + 8 + WireSize.Blob(Submission.Length);

    public void Write(ref WireWriter writer)
    {
        MessageCodec.Head(ref writer, MessageType.Push);
        writer.I64(Clock.Milliseconds);
        writer.U64(Configuration);
        writer.Blob(Submission.Span);
    }

    /// <summary>The record is read in place: the span must outlive it.</summary>
    public static bool TryRead(ref WireReader reader, out WallTime clock, out ulong configuration, out ReadOnlySpan<byte> submission)
    {
        clock = new WallTime(reader.I64());
        configuration = reader.U64();
        submission = reader.Blob(Submissions.Submission.MaxBytes);
        return !reader.Failed;
    }
}

/// <summary><c>tag │ u8 verdict │ uid greatest here │ tag other │ u8 other's state │ digest other's fingerprint</c>.</summary>
public readonly record struct PushAnswer(Tag Tag, PushVerdict Verdict, Uid Greatest, Tag Other, TagState OtherState, Digest Fingerprint)
    : IMessage
{
    public int Size => 2 + WireSize.Tag(Tag) + 1 + WireSize.Uid(Greatest) + WireSize.Tag(Other) + 1 + Digest.Size;

    public void Write(ref WireWriter writer)
    {
        MessageCodec.Head(ref writer, MessageType.PushAnswer);
        writer.Tag(Tag);
        writer.U8((byte)Verdict);
        writer.Uid(Greatest);
        writer.Tag(Other);
        writer.U8((byte)OtherState);
        writer.Digest(Fingerprint);
    }

    public static bool TryRead(ref WireReader reader, out PushAnswer message)
    {
        message = new PushAnswer(
            reader.Tag(), (PushVerdict)reader.U8(), reader.Uid(), reader.Tag(), (TagState)reader.U8(), reader.Digest());
        return !reader.Failed && !message.Tag.IsNone && message.Verdict <= PushVerdict.Unnumbered && message.OtherState <= TagState.Fenced;
    }
}

/// <summary>
/// <c>tag │ digest of the submission │ u64 configuration │ u32 round │ bool value │ u64 bits │ bool again</c>. The sender's own bit counts;
/// the others' are relayed, and only make the receiver ask (VE-79). <c>again</c> asks for an answer.
/// </summary>
public readonly record struct Vector(Tag Tag, Digest Hash, ulong Configuration, uint Round, bool Value, ulong Bits, bool Again) : IMessage
{
    public int Size => 2 + WireSize.Tag(Tag) + Digest.Size + 8 + 4 + 1 + 8 + 1;

    public void Write(ref WireWriter writer)
    {
        MessageCodec.Head(ref writer, MessageType.Vector);
        writer.Tag(Tag);
        writer.Digest(Hash);
        writer.U64(Configuration);
        writer.U32(Round);
        writer.Bool(Value);
        writer.U64(Bits);
        writer.Bool(Again);
    }

    public static bool TryRead(ref WireReader reader, out Vector message)
    {
        message = new Vector(reader.Tag(), reader.Digest(), reader.U64(), reader.U32(), reader.Bool(), reader.U64(), reader.Bool());
        return !reader.Failed && !message.Tag.IsNone && (message.Round > 0 || message.Value);
    }
}

/// <summary><c>tag │ tag successor</c>.</summary>
public readonly record struct Abort(Tag Tag, Tag Successor) : IMessage
{
    public int Size => 2 + WireSize.Tag(Tag) + WireSize.Tag(Successor);

    public void Write(ref WireWriter writer)
    {
        MessageCodec.Head(ref writer, MessageType.Abort);
        writer.Tag(Tag);
        writer.Tag(Successor);
    }

    public static bool TryRead(ref WireReader reader, out Abort message)
    {
        message = new Abort(reader.Tag(), reader.Tag());
        return !reader.Failed && !message.Tag.IsNone;
    }
}

/// <summary><c>tag</c>: the whole of AbortAck, Fetch and Inquire.</summary>
public readonly record struct TagMessage(MessageType Type, Tag Tag) : IMessage
{
    public int Size => 2 + WireSize.Tag(Tag);

    public void Write(ref WireWriter writer)
    {
        MessageCodec.Head(ref writer, Type);
        writer.Tag(Tag);
    }

    public static bool TryRead(ref WireReader reader, MessageType type, out TagMessage message)
    {
        message = new TagMessage(type, reader.Tag());
        return !reader.Failed && !message.Tag.IsNone;
    }
}

/// <summary><c>tag │ u64 configuration │ u32 round │ text bucket │ text name</c>; the name is the submission's first where the asker has
/// it, else empty.</summary>
public readonly record struct Ask(Tag Tag, ulong Configuration, uint Round, ObjectName First) : IMessage
{
    public int Size => 2 + WireSize.Tag(Tag) + 8 + 4 + WireSize.Text(First.Bucket) + WireSize.Text(First.Name);

    public void Write(ref WireWriter writer)
    {
        MessageCodec.Head(ref writer, MessageType.Ask);
        writer.Tag(Tag);
        writer.U64(Configuration);
        writer.U32(Round);
        writer.Text(First.Bucket);
        writer.Text(First.Name);
    }

    public static bool TryRead(ref WireReader reader, out Ask message)
    {
        message = new Ask(
            reader.Tag(), reader.U64(), reader.U32(),
            new ObjectName(reader.Text(ObjectName.MaxBucketLength), reader.Text(ObjectName.MaxNameBytes)));
        return !reader.Failed && !message.Tag.IsNone && message.Round > 0;
    }
}

/// <summary><c>tag │ u32 round promised │ bool has a bit │ u32 its round │ bool its value │ digest its submission</c>.</summary>
public readonly record struct Promise(Tag Tag, uint Round, bool HasBit, uint BitRound, bool BitValue, Digest Hash) : IMessage
{
    public int Size => 2 + WireSize.Tag(Tag) + 4 + 1 + 4 + 1 + Digest.Size;

    public void Write(ref WireWriter writer)
    {
        MessageCodec.Head(ref writer, MessageType.Promise);
        writer.Tag(Tag);
        writer.U32(Round);
        writer.Bool(HasBit);
        writer.U32(BitRound);
        writer.Bool(BitValue);
        writer.Digest(Hash);
    }

    public static bool TryRead(ref WireReader reader, out Promise message)
    {
        message = new Promise(reader.Tag(), reader.U32(), reader.Bool(), reader.U32(), reader.Bool(), reader.Digest());
        return !reader.Failed && !message.Tag.IsNone;
    }
}

/// <summary><c>tag │ u32 round promised to somebody</c>.</summary>
public readonly record struct Barred(Tag Tag, uint Promised) : IMessage
{
    public int Size => 2 + WireSize.Tag(Tag) + 4;

    public void Write(ref WireWriter writer)
    {
        MessageCodec.Head(ref writer, MessageType.Barred);
        writer.Tag(Tag);
        writer.U32(Promised);
    }

    public static bool TryRead(ref WireReader reader, out Barred message)
    {
        message = new Barred(reader.Tag(), reader.U32());
        return !reader.Failed && !message.Tag.IsNone;
    }
}

/// <summary><c>tag │ u8 state │ tag successor</c>; the state may be Unknown, in answer to an inquiry.</summary>
public readonly record struct Decided(Tag Tag, TagState State, Tag Successor) : IMessage
{
    public int Size => 2 + WireSize.Tag(Tag) + 1 + WireSize.Tag(Successor);

    public void Write(ref WireWriter writer)
    {
        MessageCodec.Head(ref writer, MessageType.Decided);
        writer.Tag(Tag);
        writer.U8((byte)State);
        writer.Tag(Successor);
    }

    public static bool TryRead(ref WireReader reader, out Decided message)
    {
        message = new Decided(reader.Tag(), (TagState)reader.U8(), reader.Tag());
        return !reader.Failed && !message.Tag.IsNone && message.State <= TagState.TooOld;
    }
}

/// <summary><c>bool agreed │ blob submission</c>.</summary>
public readonly record struct Fetched(bool Agreed, ReadOnlyMemory<byte> Submission) : IMessage
{
    public int Size => 2 + 1 + WireSize.Blob(Submission.Length);

    public void Write(ref WireWriter writer)
    {
        MessageCodec.Head(ref writer, MessageType.Fetched);
        writer.Bool(Agreed);
        writer.Blob(Submission.Span);
    }

    /// <summary>The record is read in place: the span must outlive it.</summary>
    public static bool TryRead(ref WireReader reader, out bool agreed, out ReadOnlySpan<byte> submission)
    {
        agreed = reader.Bool();
        submission = reader.Blob(Submissions.Submission.MaxBytes);
        return !reader.Failed;
    }
}

/// <summary><c>u64 question │ text bucket │ text name</c>.</summary>
public readonly record struct ReadAsk(ulong Question, ObjectName Name) : IMessage
{
    public int Size => 2 + 8 + WireSize.Text(Name.Bucket) + WireSize.Text(Name.Name);

    public void Write(ref WireWriter writer)
    {
        MessageCodec.Head(ref writer, MessageType.ReadAsk);
        writer.U64(Question);
        writer.Text(Name.Bucket);
        writer.Text(Name.Name);
    }

    public static bool TryRead(ref WireReader reader, out ReadAsk message)
    {
        message = new ReadAsk(reader.U64(), new ObjectName(reader.Text(ObjectName.MaxBucketLength), reader.Text(ObjectName.MaxNameBytes)));
        return !reader.Failed && message.Name.Name.Length > 0;
    }
}

/// <summary>A tag that a server holds above the greatest that it knows to be agreed: <c>tag │ u64 bits set yes in any round</c>.</summary>
public readonly record struct HeldTag(Tag Tag, ulong YesBits);

/// <summary><c>u64 question │ tag greatest agreed here │ u32 count │ held tags above it, greatest first │ tag settled</c>.</summary>
/// <param name="Question">The question's.</param>
/// <param name="Agreed">The greatest tag that is agreed or applied here.</param>
/// <param name="Held">Every greater one that is held.</param>
/// <param name="Settled">The bucket's record, applied here durably, by which no write of the bucket is answered at its agreement, if no
/// other one is open here; else none.</param>
public readonly record struct ReadAnswer(ulong Question, Tag Agreed, ImmutableArray<HeldTag> Held, Tag Settled) : IMessage
{
    /// <summary>The most held tags that an answer names: the greatest ones; a name with more open submissions is answered when some are
    /// decided.</summary>
    public const int MaxHeld = 256;

    public int Size
    {
        get
        {
            int size = 2 + 8 + WireSize.Tag(Agreed) + 4 + WireSize.Tag(Settled);
            foreach (HeldTag held in Held)
            {
                size += WireSize.Tag(held.Tag) + 8;
            }

            return size;
        }
    }

    public void Write(ref WireWriter writer)
    {
        MessageCodec.Head(ref writer, MessageType.ReadAnswer);
        writer.U64(Question);
        writer.Tag(Agreed);
        writer.U32((uint)Held.Length);
        foreach (HeldTag held in Held)
        {
            writer.Tag(held.Tag);
            writer.U64(held.YesBits);
        }

        writer.Tag(Settled);
    }

    public static bool TryRead(ref WireReader reader, out ReadAnswer message)
    {
        ulong question = reader.U64();
        Tag agreed = reader.Tag();
        int count = reader.Count(MaxHeld, 25);
        var held = ImmutableArray.CreateBuilder<HeldTag>(count);
        for (int i = 0; i < count; i++)
        {
            held.Add(new HeldTag(reader.Tag(), reader.U64()));
        }

        message = new ReadAnswer(question, agreed, held.DrainToImmutable(), reader.Tag());
        return !reader.Failed;
    }
}

/// <summary><c>u64 question │ text key │ bool fence</c>.</summary>
public readonly record struct KeyAsk(ulong Question, string Key, bool Fence) : IMessage
{
    public int Size => 2 + 8 + WireSize.Text(Key) + 1;

    public void Write(ref WireWriter writer)
    {
        MessageCodec.Head(ref writer, MessageType.KeyAsk);
        writer.U64(Question);
        writer.Text(Key);
        writer.Bool(Fence);
    }

    public static bool TryRead(ref WireReader reader, out KeyAsk message)
    {
        message = new KeyAsk(reader.U64(), reader.Text(Submission.MaxKeyBytes), reader.Bool());
        return !reader.Failed && message.Key.Length > 0;
    }
}

/// <summary><c>u64 question │ u8 state │ tag │ digest fingerprint</c>.</summary>
public readonly record struct KeyAnswer(ulong Question, TagState State, Tag Tag, Digest Fingerprint) : IMessage
{
    public int Size => 2 + 8 + 1 + WireSize.Tag(Tag) + Digest.Size;

    public void Write(ref WireWriter writer)
    {
        MessageCodec.Head(ref writer, MessageType.KeyAnswer);
        writer.U64(Question);
        writer.U8((byte)State);
        writer.Tag(Tag);
        writer.Digest(Fingerprint);
    }

    public static bool TryRead(ref WireReader reader, out KeyAnswer message)
    {
        message = new KeyAnswer(reader.U64(), (TagState)reader.U8(), reader.Tag(), reader.Digest());
        return !reader.Failed && message.State <= TagState.Fenced;
    }
}

/// <summary><c>u64 question │ u32 count │ bucket and name of each</c>: the first name stands for a changeset's others too.</summary>
public readonly record struct Probe(ulong Question, ImmutableArray<ObjectName> Names) : IMessage
{
    public int Size
    {
        get
        {
            int size = 2 + 8 + 4;
            foreach (ObjectName name in Names)
            {
                size += WireSize.Text(name.Bucket) + WireSize.Text(name.Name);
            }

            return size;
        }
    }

    public void Write(ref WireWriter writer)
    {
        MessageCodec.Head(ref writer, MessageType.Probe);
        writer.U64(Question);
        writer.U32((uint)Names.Length);
        foreach (ObjectName name in Names)
        {
            writer.Text(name.Bucket);
            writer.Text(name.Name);
        }
    }

    public static bool TryRead(ref WireReader reader, out Probe message)
    {
        ulong question = reader.U64();
        int count = reader.Count(Submission.MaxOperations, 4);
        var names = ImmutableArray.CreateBuilder<ObjectName>(count);
        for (int i = 0; i < count; i++)
        {
            names.Add(new ObjectName(reader.Text(ObjectName.MaxBucketLength), reader.Text(ObjectName.MaxNameBytes)));
        }

        message = new Probe(question, names.DrainToImmutable());
        return !reader.Failed;
    }
}

/// <summary><c>u64 question │ u64 greatest stamp known for the names</c>.</summary>
public readonly record struct ProbeAnswer(ulong Question, Timestamp Greatest) : IMessage
{
    public int Size => 2 + 8 + 8;

    public void Write(ref WireWriter writer)
    {
        MessageCodec.Head(ref writer, MessageType.ProbeAnswer);
        writer.U64(Question);
        writer.U64(Greatest.Value);
    }

    public static bool TryRead(ref WireReader reader, out ProbeAnswer message)
    {
        message = new ProbeAnswer(reader.U64(), new Timestamp(reader.U64()));
        return !reader.Failed;
    }
}
