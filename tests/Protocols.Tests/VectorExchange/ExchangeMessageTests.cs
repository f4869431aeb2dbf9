using Carillon.Protocols.Submissions;
using Carillon.Protocols.Tests.Vocabulary;
using Carillon.Protocols.VectorExchange;
using Carillon.Protocols.Wire;
using Xunit;

namespace Carillon.Protocols.Tests.VectorExchange;

/// <summary>The bytes of docs/formats/vector-exchange-messages.md, and what becomes of bytes that nobody vouches for.</summary>
public sealed class ExchangeMessageTests
{
    private const string TagA = "0500000000000000" + "027331" + "0700000000000000";
    private const string TagB = "0600000000000000" + "027332" + "0800000000000000";
    private const string Hash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    private static readonly Tag A = Samples.Tag(5);
    private static readonly Tag B = Samples.Tag(6, "s2", 8);
    private static readonly Digest Empty = Digest.Of([]);
    private static readonly ObjectName Name = new("files", "a");

    /// <summary>One of each, with the bytes that the format's page gives for it.</summary>
    private static readonly (string Name, byte[] Bytes, string Golden)[] Examples =
    [
        ("Push", MessageCodec.Encode(new Push(new WallTime(258), 1, new byte[] { 9, 8 })),
            "0101" + "0201000000000000" + "0100000000000000" + "02000000" + "0908"),
        ("PushAnswer", MessageCodec.Encode(new PushAnswer(A, PushVerdict.KeyHeld, A.Uid, B, TagState.Open, Empty)),
            "0102" + TagA + "04" + "0500000000000000" + "027331" + TagB + "01" + Hash),
        ("Vector", MessageCodec.Encode(new Vector(A, Empty, 1, 64, Value: true, 0b101, Again: true)),
            "0103" + TagA + Hash + "0100000000000000" + "40000000" + "01" + "0500000000000000" + "01"),
        ("Abort", MessageCodec.Encode(new Abort(A, B)), "0104" + TagA + TagB),
        ("AbortAck", MessageCodec.Encode(new TagMessage(MessageType.AbortAck, A)), "0105" + TagA),
        ("Ask", MessageCodec.Encode(new Ask(A, 1, 66, Name)),
            "0106" + TagA + "0100000000000000" + "42000000" + "0500" + "66696c6573" + "0100" + "61"),
        ("Promise", MessageCodec.Encode(new Promise(A, 66, HasBit: true, 64, BitValue: false, Empty)),
            "0107" + TagA + "42000000" + "01" + "40000000" + "00" + Hash),
        ("Barred", MessageCodec.Encode(new Barred(A, 66)), "0108" + TagA + "42000000"),
        ("Decided", MessageCodec.Encode(new Decided(A, TagState.Rejected, B)), "0109" + TagA + "03" + TagB),
        ("Fetch", MessageCodec.Encode(new TagMessage(MessageType.Fetch, A)), "010a" + TagA),
        ("Fetched", MessageCodec.Encode(new Fetched(Agreed: true, new byte[] { 9, 8 })), "010b" + "01" + "02000000" + "0908"),
        ("ReadAsk", MessageCodec.Encode(new ReadAsk(3, Name)), "010c" + "0300000000000000" + "0500" + "66696c6573" + "0100" + "61"),
        ("ReadAnswer", MessageCodec.Encode(new ReadAnswer(3, A, [new HeldTag(B, 2)], B)),
            "010d" + "0300000000000000" + TagA + "01000000" + TagB + "0200000000000000" + TagB),
        ("KeyAsk", MessageCodec.Encode(new KeyAsk(3, "k", Fence: true)), "010e" + "0300000000000000" + "0100" + "6b" + "01"),
        ("KeyAnswer", MessageCodec.Encode(new KeyAnswer(3, TagState.Accepted, A, Empty)), "010f" + "0300000000000000" + "02" + TagA + Hash),
        ("Probe", MessageCodec.Encode(new Probe(3, [Name])),
            "0110" + "0300000000000000" + "01000000" + "0500" + "66696c6573" + "0100" + "61"),
        ("ProbeAnswer", MessageCodec.Encode(new ProbeAnswer(3, new Timestamp(5))), "0111" + "0300000000000000" + "0500000000000000"),
        ("Inquire", MessageCodec.Encode(new TagMessage(MessageType.Inquire, A)), "0112" + TagA),
    ];

