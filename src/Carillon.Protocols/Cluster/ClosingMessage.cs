using System.Collections.Immutable;
using Carillon.Protocols.Primacy;
using Carillon.Protocols.Wire;

namespace Carillon.Protocols.Cluster;

/// <summary>
/// Closing a version: <c>u8 version = 1 │ u8 type: 5 question, 6 answer │ u64 number │ u64 version │ u64 committed │ bool closed │ bool
/// settled │ carried tags │ fences │ epochs</c>, the lists as in <see cref="ConfigurationEntry"/>; a question has nothing behind its
/// version, and with number 0 closes nothing. The answer leaves only once the closing is durable ◆.
/// </summary>
/// <param name="IsQuestion">True for the question.</param>
/// <param name="Number">Names the question.</param>
/// <param name="Version">The version to be closed; the one that is in force at the answerer.</param>
/// <param name="Committed">The answerer's committed number in the feed: who is behind with the version fetches that far.</param>
/// <param name="IsClosed">It sets no more bits under that version.</param>
/// <param name="IsSettled">Nothing that it lost with a disk, or never had, is missing here.</param>
/// <param name="Carried">What it had set bits for, or knows to be agreed and not in the feed.</param>
/// <param name="Fences">Keys that it refuses.</param>
/// <param name="Epochs">The greatest epochs that it promised.</param>
public readonly record struct ClosingMessage(
    bool IsQuestion, ulong Number, ulong Version, ulong Committed, bool IsClosed, bool IsSettled, ImmutableArray<CarriedTag> Carried,
    ImmutableArray<KeyValuePair<string, long>> Fences, ImmutableArray<KeyValuePair<ServiceName, Epoch>> Epochs)
{
    private const byte FormatVersion = 1;
    private const byte Question = 5;
    private const byte Answer = 6;

    /// <summary>The question after a version.</summary>
    public static ClosingMessage Ask(ulong number, ulong version) => new(true, number, version, 0, false, false, [], [], []);

    /// <summary>True if these are the bytes of such a message, as far as their head tells.</summary>
    public static bool IsOne(ReadOnlySpan<byte> bytes) => bytes.Length > 1 && bytes[1] is (Question or Answer);

    /// <summary>The message's bytes.</summary>
    public byte[] Encode()
    {
        byte[] bytes = new byte[2 + 8 + 8 + 8 + 2 + CarriedLists.SizeOf(Carried, Fences, Epochs)];
        var writer = new WireWriter(bytes);
        writer.U8(FormatVersion);
        writer.U8(IsQuestion ? Question : Answer);
        writer.U64(Number);
        writer.U64(Version);
        writer.U64(Committed);
        writer.Bool(IsClosed);
        writer.Bool(IsSettled);
        CarriedLists.Write(ref writer, Carried, Fences, Epochs);

        return bytes;
    }

    /// <summary>Reads a message; false for bytes that are none.</summary>
    public static bool TryRead(ReadOnlySpan<byte> bytes, out ClosingMessage message)
    {
        var reader = new WireReader(bytes);
        byte format = reader.U8();
        byte type = reader.U8();
        ulong number = reader.U64();
        ulong version = reader.U64();
        ulong committed = reader.U64();
        bool closed = reader.Bool();
        bool settled = reader.Bool();
        ImmutableArray<CarriedTag> carried = CarriedLists.ReadTags(ref reader);
        ImmutableArray<KeyValuePair<string, long>> fences = CarriedLists.ReadFences(ref reader);
        message = new ClosingMessage(
            type == Question, number, version, committed, closed, settled, carried, fences, CarriedLists.ReadEpochs(ref reader));
        return !reader.Failed && format == FormatVersion && type is Question or Answer;
    }
}
