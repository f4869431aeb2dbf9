using Carillon.Protocols.Primacy;

namespace Carillon.Protocols.AtomicMulticast;

/// <summary>What a group's member tells the node.</summary>
public abstract record GroupEvent
{
    private GroupEvent()
    {
    }

    /// <summary>This server sequences: everything recovered is under its epoch, up to that number, and new numbers are given.</summary>
    public sealed record Recovered(Epoch Epoch, SequenceNumber UpTo) : GroupEvent;

    /// <summary>This server can't sequence in that epoch: release it, and bid for the next.</summary>
    public sealed record CannotLead(Epoch Epoch, string Why) : GroupEvent
    {
        /// <summary>True where no other server can either, ever: a memory-only group that a majority of its servers has
        /// forgotten.</summary>
        public bool IsLost { get; init; }
    }

    /// <summary>A commit server has promised a greater epoch: this server has stopped sequencing.</summary>
    public sealed record Deposed(Epoch Epoch, Epoch By) : GroupEvent;

    /// <summary>So many servers have this checkpoint that it is known to the whole group.</summary>
    public sealed record CheckpointAdvertised(CheckpointMark Mark) : GroupEvent;

    /// <summary>Checkpoint servers have different state at one number: a state machine is not deterministic. Alarm.</summary>
    public sealed record CheckpointsDiffer(SequenceNumber Number) : GroupEvent;

    /// <summary>This server's checkpoint differs from the advertised one: it must stop serving state, and rebuild it. Alarm.</summary>
    public sealed record StateDiffers(SequenceNumber Number) : GroupEvent;

    /// <summary>A checkpoint was put in place: what is up to its number is not delivered here.</summary>
    public sealed record Skipped(SequenceNumber From, SequenceNumber To) : GroupEvent;

    /// <summary>Two messages were committed at one number, which can't be. Alarm; the first stays.</summary>
    public sealed record Diverged(SequenceNumber Number) : GroupEvent;
}

/// <summary>What was counted since the start; metric names are on docs/protocols/atomic-multicast.md.</summary>
public sealed class GroupFigures
{
    /// <summary>Wire messages sent, a multicast counted as one.</summary>
    public long Datagrams { get; internal set; }

    /// <summary>Of these, multicasts.</summary>
    public long Multicasts { get; internal set; }

    /// <summary>Records of assignments appended.</summary>
    public long Records { get; internal set; }

    /// <summary>Messages that senders of this server gave, without repetitions.</summary>
    public long Published { get; internal set; }

    /// <summary>Messages that were sent again.</summary>
    public long Repeated { get; internal set; }

    /// <summary>Messages that were refused since a window was full.</summary>
    public long Refused { get; internal set; }

    /// <summary>Numbers that this server assigned.</summary>
    public long Assigned { get; internal set; }

    /// <summary>Numbers that it filled.</summary>
    public long Filled { get; internal set; }

    /// <summary>Numbers delivered.</summary>
    public long Delivered { get; internal set; }

    /// <summary>Numbers that were asked for.</summary>
    public long NumbersQueried { get; internal set; }

    /// <summary>Messages that were asked for.</summary>
    public long MessagesQueried { get; internal set; }

    /// <summary>Recoveries begun as sequencer.</summary>
    public long Recoveries { get; internal set; }

    /// <summary>Messages that could not be read.</summary>
    public long BadMessages { get; internal set; }
}