    [Fact]
    public void Every_message_has_the_bytes_of_the_format_page() =>
        Assert.Equal(Examples.Select(e => $"{e.Name} {e.Golden}"), Examples.Select(e => $"{e.Name} {Convert.ToHexStringLower(e.Bytes)}"));

    [Fact]
    public void Every_type_has_an_example() =>
        Assert.Equal(Enum.GetValues<MessageType>().Select(t => (byte)t), Examples.Select(e => e.Bytes[1]));

    [Fact]
    public void Message_that_was_read_is_written_as_it_came() =>
        Assert.All(Examples, e => Assert.Equal(Convert.ToHexStringLower(e.Bytes), Convert.ToHexStringLower(Reread(e.Bytes)!)));

    [Fact]
    public void Message_that_is_cut_short_is_none() =>
        Assert.All(Examples, e => Assert.All(Enumerable.Range(0, e.Bytes.Length), length => Assert.Null(Reread(e.Bytes[..length]))));

    [Fact]
    public void What_a_newer_writer_added_behind_is_passed_over() =>
        Assert.All(Examples, e => Assert.Equal(e.Bytes, Reread([.. e.Bytes, 1, 2, 3])));

    [Fact]
    public void Other_versions_and_types_are_refused()
    {
        Assert.All(Examples, e => Assert.Null(Reread([2, .. e.Bytes[1..]])));
        Assert.Null(Reread([1, 0, .. new byte[200]]));
        Assert.Null(Reread([1, 19, .. new byte[200]]));
    }

    [Fact]
    public void Changed_bytes_are_refused_or_read_never_longer_than_they_came()
    {
        var random = new RandomSource(1);
        for (int i = 0; i < 100_000; i++)
        {
            byte[] bytes = [.. Examples[random.Below(Examples.Length)].Bytes];
            for (int changes = 1 + random.Below(4); changes > 0; changes--)
            {
                bytes[random.Below(bytes.Length)] = random.Chance(0.3) ? (byte)0xff : (byte)random.Next();
            }

            Assert.True((Reread(bytes)?.Length ?? 0) <= bytes.Length);
        }
    }

    [Fact]
    public void Changed_messages_never_harm_a_server()
    {
        var random = new RandomSource(2);
        for (int i = 0; i < 3_000; i++)
        {
            var lab = new ExchangeLab(3, 1);
            byte[] bytes = [.. Examples[random.Below(Examples.Length)].Bytes];
            bytes[2 + random.Below(bytes.Length - 2)] = (byte)random.Next();
            lab["s1"].Core.Receive(NodeId.Parse("s2"), bytes, lab["s1"].Moment);
            Assert.True(lab["s1"].Core.OpenTags <= 1);
        }
    }

    [Fact]
    public void Every_record_has_the_bytes_of_the_format_page()
    {
        (byte[] Bytes, string Golden)[] records =
        [
            (Records.Pending([9, 8]), "01" + "0908"),
            (Records.Bit(A, Empty, 1, 64, value: true, 0b101),
                "02" + TagA + Hash + "0100000000000000" + "40000000" + "01" + "0500000000000000"),
            (Records.OfTag(RecordType.Agreed, A), "03" + TagA),
            (Records.Rejected(A, B, 6), "04" + TagA + TagB + "0600000000000000"),
            (Records.Promised(A, 66), "05" + TagA + "42000000"),
            (Records.KeyFenced("k", 258), "06" + "0100" + "6b" + "0201000000000000"),
            (Records.StampsReserved(new Timestamp(5)), "07" + "0500000000000000"),
            (Records.GivenUp(A, "k"), "08" + TagA + "0100" + "6b"),
        ];
        Assert.Equal(records.Select(r => r.Golden), records.Select(r => Convert.ToHexStringLower(r.Bytes)));
        Assert.Equal(Enum.GetValues<RecordType>().Select(t => (byte)t), records.Select(r => r.Bytes[0]));
    }

