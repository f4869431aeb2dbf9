using Carillon.Protocols.Primacy;
using Carillon.Protocols.Wire;

namespace Carillon.Protocols.AtomicMulticast;

/// <summary>What a message of a group is: its second byte.</summary>
public enum GroupMessageType : byte
{
    /// <summary>Step 1, and the answer to <see cref="DataQuery"/>: messages.</summary>
    Data = 1,

    /// <summary>Step 2: a data server asks for numbers.</summary>
    Request = 2,

    /// <summary>Step 3: the sequencer gives numbers.</summary>
    Assign = 3,

    /// <summary>Step 4: a commit server has stored them.</summary>
    Ack = 4,

    /// <summary>Step 5: they are committed.</summary>
    Commit = 5,

    /// <summary>The sequencer's greatest committed number, and the newest checkpoint.</summary>
    Gossip = 6,

    /// <summary>A new sequencer asks for a promise, and for what is assigned.</summary>
    Prepare = 7,

    /// <summary>The promise, and what is assigned; or that a greater one was given.</summary>
    Prepared = 8,

    /// <summary>Which messages stand at these numbers?</summary>
    CommitQuery = 9,

    /// <summary>These; or: not known here.</summary>
    CommitAnswer = 10,

    /// <summary>Asks a data server for messages.</summary>
    DataQuery = 11,

    /// <summary>It has not got these.</summary>
    DataAbsent = 12,

    /// <summary>A data server's word to a sender.</summary>
    SendAnswer = 13,

    /// <summary>A checkpoint server has made a checkpoint.</summary>
    CheckpointReport = 14,

    /// <summary>Asks for blocks of a checkpoint.</summary>
    BlockQuery = 15,

    /// <summary>One of them.</summary>
    BlockAnswer = 16,

    /// <summary>A reader asks the sequencer how far it has committed.</summary>
    NumberQuery = 17,

    /// <summary>So far; or: it can't tell.</summary>
    NumberAnswer = 18,
}

/// <summary><c>u32 count │ (id │ u64 settled │ u64 timestamp │ blob payload)… │ digest…</c>: the payloads' digests stand behind them;
/// where an older writer left them out, the reader computes them.</summary>
/// <remarks>A digest is computed once, by the server that a message came to, and not again by each that it goes to: the tunnel and sealed
/// datagrams keep every bit as it was sent, as the log's and the archive's checksums do. It is there to tell two contents of one id
/// apart.</remarks>
public readonly record struct DataMessage(ReadOnlyMemory<GroupData> Run) : IGroupMessage
{
    private const int ItemSize = MessageId.Size + 8 + 8 + 4;

    public GroupMessageType Type => GroupMessageType.Data;

    public int Size
    {
        get
        {
            int size = 4;
            foreach (ref readonly GroupData data in Run.Span)
            {
                size += ItemSize + data.Payload.Length + Digest.Size;
            }

            return size;
        }
    }

    public void Write(ref WireWriter writer)
    {
        writer.U32((uint)Run.Length);
        foreach (ref readonly GroupData data in Run.Span)
        {
            writer.Message(data.Id);
            writer.U64(data.Settled);
            writer.U64(data.Timestamp);
            writer.Blob(data.Payload.Span);
        }

        foreach (ref readonly GroupData data in Run.Span)
        {
            writer.Digest(data.Hash);
        }
    }

    // A submission of the catalog's is longer than what users send.
    private const int MaxPayload = Submissions.Submission.MaxBytes;

    /// <summary>Reads the fields; payloads are slices of the frame, which <paramref name="reader"/> reads to its end.</summary>
    public static bool TryRead(ref WireReader reader, ReadOnlyMemory<byte> frame, out DataMessage message)
    {
        var run = new GroupData[reader.Count(GroupCodec.MaxItems, ItemSize)];
        for (int i = 0; i < run.Length && !reader.Failed; i++)
        {
            MessageId id = reader.Message();
            ulong settled = reader.U64();
            ulong timestamp = reader.U64();
            int length = reader.Blob(MaxPayload).Length;
            if (!reader.Failed)
            {
                ReadOnlyMemory<byte> payload = frame.Slice(frame.Length - reader.Remaining - length, length);
                run[i] = new GroupData(id, default, settled, timestamp, payload);
            }
        }

        bool isTold = !reader.Failed && reader.Remaining > 0;
        for (int i = 0; i < run.Length && !reader.Failed; i++)
        {
            run[i] = run[i] with { Hash = isTold ? reader.Digest() : Digest.Of(run[i].Payload.Span) };
        }

        message = new DataMessage(run);
        return !reader.Failed;
    }
}

