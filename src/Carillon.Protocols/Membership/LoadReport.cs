using Carillon.Protocols.Wire;

namespace Carillon.Protocols.Membership;

/// <summary>How busy a server is, as it says in its heartbeats: what placement and migration weigh.</summary>
/// <param name="Downloads">Downloads in progress.</param>
/// <param name="Requests">Client requests waiting or in work.</param>
/// <param name="DiskQueue">Batches waiting for a flush.</param>
/// <param name="Transfers">Chunk transfers between servers waiting or in work.</param>
/// <param name="FreeBytes">Bytes free on its disk.</param>
/// <param name="CapacityBytes">Bytes of its disk.</param>
public readonly record struct LoadReport(
    uint Downloads, uint Requests, uint DiskQueue, uint Transfers, ulong FreeBytes, ulong CapacityBytes)
{
    /// <summary>Bytes on the wire.</summary>
    public const int Size = 32;

    internal void Write(ref WireWriter writer)
    {
        writer.U32(Downloads);
        writer.U32(Requests);
        writer.U32(DiskQueue);
        writer.U32(Transfers);
        writer.U64(FreeBytes);
        writer.U64(CapacityBytes);
    }

    internal static LoadReport Read(ref WireReader reader) =>
        new(reader.U32(), reader.U32(), reader.U32(), reader.U32(), reader.U64(), reader.U64());
}
