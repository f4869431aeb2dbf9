namespace Carillon.Protocols;

/// <summary>
/// Who speaks: a name, the disk under it, and which start of that disk. Everything a server says carries all three, so that a
/// restarted server is never taken for its former self, nor another disk for the one that made the promises.
/// </summary>
public readonly record struct ServerIdentity(NodeId Name, DiskId Disk, Incarnation Incarnation)
{
    /// <inheritdoc/>
    public override string ToString() => $"{Name}#{Incarnation}";
}
