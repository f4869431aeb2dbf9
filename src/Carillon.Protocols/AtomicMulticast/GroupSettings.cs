namespace Carillon.Protocols.AtomicMulticast;

/// <summary>Where a group's messages are before they are acknowledged.</summary>
public enum GroupDurability : byte
{
    /// <summary>On stable storage at <c>k.data</c> and <c>k.commit</c> servers.</summary>
    Durable = 0,

    /// <summary>In the memory of as many servers: fast, and lost where a majority stops at once.</summary>
    Memory = 1,
}

/// <summary>What <c>group create</c> decides, kept in the record <c>.system/groups/NAME</c>.</summary>
public sealed record GroupSettings
{
    /// <summary>The longest payload of one message, in bytes.</summary>
    public const int MaxPayloadBytes = 1 << 20;

    /// <summary>The longest lifetime: far below <see cref="SessionTable.NoLifetime"/>, which is the catalog's alone.</summary>
    public const ulong MaxLifetime = 1_000_000_000_000_000;

    /// <summary>Where messages are before they are acknowledged. Can't be changed later.</summary>
    public GroupDurability Durability { get; init; }

    /// <summary>
    /// How long messages are kept after they were committed, where no checkpoint covers them earlier. Too low: subscribers that were away
    /// longer must start from a checkpoint, or lose messages where there is none; too high: disk.
    /// </summary>
    public TimeSpan RetainTime { get; init; } = TimeSpan.FromDays(7);

    /// <summary>Bytes of committed messages that are kept at most on a server; the oldest go first.</summary>
    public long RetainBytes { get; init; } = 1L << 30;

    /// <summary>
    /// Maximum logical lifetime (SAM-60), in committed numbers: a session that was idle for longer is forgotten, and what it sends again
    /// afterwards is answered with "expired", which says nothing about the outcome. It is shorter where that would be more than
    /// <see cref="SessionTable.MaxSessions"/> sessions.
    /// </summary>
    public ulong Lifetime { get; init; } = 1_000_000;

    /// <summary>
    /// True: of two messages of one sender the one with the lesser counter has the lesser number, or none that counts (SAM-83). Can't be
    /// changed later.
    /// </summary>
    public bool Fifo { get; init; }

    /// <summary>All that is wrong with these values; none if they can be used.</summary>
    public IReadOnlyList<string> Validate()
    {
        var faults = new List<string>();
        if (RetainTime < TimeSpan.FromSeconds(1))
        {
            faults.Add("retainTime must be 1 s or more.");
        }

        if (RetainBytes < 1 << 20)
        {
            faults.Add("retainBytes must be 1 MiB or more.");
        }

        if (Lifetime < 1_000)
        {
            faults.Add("lifetime must be 1,000 or more.");
        }

        if (Lifetime > MaxLifetime)
        {
            faults.Add("lifetime must be 1,000,000,000,000,000 or less.");
        }

        return faults;
    }
}
