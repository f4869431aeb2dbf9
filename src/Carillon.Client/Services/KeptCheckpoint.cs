using System.Buffers.Binary;

namespace Carillon.Client.Services;

/// <summary>The newest checkpoint in a file of its own: 8 bytes epoch, 8 bytes number, little-endian, then the content. Replaced
/// whole.</summary>
internal sealed class KeptCheckpoint(string? folder)
{
    private const int HeaderBytes = 16;

    private string Path => System.IO.Path.Combine(folder!, "checkpoint");

    /// <summary>Takes the folder for this program; nothing to take without one.</summary>
    /// <exception cref="CarillonException">Another program has it.</exception>
    public IDisposable? Take()
    {
        if (folder is null)
        {
            return null;
        }

        try
        {
            Directory.CreateDirectory(folder);
            return new FileStream(System.IO.Path.Combine(folder, "lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException fault)
        {
            throw new CarillonException(Failure.Usage, $"{folder} can't be had, another program may use it: {fault.Message}", fault);
        }
    }

    /// <summary>What was kept, or nothing.</summary>
    public (StateNumber State, byte[] Content)? Read()
    {
        if (folder is null || !File.Exists(Path))
        {
            return null;
        }

        byte[] bytes = File.ReadAllBytes(Path);
        return bytes.Length < HeaderBytes
            ? null
            : (new StateNumber
            {
                Epoch = BinaryPrimitives.ReadUInt64LittleEndian(bytes), Number = BinaryPrimitives.ReadUInt64LittleEndian(bytes.AsSpan(8)),
            }, bytes[HeaderBytes..]);
    }

    /// <summary>Keeps it, durably.</summary>
    public void Write(StateNumber state, ReadOnlySpan<byte> content)
    {
        if (folder is null)
        {
            return;
        }

        Span<byte> header = stackalloc byte[HeaderBytes];
        BinaryPrimitives.WriteUInt64LittleEndian(header, state.Epoch);
        BinaryPrimitives.WriteUInt64LittleEndian(header[8..], state.Number);
        using (var file = new FileStream(Path + ".new", FileMode.Create, FileAccess.Write))
        {
            file.Write(header);
            file.Write(content);
            file.Flush(flushToDisk: true);
        }

        File.Move(Path + ".new", Path, overwrite: true);
    }
}
