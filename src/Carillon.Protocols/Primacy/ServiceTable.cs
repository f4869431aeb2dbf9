using System.Collections.Immutable;
using Carillon.Protocols.Wire;

namespace Carillon.Protocols.Primacy;

/// <summary>
/// The replica manager's table as it is stored and told: one record, so that a change of several services is one change.
/// <code>
/// u8 version = 1 │ u64 manager's epoch │ u64 number │ u32 count │ entries:
/// definition │ eligible nodes │ secondaries │ node primary │ u64 epoch │ u8 count │ history:
/// (u64 epoch │ node │ i64 wall, ms │ text reason │ i64 gap, ms, or -1)…
/// </code>
/// </summary>
/// <param name="Epoch">The epoch of the replica manager that wrote it.</param>
/// <param name="Number">Counts its writes in that epoch.</param>
/// <param name="Entries">In order of the names.</param>
public sealed record ServiceTable(Epoch Epoch, ulong Number, ImmutableArray<ServiceEntry> Entries)
{
    /// <summary>The largest table, in bytes: it is the content of one submission.</summary>
    public const int MaxBytes = 12 << 20;

    private const byte FormatVersion = 1;

    private const int MaxReasonBytes = 300;

    /// <summary>A table without services.</summary>
    public static ServiceTable Empty { get; } = new(default, 0, []);

    /// <summary>True if this one was written after the other.</summary>
    public bool IsAfter(ServiceTable other) => Epoch > other.Epoch || (Epoch == other.Epoch && Number > other.Number);

    /// <summary>The table's bytes.</summary>
    public byte[] Encode()
    {
        byte[] bytes = new byte[1 + 8 + 8 + 4 + Entries.Sum(SizeOf)];
        var writer = new WireWriter(bytes);
        writer.U8(FormatVersion);
        writer.U64(Epoch.Value);
        writer.U64(Number);
        writer.U32((uint)Entries.Length);
        foreach (ServiceEntry entry in Entries)
        {
            Write(ref writer, entry);
        }

        Invariant.That(writer.Position == bytes.Length);
        return bytes;
    }

    /// <summary>Reads a table; false for bytes that are none.</summary>
    public static bool TryRead(ReadOnlySpan<byte> bytes, out ServiceTable table)
    {
        table = Empty;
        if (bytes.Length > MaxBytes)
        {
            return false;
        }

        var reader = new WireReader(bytes);
        byte version = reader.U8();
        var epoch = new Epoch(reader.U64());
        ulong number = reader.U64();
        int count = reader.Count(HoldingsMessage.MaxItems, 32);
        var entries = ImmutableArray.CreateBuilder<ServiceEntry>(count);
        for (int i = 0; i < count && !reader.Failed; i++)
        {
            entries.Add(ReadEntry(ref reader));
            if (i > 0 && entries[i - 1].Definition.Name >= entries[i].Definition.Name)
            {
                reader.Fail();
            }
        }

        if (reader.Failed || version != FormatVersion || reader.Remaining != 0)
        {
            return false;
        }

        table = new ServiceTable(epoch, number, entries.ToImmutable());
        return true;
    }

    private static int SizeOf(ServiceEntry entry) =>
        ServiceCodec.SizeOf(entry.Definition) + ServiceCodec.SizeOf(entry.Eligible) + ServiceCodec.SizeOf(entry.Secondaries)
        + WireSize.Node(entry.Primary) + 8 + 1
        + entry.History.Sum(h => 8 + WireSize.Node(h.Primary) + 8 + WireSize.Text(h.Reason) + 8);

    private static void Write(ref WireWriter writer, ServiceEntry entry)
    {
        ServiceCodec.Write(ref writer, entry.Definition);
        ServiceCodec.Write(ref writer, entry.Eligible);
        ServiceCodec.Write(ref writer, entry.Secondaries);
        writer.Node(entry.Primary);
        writer.U64(entry.Epoch.Value);
        writer.U8((byte)entry.History.Length);
        foreach (PrimaryChange change in entry.History)
        {
            writer.U64(change.Epoch.Value);
            writer.Node(change.Primary);
            writer.I64(change.At.Milliseconds);
            writer.Text(change.Reason);
            writer.I64(change.Gap is { } gap ? (long)gap.TotalMilliseconds : -1);
        }
    }

    private static ServiceEntry ReadEntry(ref WireReader reader)
    {
        var entry = new ServiceEntry
        {
            Definition = ServiceCodec.ReadDefinition(ref reader),
            Eligible = ServiceCodec.ReadNodes(ref reader),
            Secondaries = ServiceCodec.ReadNodes(ref reader),
            Primary = reader.Node(),
            Epoch = new Epoch(reader.U64()),
        };
        int count = reader.U8();
        if (count > ServiceEntry.MaxHistory)
        {
            reader.Fail();
        }

        var history = ImmutableArray.CreateBuilder<PrimaryChange>();
        for (int i = 0; i < count && !reader.Failed; i++)
        {
            var epoch = new Epoch(reader.U64());
            NodeId primary = reader.Node();
            var at = new WallTime(reader.I64());
            string reason = reader.Text(MaxReasonBytes);
            long gap = reader.I64();
            TimeSpan? known = gap is < 0 or > int.MaxValue ? null : TimeSpan.FromMilliseconds(gap);
            history.Add(new PrimaryChange(epoch, primary, at, reason, known));
        }

        return entry with { History = history.ToImmutable() };
    }
}
