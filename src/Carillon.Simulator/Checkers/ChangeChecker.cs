using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Wire;

namespace Carillon.Simulator.Checkers;

/// <summary>
/// A number's quorum is the one in force at the number before it: under a version of the configuration nothing is assigned to a number
/// behind the one that makes the next version.
/// </summary>
internal sealed class ChangeChecker
{
    private readonly SortedDictionary<ulong, ulong> _greatest = [];

    /// <summary>A message of the catalog's feed is sent.</summary>
    public void OnMessage(ReadOnlySpan<byte> payload)
    {
        var reader = new WireReader(payload);
        if (GroupCodec.TryReadHead(ref reader, out GroupMessageType type, out _) && type == GroupMessageType.Assign
            && AssignMessage.TryRead(ref reader, out AssignMessage assign) && !assign.Run.IsEmpty)
        {
            ulong last = assign.First + (ulong)assign.Run.Length - 1;
            _greatest[assign.Configuration] = Math.Max(last, _greatest.GetValueOrDefault(assign.Configuration));
        }
    }

    /// <summary>The rule itself.</summary>
    /// <param name="versions">Versions, and the numbers that made them.</param>
    public void Check(IReadOnlyDictionary<ulong, ulong> versions)
    {
        foreach ((ulong version, ulong last) in _greatest)
        {
            if (versions.TryGetValue(version + 1, out ulong number) && last > number)
            {
                throw Violation.Of(
                    "change", $"{last} was assigned under version {version} of the configuration, and {number} made version {version + 1}");
            }
        }
    }
}
