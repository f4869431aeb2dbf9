using System.Collections.Immutable;
using Carillon.Protocols.Wire;

namespace Carillon.Protocols.Primacy;

/// <summary>Types of the log records that primacy writes; the first byte of each. docs/formats/log-records.md lists all owners'
/// types.</summary>
public enum PrimacyRecordType : byte
{
    /// <summary>This voter's bit: <c>service │ u64 epoch │ node │ u64 incarnation</c>.</summary>
    Promise = 48,

    /// <summary>An effect of a greater epoch than the promised one was accepted: <c>service │ u64 epoch</c>.</summary>
    Fence = 49,

    /// <summary>This server has started, and may have given leases since: nothing.</summary>
    Started = 50,

    /// <summary>It stopped in an orderly way, and these leases were not over: <c>u32 count │ (service │ u64 epoch │ node │ u64
    /// incarnation)…</c>.</summary>
    Stopped = 51,
}

/// <summary>A bit, or a lease, as records have it.</summary>
internal readonly record struct VoteRecord(ServiceName Service, Epoch Epoch, NodeId Node, Incarnation Incarnation)
{
    public int Size => PrimacyCodec.SizeOf(Service) + 8 + WireSize.Node(Node) + 8;

    public void Write(ref WireWriter writer)
    {
        writer.Service(Service);
        writer.Epoch(Epoch);
        writer.Node(Node);
        writer.U64(Incarnation.Value);
    }

    public static VoteRecord Read(ref WireReader reader) =>
        new(reader.Service(), reader.Epoch(), reader.Node(), new Incarnation(reader.U64()));
}

/// <summary>Encoding of log records.</summary>
internal static class PrimacyRecords
{
    public static byte[] Promise(VoteRecord promise)
    {
        byte[] record = new byte[1 + promise.Size];
        var writer = new WireWriter(record);
        writer.U8((byte)PrimacyRecordType.Promise);
        promise.Write(ref writer);
        return record;
    }

    public static byte[] Fence(ServiceName service, Epoch epoch)
    {
        byte[] record = new byte[1 + PrimacyCodec.SizeOf(service) + 8];
        var writer = new WireWriter(record);
        writer.U8((byte)PrimacyRecordType.Fence);
        writer.Service(service);
        writer.Epoch(epoch);
        return record;
    }

    public static byte[] Started() => [(byte)PrimacyRecordType.Started];

    public static byte[] Stopped(ImmutableArray<VoteRecord> leases)
    {
        byte[] record = new byte[1 + 4 + leases.Sum(l => l.Size)];
        var writer = new WireWriter(record);
        writer.U8((byte)PrimacyRecordType.Stopped);
        writer.U32((uint)leases.Length);
        foreach (VoteRecord lease in leases)
        {
            lease.Write(ref writer);
        }

        return record;
    }
}