    [Fact]
    public void Record_that_is_cut_short_or_changed_is_told_as_damage_or_read()
    {
        var random = new RandomSource(3);
        byte[][] records =
        [
            Records.Pending(Submission.Create(A, default, new DiskId(1), "k", [Samples.Put("a", "x")]).Encoded.Span),
            Records.Bit(A, Empty, 1, 64, value: true, 0b101), Records.OfTag(RecordType.Agreed, A), Records.Rejected(A, B, 6),
            Records.Promised(A, 66), Records.KeyFenced("k", 258), Records.StampsReserved(new Timestamp(5)),
            Records.GivenUp(A, "k"),
        ];
        foreach (byte[] record in records)
        {
            Assert.True(Restores(record));
            for (int length = 0; length < record.Length; length++)
            {
                Assert.False(Restores(record[..length]), $"type {record[0]}, {length} bytes");
            }

            for (int i = 0; i < 200; i++)
            {
                byte[] changed = [.. record];
                changed[random.Below(changed.Length)] = (byte)random.Next();
                Restores(changed);
            }
        }
    }

    private static bool Restores(byte[] record)
    {
        var lab = new ExchangeLab(1, 1);
        return lab["s1"].Core.Restore(record, 1, lab["s1"].Moment);
    }

    private static byte[]? Reread(byte[] bytes)
    {
        var reader = new WireReader(bytes);
        if (!MessageCodec.TryReadHead(ref reader, out MessageType type))
        {
            return null;
        }

        switch (type)
        {
            case MessageType.Push:
                return Push.TryRead(ref reader, out WallTime clock, out ulong version, out ReadOnlySpan<byte> pushed)
                    ? MessageCodec.Encode(new Push(clock, version, pushed.ToArray())) : null;
            case MessageType.Fetched:
                return Fetched.TryRead(ref reader, out bool agreed, out ReadOnlySpan<byte> fetched)
                    ? MessageCodec.Encode(new Fetched(agreed, fetched.ToArray())) : null;
            case MessageType.AbortAck or MessageType.Fetch or MessageType.Inquire:
                return TagMessage.TryRead(ref reader, type, out TagMessage ofTag) ? MessageCodec.Encode(ofTag) : null;
            case MessageType.PushAnswer:
                return PushAnswer.TryRead(ref reader, out PushAnswer pushAnswer) ? MessageCodec.Encode(pushAnswer) : null;
            case MessageType.Vector:
                return Vector.TryRead(ref reader, out Vector vector) ? MessageCodec.Encode(vector) : null;
            case MessageType.Abort:
                return Abort.TryRead(ref reader, out Abort abort) ? MessageCodec.Encode(abort) : null;
            case MessageType.Ask:
                return Ask.TryRead(ref reader, out Ask ask) ? MessageCodec.Encode(ask) : null;
            case MessageType.Promise:
                return Promise.TryRead(ref reader, out Promise promise) ? MessageCodec.Encode(promise) : null;
            case MessageType.Barred:
                return Barred.TryRead(ref reader, out Barred barred) ? MessageCodec.Encode(barred) : null;
            case MessageType.Decided:
                return Decided.TryRead(ref reader, out Decided decided) ? MessageCodec.Encode(decided) : null;
            default:
                return RereadQuestion(type, ref reader);
        }
    }

    private static byte[]? RereadQuestion(MessageType type, ref WireReader reader)
    {
        switch (type)
        {
            case MessageType.ReadAsk:
                return ReadAsk.TryRead(ref reader, out ReadAsk readAsk) ? MessageCodec.Encode(readAsk) : null;
            case MessageType.ReadAnswer:
                return ReadAnswer.TryRead(ref reader, out ReadAnswer readAnswer) ? MessageCodec.Encode(readAnswer) : null;
            case MessageType.KeyAsk:
                return KeyAsk.TryRead(ref reader, out KeyAsk keyAsk) ? MessageCodec.Encode(keyAsk) : null;
            case MessageType.KeyAnswer:
                return KeyAnswer.TryRead(ref reader, out KeyAnswer keyAnswer) ? MessageCodec.Encode(keyAnswer) : null;
            case MessageType.Probe:
                return Probe.TryRead(ref reader, out Probe probe) ? MessageCodec.Encode(probe) : null;
            default:
                return ProbeAnswer.TryRead(ref reader, out ProbeAnswer probeAnswer) ? MessageCodec.Encode(probeAnswer) : null;
        }
    }
}
