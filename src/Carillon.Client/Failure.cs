namespace Carillon.Client;

/// <summary>Why something could not be done, as coarse as a script needs it; the command line has one exit code for each.</summary>
public enum Failure
{
    /// <summary>None of the others.</summary>
    Failed,

    /// <summary>The request itself is wrong: a name, a limit, a setting.</summary>
    Usage,

    /// <summary>There is no such bucket, object, version or submission.</summary>
    NotFound,

    /// <summary>It exists already, or a precondition does not hold.</summary>
    Conflict,

    /// <summary>No token, or one that does not allow it.</summary>
    Denied,

    /// <summary>Rejected for want of a quorum (or of an agreed clock); a later attempt may succeed.</summary>
    NoQuorum,

    /// <summary>It may have been accepted: ask by the key or the submission's id.</summary>
    OutcomeUnknown,

    /// <summary>Bytes differ from their hash.</summary>
    Integrity,

    /// <summary>A disk or a quota is full.</summary>
    Full,

    /// <summary>A wait or a read went without progress for too long.</summary>
    TimedOut,

    /// <summary>No server could be reached; nothing was sent.</summary>
    Unreachable,
}
