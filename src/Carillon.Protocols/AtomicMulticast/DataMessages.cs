using Carillon.Protocols.Wire;

namespace Carillon.Protocols.AtomicMulticast;

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
