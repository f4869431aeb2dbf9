namespace Carillon.Simulator.Faults;

/// <summary>What can go wrong; docs/reliability.md has the table.</summary>
internal enum FaultKind
{
    /// <summary>One process is killed; what it wrote stays.</summary>
    Kill,

    /// <summary>One machine loses its power; what was not flushed is lost in part.</summary>
    PowerCut,

    /// <summary>Several or all machines lose their power at once.</summary>
    PowerCutOfMany,

    /// <summary>All machines lose their power at the instant at which a server says "accepted", or a moment later.</summary>
    PowerCutAtAnswer,

    /// <summary>A process gets no processor time, for longer than any timeout.</summary>
    Pause,

    /// <summary>One server is cut off, in both directions.</summary>
    PartitionOne,

    /// <summary>The servers fall into two halves.</summary>
    PartitionHalves,

    /// <summary>Each server talks to its neighbours only.</summary>
    PartitionRing,

    /// <summary>Two halves that one server can still talk to.</summary>
    PartitionBridge,

    /// <summary>One direction of one link is cut.</summary>
    PartitionOneWay,

    /// <summary>A pair's tunnel is closed.</summary>
    TunnelReset,

    /// <summary>A link is slow.</summary>
    SlowLink,

    /// <summary>Multicast gets lost on some links.</summary>
    MulticastLoss,

    /// <summary>A disk takes nothing more.</summary>
    DiskFull,

    /// <summary>A disk can't be written.</summary>
    DiskReadOnly,

    /// <summary>A disk is slow.</summary>
    DiskSlow,

    /// <summary>One flush fails, the next says "success".</summary>
    FlushFailure,

    /// <summary>A bit flips on a disk.</summary>
    Rot,

    /// <summary>A write goes to another place.</summary>
    MisdirectedWrite,

    /// <summary>A wall clock jumps.</summary>
    ClockJump,

    /// <summary>A wall clock jumps to and fro.</summary>
    ClockStrobe,

    /// <summary>A server's clocks run at another speed.</summary>
    ClockDrift,

    /// <summary>Bytes that mean nothing come from a peer.</summary>
    Garbage,

    /// <summary>A process or a machine stops between two steps of its storage: a log batch is written and not flushed, or a segment is
    /// removed and the batch that gave it up is not flushed; it is back at once.</summary>
    CrashAtStep,

    /// <summary>A server is cut off at the instant at which it sends the first vector of a submission, for a short while.</summary>
    CutOffAtVector,

    /// <summary>A server that has just been granted an epoch, or a voter that granted it, is killed, paused or cut off.</summary>
    AtGrant,

    /// <summary>A server that connects two others which don't hear each other is killed, and is back at once.</summary>
    BridgeKill,

    /// <summary>The server that numbers the catalog's feed is killed, paused or cut off, or loses its power.</summary>
    Sequencer,

    /// <summary>The configuration gets another version, of the same servers: the present one is closed, what is open is
    /// carried.</summary>
    NewVersion,

    /// <summary>A server gets another, empty disk: its own is lost, or is taken out of use.</summary>
    ReplacedDisk,

    /// <summary>A server is taken out of the cluster, and comes back later with an empty disk.</summary>
    LeaveAndJoin,

    /// <summary>A server that has just said that it closed the configuration's version, or another one, is killed, paused or cut off, or
    /// loses its power.</summary>
    AtClosing,
}