/// <summary><c>u64 configuration │ u32 count │ (id │ digest hash │ u64 settled │ u64 timestamp)…</c></summary>
public readonly record struct NumberRequestMessage(ulong Configuration, ReadOnlyMemory<GroupData> Run) : IGroupMessage
{
    private const int ItemSize = MessageId.Size + Digest.Size + 8 + 8;

    public GroupMessageType Type => GroupMessageType.Request;

    public int Size => 8 + 4 + (Run.Length * ItemSize);

    public void Write(ref WireWriter writer)
    {
        writer.U64(Configuration);
        writer.U32((uint)Run.Length);
        foreach (ref readonly GroupData data in Run.Span)
        {
            writer.Message(data.Id);
            writer.Digest(data.Hash);
            writer.U64(data.Settled);
            writer.U64(data.Timestamp);
        }
    }

    public static bool TryRead(ref WireReader reader, out NumberRequestMessage message)
    {
        ulong configuration = reader.U64();
        var run = new GroupData[reader.Count(GroupCodec.MaxItems, ItemSize)];
        for (int i = 0; i < run.Length && !reader.Failed; i++)
        {
            run[i] = new GroupData(reader.Message(), reader.Digest(), reader.U64(), reader.U64(), default);
        }

        message = new NumberRequestMessage(configuration, run);
        return !reader.Failed;
    }
}

/// <summary><c>u64 configuration │ u64 epoch │ u64 base │ u64 committed │ u64 first │ u32 count │ assignments</c></summary>
/// <param name="Configuration">The version of the configuration.</param>
/// <param name="Epoch">The sequencer's.</param>
/// <param name="Base">Up to here everything was committed when this epoch began: it assigns only above.</param>
/// <param name="Committed">The greatest number that is committed now.</param>
/// <param name="First">The first number of the run.</param>
/// <param name="Run">What stands at it and at those after it.</param>
public readonly record struct AssignMessage(
    ulong Configuration, Epoch Epoch, ulong Base, ulong Committed, ulong First, ReadOnlyMemory<Assignment> Run) : IGroupMessage
{
    public GroupMessageType Type => GroupMessageType.Assign;

    public int Size => 40 + GroupCodec.SizeOf(Run);

    public void Write(ref WireWriter writer)
    {
        writer.U64(Configuration);
        writer.Epoch(Epoch);
        writer.U64(Base);
        writer.U64(Committed);
        writer.U64(First);
        writer.Assignments(Run.Span);
    }

    public static bool TryRead(ref WireReader reader, out AssignMessage message)
    {
        message = new AssignMessage(reader.U64(), reader.Epoch(), reader.U64(), reader.U64(), reader.U64(), reader.Assignments());
        return !reader.Failed && message.First > message.Base && message.First <= ulong.MaxValue - GroupCodec.MaxItems;
    }
}

