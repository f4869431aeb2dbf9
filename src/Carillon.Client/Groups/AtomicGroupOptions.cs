using Carillon.Protocols.AtomicMulticast;

namespace Carillon.Client.Groups;

/// <summary>How a program takes part in a group.</summary>
public sealed record AtomicGroupOptions
{
    /// <summary>
    /// Messages of this sender that may be without an answer; more wait. Too low: the way to the servers and back limits the rate; too
    /// high: memory, and longer waits behind others of one's own.
    /// </summary>
    public int Window { get; init; } = 1024;

    /// <summary>
    /// How long a message is sent again, server after server, while its outcome is not known; then it is "unknown". Null: the client's
    /// <see cref="CarillonClientOptions.Timeout"/>.
    /// </summary>
    public TimeSpan? SendTimeout { get; init; }

    /// <summary>
    /// A connection that says nothing for so long is given up for another server's. Above twice the servers' heartbeat (15 s); too high: a
    /// server that vanished without a word is noticed late.
    /// </summary>
    public TimeSpan Silence { get; init; } = TimeSpan.FromSeconds(35);

    /// <summary>
    /// A sender with nothing to say for so long begins a new session: the group may have forgotten the old one. Too low: the servers
    /// remember many sessions; too high: the first message after a long silence may end "unknown" in a busy group.
    /// </summary>
    public TimeSpan SessionIdle { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>
    /// The sender's session; none: one is drawn. Given where messages of an earlier life are sent again under their ids.
    /// </summary>
    public SessionId Session { get; init; }

    /// <summary>The first message's counter; those before it are known or given up.</summary>
    public ulong FirstCounter { get; init; } = 1;

    /// <summary>Where the first message is sent again: the timestamp that its problem told when its outcome was unknown. Null: it is
    /// new.</summary>
    public ulong? FirstTimestamp { get; init; }

    /// <summary>All faults, each in words.</summary>
    public IEnumerable<string> Validate()
    {
        if (Window is < 1 or > 1 << 20)
        {
            yield return "a sender's window is 1 to 1,048,576 messages";
        }

        if (SendTimeout <= TimeSpan.Zero || Silence <= TimeSpan.Zero || SessionIdle <= TimeSpan.Zero)
        {
            yield return "timeouts are longer than zero";
        }

        if (FirstCounter == 0)
        {
            yield return "a session counts from 1";
        }
    }
}
