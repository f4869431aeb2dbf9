using System.Buffers.Binary;
using System.Text;
using Carillon.Protocols;
using Carillon.Storage.Log;

namespace Carillon.Storage.Tests.Log;

/// <summary>A log on a <see cref="FaultDevice"/>, and what a test needs around it.</summary>
internal sealed class LogDriver
{
    public const string Folder = "log";

    public static readonly DiskId Disk = new(new UInt128(0x0123456789ABCDEF, 0xFEDCBA9876543210));

    /// <summary>Small sizes, so that a few records fill segments.</summary>
    public static readonly SegmentLogOptions Small = new()
    {
        SegmentBytes = 64 << 10,
        MaxBatchBytes = 16 << 10,
        MaxWaitingBytes = 64 << 10,
        ReserveBytes = 64 << 10,
        SpareSegments = 1,
        MaxFreeSegments = 3,
    };

    public LogDriver(FaultDevice? device = null, SegmentLogOptions? options = null)
    {
        Device = device ?? new FaultDevice();
        Options = options ?? Small;
        Log = Reopen();
    }

    public FaultDevice Device { get; }

    public SegmentLogOptions Options { get; }

    public SegmentLog Log { get; private set; }

    public List<(long Position, byte[] Record)> Recovered { get; } = [];

    public SegmentLog Reopen()
    {
        Recovered.Clear();
        Log = SegmentLog.Open(Device, Folder, Disk, Options, (position, record) => Recovered.Add((position.Value, record.ToArray())));
        return Log;
    }

    public LogPosition Append(string text) => Log.Append(Encoding.UTF8.GetBytes(text));

    /// <summary>Flushes all that waits, and prepares segments as a driver would.</summary>
    public void Drain()
    {
        while (Step())
        {
        }

        while (Log.TryBeginPreparation(out SegmentPreparation? preparation))
        {
            StorageException? failure = Try(preparation.Write, preparation.Flush);
            Log.Complete(preparation, failure);
        }
    }

    /// <summary>Flushes one batch; false if there was none.</summary>
    public bool Step()
    {
        if (!Log.TryBeginBatch(out LogBatch? batch))
        {
            return false;
        }

        Log.Complete(batch, Try(batch.Write, batch.Flush));
        return true;
    }

    public LogPosition AppendDurably(params ReadOnlySpan<string> texts)
    {
        foreach (string text in texts)
        {
            Append(text);
        }

        Drain();
        return Log.Durable;
    }

    public string[] RecoveredTexts() => [.. Recovered.Select(record => Encoding.UTF8.GetString(record.Record))];

    /// <summary>A record whose content follows from its position, of a given length (at least 12 bytes).</summary>
    public static byte[] Record(long position, int length)
    {
        byte[] record = new byte[length];
        BinaryPrimitives.WriteInt64LittleEndian(record, position);
        BinaryPrimitives.WriteInt32LittleEndian(record.AsSpan(8), length);
        for (int i = 12; i < length; i++)
        {
            record[i] = (byte)((position * 31) + i);
        }

        return record;
    }

    /// <summary>True if a record is what <see cref="Record"/> makes for its position.</summary>
    public static bool IsRecord(long position, ReadOnlySpan<byte> record) =>
        record.Length >= 12 && record.SequenceEqual(Record(position, BinaryPrimitives.ReadInt32LittleEndian(record[8..])));

    public static StorageException? Try(params ReadOnlySpan<Action> steps)
    {
        try
        {
            foreach (Action step in steps)
            {
                step();
            }

            return null;
        }
        catch (StorageException e)
        {
            return e;
        }
    }
}