/// <summary><c>u64 configuration │ u64 epoch │ u64 upTo │ u64 committed │ ranges beyond</c>, ranges <c>u32 count │ (u64 first │ u32
/// count)…</c>. An epoch above the sequencer's own says that another was promised.</summary>
/// <param name="Configuration">The version of the configuration.</param>
/// <param name="Epoch">The assignments' epoch; or the greater one that is promised.</param>
/// <param name="UpTo">All above the epoch's base up to this are durable here, or known to be committed.</param>
/// <param name="Committed">What this server knows to be committed.</param>
/// <param name="Beyond">What is durable beyond gaps.</param>
public readonly record struct AckMessage(
    ulong Configuration, Epoch Epoch, ulong UpTo, ulong Committed, ReadOnlyMemory<NumberRange> Beyond) : IGroupMessage
{
    public GroupMessageType Type => GroupMessageType.Ack;

    public int Size => 32 + 4 + (Beyond.Length * 12);

    public void Write(ref WireWriter writer)
    {
        writer.U64(Configuration);
        writer.Epoch(Epoch);
        writer.U64(UpTo);
        writer.U64(Committed);
        writer.Ranges(Beyond.Span);
    }

    public static bool TryRead(ref WireReader reader, out AckMessage message)
    {
        message = new AckMessage(reader.U64(), reader.Epoch(), reader.U64(), reader.U64(), reader.Ranges());
        return !reader.Failed;
    }
}

/// <summary><c>u64 epoch │ u64 first │ u32 count │ assignments</c>: all numbers up to the run's last are committed.</summary>
public readonly record struct CommitMessage(Epoch Epoch, ulong First, ReadOnlyMemory<Assignment> Run) : IGroupMessage
{
    public GroupMessageType Type => GroupMessageType.Commit;

    public int Size => 16 + GroupCodec.SizeOf(Run);

    public void Write(ref WireWriter writer)
    {
        writer.Epoch(Epoch);
        writer.U64(First);
        writer.Assignments(Run.Span);
    }

    public static bool TryRead(ref WireReader reader, out CommitMessage message)
    {
        message = new CommitMessage(reader.Epoch(), reader.U64(), reader.Assignments());
        return !reader.Failed && message.First is > 0 and <= ulong.MaxValue - GroupCodec.MaxItems && message.Run.Length > 0;
    }
}

/// <summary><c>u64 configuration │ u64 epoch │ u64 committed │ mark │ u64 due</c>: to commit servers, which have the assignments, it is a
/// short Commit. It leaves only once all that its sequencer recovered, under that version, is committed ◆. The last says at which number a
/// checkpoint is wanted beside the usual ones (0: none).</summary>
public readonly record struct GossipMessage(ulong Configuration, Epoch Epoch, ulong Committed, CheckpointMark Checkpoint, ulong Due)
    : IGroupMessage
{
    public GroupMessageType Type => GroupMessageType.Gossip;

    public int Size => 32 + CheckpointMark.EncodedSize;

    public void Write(ref WireWriter writer)
    {
        writer.U64(Configuration);
        writer.Epoch(Epoch);
        writer.U64(Committed);
        writer.Mark(Checkpoint);
        writer.U64(Due);
    }

    public static bool TryRead(ref WireReader reader, out GossipMessage message)
    {
        message = new GossipMessage(reader.U64(), reader.Epoch(), reader.U64(), reader.Mark(), reader.U64());
        return !reader.Failed;
    }
}

/// <summary><c>u64 configuration │ u64 epoch │ u64 after │ u64 counter</c></summary>
/// <param name="Configuration">The version of the configuration.</param>
/// <param name="Epoch">The new sequencer's.</param>
/// <param name="After">It knows all that is committed up to here.</param>
/// <param name="Counter">Comes back with the answer's parts, so that parts of two answers are not mixed.</param>
public readonly record struct PrepareMessage(ulong Configuration, Epoch Epoch, ulong After, ulong Counter) : IGroupMessage
{
    public GroupMessageType Type => GroupMessageType.Prepare;

    public int Size => 32;

    public void Write(ref WireWriter writer)
    {
        writer.U64(Configuration);
        writer.Epoch(Epoch);
        writer.U64(After);
        writer.U64(Counter);
    }

    public static bool TryRead(ref WireReader reader, out PrepareMessage message)
    {
        message = new PrepareMessage(reader.U64(), reader.Epoch(), reader.U64(), reader.U64());
        return !reader.Failed && !message.Epoch.IsNone;
    }
}

