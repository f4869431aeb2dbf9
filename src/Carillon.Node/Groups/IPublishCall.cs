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

    /// <summary>It may be committed yet, or was and that is forgotten.</summary>
    Unknown,
}

/// <summary>Somebody waits for a message's number.</summary>
public interface IPublishCall
{
    /// <summary>Told once, on the loop.</summary>
    void Ended(PublishEnd end, SequenceNumber number, string why);
}
