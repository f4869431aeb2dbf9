using Carillon.Protocols;
using Carillon.Protocols.Primacy;

namespace Carillon.Simulator.Checkers;

/// <summary>
/// Per receiver (E2): a server that holds an effect of an epoch takes none of a smaller one that is first sent to it after that. What
/// was sent before may have been taken before too, and is told again.
/// </summary>
internal sealed class FenceChecker
{
    private readonly Dictionary<Tag, Fence> _fences = [];
    private readonly Dictionary<(NodeId Receiver, Tag Tag), long> _sent = [];
    private readonly Dictionary<(NodeId Receiver, ServiceName Service), List<(Epoch Epoch, long At)>> _held = [];
    private long _clock;

    /// <summary>A fenced submission is sent to a server.</summary>
    public void Pushed(NodeId receiver, Tag tag, Fence fence)
    {
        if (!fence.IsNone)
        {
            _fences[tag] = fence;
            _sent.TryAdd((receiver, tag), ++_clock);
        }
    }

    /// <summary>A server says that it holds a submission.</summary>
    public void Held(NodeId receiver, Tag tag)
    {
        if (!_fences.TryGetValue(tag, out Fence fence) || !_sent.TryGetValue((receiver, tag), out long sent))
        {
            return;
        }

        if (!_held.TryGetValue((receiver, fence.Service), out List<(Epoch Epoch, long At)>? held))
        {
            _held.Add((receiver, fence.Service), held = []);
        }

        foreach ((Epoch epoch, long at) in held)
        {
            if (epoch > fence.Epoch && at < sent)
            {
                throw Violation.Of("E2",
                    $"{receiver} takes {tag}, an effect of {fence.Service} of epoch {fence.Epoch}, after one of epoch {epoch}");
            }
        }

        held.Add((fence.Epoch, ++_clock));
    }
}
