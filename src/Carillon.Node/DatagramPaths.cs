using Carillon.Protocols;
using Carillon.Protocols.Wire;

namespace Carillon.Node;

/// <summary>
/// Which servers are reached by datagrams of their own: asked while there is something to send, and true after a few answers in a row
/// until one is missing. So small messages of groups may go without the tunnel's streams, and a packet filter, or a network that loses
/// much, costs nothing but the questions.
/// </summary>
/// <remarks>Heartbeats do not tell: where the multicast group works they go nowhere else.</remarks>
internal sealed class DatagramPaths
{
    /// <summary>Bytes of an answer: <c>u8 kind │ u32 number</c>.</summary>
    public const int AnswerBytes = 5;

    /// <summary>Bytes of a question, the same and zeros: as large as what goes this way at most, since a network may pass small ones
    /// only.</summary>
    public const int QuestionBytes = NodeDatagram.MaxPayload;

    private const byte Question = 1;
    private const byte Answer = 2;

    // Answers in a row: with one datagram of ten lost, three questions go through and back half of the time; and one is missing soon.
    private const int Enough = 3;

    private static readonly TimeSpan AskEach = TimeSpan.FromMilliseconds(250);

    // A path on which an answer takes longer is worse than the tunnel's streams, whatever it spares.
    private static readonly TimeSpan Prompt = TimeSpan.FromMilliseconds(100);

    // So long after a question that had no answer the next one waits.
    private static readonly TimeSpan Pause = TimeSpan.FromSeconds(1);

    // So long the answers count where nothing was sent since.
    private static readonly TimeSpan Memory = TimeSpan.FromSeconds(10);

    private readonly Dictionary<NodeId, Path> _paths = [];

    /// <summary>True if a datagram to this server may be taken to arrive.</summary>
    public bool IsGood(NodeId peer, Instant now) =>
        _paths.TryGetValue(peer, out Path? path) && path.Answers >= Enough
        && (path.IsAnswered ? now - path.AnsweredAt <= Memory : now - path.AskedAt <= Prompt);

    /// <summary>Something is sent to this server: whether it is to be asked now.</summary>
    public bool TryAsk(NodeId peer, Instant now, Span<byte> question)
    {
        if (!_paths.TryGetValue(peer, out Path? path))
        {
            _paths.Add(peer, path = new Path());
        }
        else if (now - path.AskedAt < (path.IsAnswered ? AskEach : Pause))
        {
            return false;
        }

        path.Answers = path.IsAnswered ? path.Answers : 0;
        (path.AskedAt, path.IsAnswered) = (now, false);
        question[..QuestionBytes].Clear();
        Write(question, Question, ++path.Number);
        return true;
    }

    /// <summary>A question or an answer came; true if <paramref name="answer"/> is to be sent back.</summary>
    public bool Receive(NodeId from, ReadOnlySpan<byte> message, Instant now, Span<byte> answer)
    {
        var reader = new WireReader(message);
        byte kind = reader.U8();
        uint number = reader.U32();
        if (!reader.Failed && kind == Answer && _paths.TryGetValue(from, out Path? path) && !path.IsAnswered && path.Number == number
            && now - path.AskedAt <= Prompt)
        {
            (path.AnsweredAt, path.IsAnswered) = (now, true);
            path.Answers++;
        }

        if (reader.Failed || kind != Question)
        {
            return false;
        }

        Write(answer, Answer, number);
        return true;
    }

    /// <summary>Another life of that server, or another way to it.</summary>
    public void Forget(NodeId peer) => _paths.Remove(peer);

    private static void Write(Span<byte> into, byte kind, uint number)
    {
        var writer = new WireWriter(into);
        writer.U8(kind);
        writer.U32(number);
    }

    private sealed class Path
    {
        public uint Number { get; set; }

        public Instant AskedAt { get; set; }

        public Instant AnsweredAt { get; set; }

        /// <summary>False while the newest question has no answer.</summary>
        public bool IsAnswered { get; set; }

        /// <summary>Questions in a row that were answered.</summary>
        public int Answers { get; set; }
    }
}
