using Carillon.Protocols.AtomicMulticast;

namespace Carillon.Node.Groups;

/// <summary>How the sending of a message ended.</summary>
public enum PublishEnd
{
    /// <summary>It stands at its number for good.</summary>
    Committed,

    /// <summary>It was not taken; nothing of it is kept.</summary>
    Refused,

    /// <summary>Its session may have been retired: the outcome can't be told.</summary>
    Expired,

    /// <summary>It may be committed yet.</summary>
    Unknown,

    /// <summary>Its sender said that it knows the outcome: so it is forgotten here, and can't be told any more.</summary>
    Settled,

    /// <summary>Another content has its id, and this one is not taken.</summary>
    Conflict,

    /// <summary>A later message of its sender has a number, in a group that keeps their order: it gets none, ever.</summary>
    Overtaken,
}

/// <summary>Somebody waits for a message's number.</summary>
public interface IPublishCall
{
    /// <summary>Told once, on the loop.</summary>
    void Ended(PublishEnd end, SequenceNumber number, string why);
}
