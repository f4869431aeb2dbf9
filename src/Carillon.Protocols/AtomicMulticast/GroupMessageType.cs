namespace Carillon.Protocols.AtomicMulticast;

/// <summary>What a message of a group is: its second byte.</summary>
public enum GroupMessageType : byte
{
    /// <summary>Step 1, and the answer to <see cref="DataQuery"/>: messages.</summary>
    Data = 1,

    /// <summary>Step 2: a data server asks for numbers.</summary>
    Request = 2,

    /// <summary>Step 3: the sequencer gives numbers.</summary>
    Assign = 3,

    /// <summary>Step 4: a commit server has stored them.</summary>
    Ack = 4,

    /// <summary>Step 5: they are committed.</summary>
    Commit = 5,

    /// <summary>The sequencer's greatest committed number, and the newest checkpoint.</summary>
    Gossip = 6,

    /// <summary>A new sequencer asks for a promise, and for what is assigned.</summary>
    Prepare = 7,

    /// <summary>The promise, and what is assigned; or that a greater one was given.</summary>
    Prepared = 8,

    /// <summary>Which messages stand at these numbers?</summary>
    CommitQuery = 9,

    /// <summary>These; or: not known here.</summary>
    CommitAnswer = 10,

    /// <summary>Asks a data server for messages.</summary>
    DataQuery = 11,

    /// <summary>It has not got these.</summary>
    DataAbsent = 12,

    /// <summary>A data server's word to a sender.</summary>
    SendAnswer = 13,

    /// <summary>A checkpoint server has made a checkpoint.</summary>
    CheckpointReport = 14,

    /// <summary>Asks for blocks of a checkpoint.</summary>
    BlockQuery = 15,

    /// <summary>One of them.</summary>
    BlockAnswer = 16,

    /// <summary>A reader asks the sequencer how far it has committed.</summary>
    NumberQuery = 17,

    /// <summary>So far; or: it can't tell.</summary>
    NumberAnswer = 18,
}