/// <summary><c>u64 configuration │ u64 epoch │ u64 counter │ u64 committed │ u16 part │ u16 parts │ u32 count │ (u64 number │ u64 epoch │
/// assignment)…</c>. No parts: a greater epoch, <paramref name="Epoch"/>, was promised.</summary>
public readonly record struct PreparedMessage(
    ulong Configuration, Epoch Epoch, ulong Counter, ulong Committed, ushort Part, ushort Parts, ReadOnlyMemory<HeldAssignment> Held)
    : IGroupMessage
{
    private const int ItemSize = 16 + Assignment.Size;

    public GroupMessageType Type => GroupMessageType.Prepared;

    public int Size => 32 + 4 + 4 + (Held.Length * ItemSize);

    public void Write(ref WireWriter writer)
    {
        writer.U64(Configuration);
        writer.Epoch(Epoch);
        writer.U64(Counter);
        writer.U64(Committed);
        writer.U16(Part);
        writer.U16(Parts);
        writer.U32((uint)Held.Length);
        foreach (ref readonly HeldAssignment held in Held.Span)
        {
            writer.U64(held.Number);
            writer.Epoch(held.Epoch);
            writer.Assignment(held.Assignment);
        }
    }

    public static bool TryRead(ref WireReader reader, out PreparedMessage message)
    {
        message = new PreparedMessage(
            reader.U64(), reader.Epoch(), reader.U64(), reader.U64(), reader.U16(), reader.U16(), Read(ref reader));
        return !reader.Failed && (message.Parts == 0 || message.Part < message.Parts);
    }

    private static HeldAssignment[] Read(ref WireReader reader)
    {
        int count = reader.Count(GroupCodec.MaxItems, ItemSize);
        HeldAssignment[] held = count == 0 ? [] : new HeldAssignment[count];
        for (int i = 0; i < count; i++)
        {
            held[i] = new HeldAssignment(reader.U64(), reader.Epoch(), reader.Assignment());
        }

        return held;
    }
}

/// <summary><c>bool withData │ ranges</c></summary>
public readonly record struct CommitQueryMessage(bool WithData, ReadOnlyMemory<NumberRange> Ranges) : IGroupMessage
{
    public GroupMessageType Type => GroupMessageType.CommitQuery;

    public int Size => 1 + 4 + (Ranges.Length * 12);

    public void Write(ref WireWriter writer)
    {
        writer.Bool(WithData);
        writer.Ranges(Ranges.Span);
    }

    public static bool TryRead(ref WireReader reader, out CommitQueryMessage message)
    {
        message = new CommitQueryMessage(reader.Bool(), reader.Ranges());
        return !reader.Failed;
    }
}

/// <summary><c>u64 trimmed │ mark │ u64 first │ u32 count │ assignments</c>: an empty run is "unknown"; numbers up to trimmed are no longer
/// kept, and the mark is the checkpoint to start from.</summary>
public readonly record struct CommitAnswerMessage(
    ulong Trimmed, CheckpointMark Checkpoint, ulong First, ReadOnlyMemory<Assignment> Run) : IGroupMessage
{
    public GroupMessageType Type => GroupMessageType.CommitAnswer;

    public int Size => 8 + CheckpointMark.EncodedSize + 8 + GroupCodec.SizeOf(Run);

    public void Write(ref WireWriter writer)
    {
        writer.U64(Trimmed);
        writer.Mark(Checkpoint);
        writer.U64(First);
        writer.Assignments(Run.Span);
    }

    public static bool TryRead(ref WireReader reader, out CommitAnswerMessage message)
    {
        message = new CommitAnswerMessage(reader.U64(), reader.Mark(), reader.U64(), reader.Assignments());
        return !reader.Failed && message.First is > 0 and <= ulong.MaxValue - GroupCodec.MaxItems;
    }
}

