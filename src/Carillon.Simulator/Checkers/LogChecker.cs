using Carillon.Protocols;

namespace Carillon.Simulator.Checkers;

/// <summary>
/// A log that its server calls whole has every record that was ever durable in it, also where its disk rots; and at no instant would a
/// power cut leave a log that can't be relied upon on a disk that nothing damaged.
/// </summary>
internal sealed class LogChecker
{
    private readonly Dictionary<NodeId, ulong> _durable = [];

    /// <summary>A process ends, or is about to: so many records were durable.</summary>
    public void OnStopped(NodeId server, ulong durable) =>
        _durable[server] = Math.Max(durable, _durable.GetValueOrDefault(server));

    /// <summary>A server has another disk.</summary>
    public void Forget(NodeId server) => _durable.Remove(server);

    /// <summary>A process has read its log back: so many records, and it votes by them or does not.</summary>
    public void OnStarted(NodeId server, ulong recovered, bool votes)
    {
        if (votes && recovered < _durable.GetValueOrDefault(server))
        {
            throw Violation.Of("log", $"{server} votes by a log of {recovered} records, of which {_durable[server]} were durable once");
        }
    }

    /// <summary>What a power cut at this instant would leave of a log on an undamaged disk.</summary>
    public static void OnImage(NodeId server, bool isWhole)
    {
        if (!isWhole)
        {
            throw Violation.Of("log", $"a power cut at this instant would leave {server}, whose disk nothing damaged, a log that is not whole");
        }
    }
}
