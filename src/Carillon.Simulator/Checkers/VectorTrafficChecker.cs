using Carillon.Protocols;
using Carillon.Protocols.VectorExchange;
using Carillon.Protocols.Wire;

namespace Carillon.Simulator.Checkers;

/// <summary>Where nothing fails, a submission costs at most n(n − 1) vector messages, and one for each time that a server asks what became
/// of it.</summary>
internal sealed class VectorTrafficChecker(int servers)
{
    private readonly Dictionary<Tag, int> _vectors = [];
    private readonly Dictionary<Tag, int> _questions = [];

    /// <summary>A message is sent from one server to another.</summary>
    public void OnMessage(ReadOnlySpan<byte> bytes)
    {
        var reader = new WireReader(bytes);
        if (!MessageCodec.TryReadHead(ref reader, out MessageType type))
        {
            return;
        }

        if (type == MessageType.Vector && Vector.TryRead(ref reader, out Vector vector))
        {
            _vectors[vector.Tag] = _vectors.GetValueOrDefault(vector.Tag) + 1;
        }
        else if (type == MessageType.Inquire && TagMessage.TryRead(ref reader, type, out TagMessage question))
        {
            _questions[question.Tag] = _questions.GetValueOrDefault(question.Tag) + 1;
        }
    }

    /// <summary>Looks at all submissions; only for runs in which nothing failed.</summary>
    public void Check()
    {
        foreach ((Tag tag, int count) in _vectors)
        {
            int bound = (servers * (servers - 1)) + _questions.GetValueOrDefault(tag);
            if (count > bound)
            {
                throw Violation.Of("traffic", $"{tag} cost {count} vector messages; {bound} are enough for {servers} servers");
            }
        }
    }
}