/// <summary><c>u32 count │ (id │ u64 number)…</c></summary>
public readonly record struct DataQueryMessage(ReadOnlyMemory<WantedMessage> Wanted) : IGroupMessage
{
    public GroupMessageType Type => GroupMessageType.DataQuery;

    public int Size => 4 + (Wanted.Length * (MessageId.Size + 8));

    public void Write(ref WireWriter writer)
    {
        writer.U32((uint)Wanted.Length);
        foreach (WantedMessage wanted in Wanted.Span)
        {
            writer.Message(wanted.Id);
            writer.U64(wanted.Number);
        }
    }

    public static bool TryRead(ref WireReader reader, out DataQueryMessage message)
    {
        var wanted = new WantedMessage[reader.Count(GroupCodec.MaxItems, MessageId.Size + 8)];
        for (int i = 0; i < wanted.Length && !reader.Failed; i++)
        {
            wanted[i] = new WantedMessage(reader.Message(), reader.U64());
        }

        message = new DataQueryMessage(wanted);
        return !reader.Failed;
    }
}

/// <summary><c>u64 trimmed │ mark │ u32 count │ ids</c>: as in <see cref="CommitAnswerMessage"/>.</summary>
public readonly record struct DataAbsentMessage(ulong Trimmed, CheckpointMark Checkpoint, ReadOnlyMemory<MessageId> Ids) : IGroupMessage
{
    public GroupMessageType Type => GroupMessageType.DataAbsent;

    public int Size => 8 + CheckpointMark.EncodedSize + 4 + (Ids.Length * MessageId.Size);

    public void Write(ref WireWriter writer)
    {
        writer.U64(Trimmed);
        writer.Mark(Checkpoint);
        writer.U32((uint)Ids.Length);
        foreach (MessageId id in Ids.Span)
        {
            writer.Message(id);
        }
    }

    public static bool TryRead(ref WireReader reader, out DataAbsentMessage message)
    {
        ulong trimmed = reader.U64();
        CheckpointMark mark = reader.Mark();
        var ids = new MessageId[reader.Count(GroupCodec.MaxItems, MessageId.Size)];
        for (int i = 0; i < ids.Length && !reader.Failed; i++)
        {
            ids[i] = reader.Message();
        }

        message = new DataAbsentMessage(trimmed, mark, ids);
        return !reader.Failed;
    }
}

/// <summary><c>u32 count │ (id │ u8 verdict │ u64 number)…</c></summary>
public readonly record struct SendAnswerMessage(ReadOnlyMemory<SendAnswer> Answers) : IGroupMessage
{
    private const int ItemSize = MessageId.Size + 1 + 8;

    public GroupMessageType Type => GroupMessageType.SendAnswer;

    public int Size => 4 + (Answers.Length * ItemSize);

    public void Write(ref WireWriter writer)
    {
        writer.U32((uint)Answers.Length);
        foreach (SendAnswer answer in Answers.Span)
        {
            writer.Message(answer.Id);
            writer.U8((byte)answer.Verdict);
            writer.U64(answer.Number);
        }
    }

    public static bool TryRead(ref WireReader reader, out SendAnswerMessage message)
    {
        var answers = new SendAnswer[reader.Count(GroupCodec.MaxItems, ItemSize)];
        for (int i = 0; i < answers.Length && !reader.Failed; i++)
        {
            answers[i] = new SendAnswer(reader.Message(), (SendVerdict)reader.U8(), reader.U64());
            if (answers[i].Verdict > SendVerdict.Overtaken)
            {
                reader.Fail();
            }
        }

        message = new SendAnswerMessage(answers);
        return !reader.Failed;
    }
}

