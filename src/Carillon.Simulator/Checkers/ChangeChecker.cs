using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Wire;

namespace Carillon.Simulator.Checkers;

/// <summary>
/// A number's quorum is the one in force at the number before it: who assigns a change of the configuration to a number assigns nothing
/// behind it in that epoch. (What an earlier sequencer assigned there, before it knew of the change, is not committed.)
/// </summary>
internal sealed class ChangeChecker
{
    private readonly SortedDictionary<(ulong Version, ulong Epoch), SortedDictionary<ulong, MessageId>> _assigned = [];

    /// <summary>A message of the catalog's feed is sent.</summary>
    public void OnMessage(ReadOnlySpan<byte> payload)
    {
        var reader = new WireReader(payload);
        if (!GroupCodec.TryReadHead(ref reader, out GroupMessageType type, out _) || type != GroupMessageType.Assign
            || !AssignMessage.TryRead(ref reader, out AssignMessage assign))
        {
            return;
        }

        (ulong, ulong) epoch = (assign.Configuration, assign.Epoch.Value);
        if (!_assigned.TryGetValue(epoch, out SortedDictionary<ulong, MessageId>? numbers))
        {
            _assigned.Add(epoch, numbers = []);
        }

        for (int i = 0; i < assign.Run.Length; i++)
        {
            numbers[assign.First + (ulong)i] = assign.Run.Span[i].Id;
        }
    }

    /// <summary>The rule itself.</summary>
    /// <param name="versions">Versions, each with the number and the message that made it.</param>
    public void Check(IReadOnlyDictionary<ulong, (ulong Number, MessageId Id)> versions)
    {
        foreach (((ulong version, ulong epoch), SortedDictionary<ulong, MessageId> numbers) in _assigned)
        {
            if (versions.TryGetValue(version + 1, out (ulong Number, MessageId Id) made)
                && numbers.GetValueOrDefault(made.Number) == made.Id && numbers.Keys.Last() is var last && last > made.Number)
            {
                throw Violation.Of(
                    "change", $"{last} was assigned in epoch {epoch} of version {version}, behind {made.Number}, which made version {version + 1}");
            }
        }
    }
}
