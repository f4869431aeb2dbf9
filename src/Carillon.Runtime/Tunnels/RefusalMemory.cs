using System.Diagnostics;
using System.Net;

namespace Carillon.Runtime.Tunnels;

/// <summary>
/// Keeps the log readable: a caller that is refused calls again every second or two, for ever, and says nothing new. The same
/// reason from the same address is news once a minute. Safe for any thread.
/// </summary>
internal sealed class RefusalMemory
{
    private static readonly TimeSpan Repeat = TimeSpan.FromMinutes(1);

    // Whoever calls from more addresses than this is heard again sooner.
    private const int MaxCallers = 256;

    private readonly Lock _gate = new();
    private readonly Dictionary<(IPAddress, string), long> _said = [];

    /// <summary>True if this is to be logged.</summary>
    public bool IsNews(IPAddress host, string reason)
    {
        lock (_gate)
        {
            if (_said.TryGetValue((host, reason), out long when) && Stopwatch.GetElapsedTime(when) < Repeat)
            {
                return false;
            }

            if (_said.Count >= MaxCallers)
            {
                _said.Clear();
            }

            _said[(host, reason)] = Stopwatch.GetTimestamp();
            return true;
        }
    }
}