/// <summary><c>mark</c></summary>
public readonly record struct CheckpointReportMessage(CheckpointMark Mark) : IGroupMessage
{
    public GroupMessageType Type => GroupMessageType.CheckpointReport;

    public int Size => CheckpointMark.EncodedSize;

    public void Write(ref WireWriter writer) => writer.Mark(Mark);

    public static bool TryRead(ref WireReader reader, out CheckpointReportMessage message)
    {
        message = new CheckpointReportMessage(reader.Mark());
        return !reader.Failed && !message.Mark.IsNone;
    }
}

/// <summary><c>u64 number │ u32 first │ u32 count</c>: block 0 is the list of the others' digests.</summary>
public readonly record struct BlockQueryMessage(ulong Number, uint First, uint Count) : IGroupMessage
{
    public GroupMessageType Type => GroupMessageType.BlockQuery;

    public int Size => 16;

    public void Write(ref WireWriter writer)
    {
        writer.U64(Number);
        writer.U32(First);
        writer.U32(Count);
    }

    public static bool TryRead(ref WireReader reader, out BlockQueryMessage message)
    {
        message = new BlockQueryMessage(reader.U64(), reader.U32(), reader.U32());
        return !reader.Failed && message.Count is > 0 and <= 64;
    }
}

/// <summary><c>u64 number │ u32 index │ blob bytes</c>: no bytes where there is no such block.</summary>
public readonly record struct BlockAnswerMessage(ulong Number, uint Index, ReadOnlyMemory<byte> Bytes) : IGroupMessage
{
    public GroupMessageType Type => GroupMessageType.BlockAnswer;

    public int Size => 8 + 4 + WireSize.Blob(Bytes.Length);

    public void Write(ref WireWriter writer)
    {
        writer.U64(Number);
        writer.U32(Index);
        writer.Blob(Bytes.Span);
    }

    /// <summary>Reads the fields; the bytes are a slice of the frame, which <paramref name="reader"/> reads to its end.</summary>
    public static bool TryRead(ref WireReader reader, ReadOnlyMemory<byte> frame, out BlockAnswerMessage message)
    {
        ulong number = reader.U64();
        uint index = reader.U32();
        int length = reader.Blob(CheckpointBlocks.MaxBlockBytes).Length;
        message = reader.Failed
            ? default
            : new BlockAnswerMessage(number, index, frame.Slice(frame.Length - reader.Remaining - length, length));
        return !reader.Failed;
    }
}

/// <summary><c>u64 question</c></summary>
public readonly record struct NumberQueryMessage(ulong Question) : IGroupMessage
{
    public GroupMessageType Type => GroupMessageType.NumberQuery;

    public int Size => 8;

    public void Write(ref WireWriter writer) => writer.U64(Question);

    public static bool TryRead(ref WireReader reader, out NumberQueryMessage message)
    {
        message = new NumberQueryMessage(reader.U64());
        return !reader.Failed;
    }
}

/// <summary><c>u64 question │ bool known │ u64 epoch │ u64 committed</c></summary>
/// <param name="Question">The question's.</param>
/// <param name="IsKnown">False: it is no sequencer, has not committed what it recovered, or its lease has ended.</param>
/// <param name="Epoch">The sequencer's.</param>
/// <param name="Committed">Everything that anybody was told to be committed, before it was asked, is up to here.</param>
public readonly record struct NumberAnswerMessage(ulong Question, bool IsKnown, Epoch Epoch, ulong Committed) : IGroupMessage
{
    public GroupMessageType Type => GroupMessageType.NumberAnswer;

    public int Size => 8 + 1 + 8 + 8;

    public void Write(ref WireWriter writer)
    {
        writer.U64(Question);
        writer.Bool(IsKnown);
        writer.Epoch(Epoch);
        writer.U64(Committed);
    }

    public static bool TryRead(ref WireReader reader, out NumberAnswerMessage message)
    {
        message = new NumberAnswerMessage(reader.U64(), reader.Bool(), reader.Epoch(), reader.U64());
        return !reader.Failed;
    }
}
