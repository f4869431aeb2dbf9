using System.Buffers;
using System.Security.Cryptography;
using System.Text.Json;
using Carillon.Protocols.Submissions;

namespace Carillon.Client;

/// <summary>
/// A file that gets its name only when it is whole and verified. Until then its bytes are in <c>NAME.carillon-part</c>, and
/// <c>NAME.carillon-part.json</c> tells which version they are of, so that a later run can go on.
/// </summary>
internal sealed class FileTarget : DownloadTarget, IDisposable
{
    /// <summary>What is put behind the name while bytes are missing.</summary>
    public const string PartSuffix = ".carillon-part";

    // Below this a resumed download saves nothing, and a second small file costs more than the first.
    private const long WorthResumingBytes = 4 << 20;

    private readonly string _path;
    private readonly string _part;
    private readonly string _description;
    private readonly ObjectName _source;
    private readonly Action<Microsoft.Win32.SafeHandles.SafeFileHandle>? _finish;
    private readonly FileStream _stream;
    private bool _keepPart;
    private bool _committed;

    private FileTarget(string path, ObjectName source, FileStream stream, Action<Microsoft.Win32.SafeHandles.SafeFileHandle>? finish)
    {
        _path = path;
        _part = path + PartSuffix;
        _description = _part + ".json";
        _source = source;
        _finish = finish;
        _stream = stream;
        (PresentUid, PresentBytes) = ReadPresent();
        _stream.SetLength(PresentBytes);
        _stream.Position = PresentBytes;
        _keepPart = PresentBytes > 0;
    }

    public override string? PresentUid { get; }

    public override long PresentBytes { get; }

    public override bool CanRestart => true;

    /// <summary>Opens, and finds what is there from a former run.</summary>
    /// <param name="path">The file to make or replace.</param>
    /// <param name="source">The object, so that another one's part is not gone on with.</param>
    /// <param name="finish">Sets the file's attributes before it takes its name.</param>
    /// <exception cref="CarillonException">It can't be opened.</exception>
    public static FileTarget Open(string path, ObjectName source, Action<Microsoft.Win32.SafeHandles.SafeFileHandle>? finish = null)
    {
        try
        {
            if (Directory.Exists(path))
            {
                throw new CarillonException(Failure.Failed, $"{path} is a directory");
            }

            string part = path + PartSuffix;
            if (new FileInfo(part).LinkTarget is not null)
            {
                // Never write through a link that somebody laid at the part's name.
                File.Delete(part);
            }

            var stream = new FileStream(part, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, bufferSize: 0);
            return new FileTarget(path, source, stream, finish);
        }
        catch (Exception fault) when (fault is IOException or UnauthorizedAccessException)
        {
            throw new CarillonException(Failure.Failed, $"{path}: {fault.Message}", fault);
        }
    }

    public override async ValueTask HashPresentAsync(IncrementalHash hash, CancellationToken cancellation)
    {
        byte[] buffer = ArrayPool<byte>.Shared.Rent(1 << 20);
        try
        {
            _stream.Position = 0;
            while (_stream.Position < PresentBytes)
            {
                int read = await _stream.ReadAsync(buffer, cancellation);
                if (read == 0)
                {
                    throw new CarillonException(Failure.Failed, $"{_part} became shorter while it was read");
                }

                hash.AppendData(buffer.AsSpan(0, read));
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    public override void Restart()
    {
        _stream.SetLength(0);
        _stream.Position = 0;
        _keepPart = false;
        File.Delete(_description);
    }

    public override void Begin(ObjectStat version)
    {
        if (version.Size < WorthResumingBytes)
        {
            return;
        }

        _keepPart = true;
        var description = new PartDescription { Bucket = _source.Bucket, Name = _source.Name, Uid = version.Uid, Size = version.Size };
        try
        {
            File.WriteAllBytes(_description, JsonSerializer.SerializeToUtf8Bytes(description, PartJson.Default.PartDescription));
        }
        catch (Exception fault) when (fault is IOException or UnauthorizedAccessException)
        {
            throw new CarillonException(Failure.Failed, $"{_description}: {fault.Message}", fault);
        }
    }

    public override ValueTask WriteAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellation)
    {
        // Called off the reading thread for large files; a synchronous write spares a thread switch.
        RandomAccess.Write(_stream.SafeFileHandle, bytes.Span, _stream.Position);
        _stream.Position += bytes.Length;
        return ValueTask.CompletedTask;
    }

    public override ValueTask CommitAsync(ObjectStat version, CancellationToken cancellation)
    {
        try
        {
            _finish?.Invoke(_stream.SafeFileHandle);
            _stream.Dispose();
            File.Move(_part, _path, overwrite: true);
            _committed = true;
            if (_keepPart)
            {
                File.Delete(_description);
            }
        }
        catch (Exception fault) when (fault is IOException or UnauthorizedAccessException)
        {
            throw new CarillonException(Failure.Failed, $"{_path}: {fault.Message}", fault);
        }

        return ValueTask.CompletedTask;
    }

    public void Dispose()
    {
        _stream.Dispose();
        if (!_committed && !_keepPart)
        {
            File.Delete(_part);
        }
    }

    private (string? Uid, long Bytes) ReadPresent()
    {
        long length = _stream.Length;
        if (length == 0 || !File.Exists(_description))
        {
            return (null, 0);
        }

        try
        {
            PartDescription? description = JsonSerializer.Deserialize(File.ReadAllBytes(_description), PartJson.Default.PartDescription);
            bool ours = description is not null && description.Bucket == _source.Bucket && description.Name == _source.Name
                && description.Uid.Length > 0;
            // One byte at least is asked for again, so that the answer tells whether the version is still the current one.
            return ours ? (description!.Uid, Math.Min(length, description.Size - 1)) : (null, 0);
        }
        catch (JsonException)
        {
            // Half written when the machine stopped: begin anew.
            return (null, 0);
        }
    }
}

/// <summary>Which version a partial file is of.</summary>
internal sealed record PartDescription
{
    public string Bucket { get => field ?? ""; init; } = "";

    public string Name { get => field ?? ""; init; } = "";

    public string Uid { get => field ?? ""; init; } = "";

    public long Size { get; init; }
}

/// <summary>The JSON of <see cref="PartDescription"/>.</summary>
[System.Text.Json.Serialization.JsonSourceGenerationOptions(JsonSerializerDefaults.Web)]
[System.Text.Json.Serialization.JsonSerializable(typeof(PartDescription))]
internal sealed partial class PartJson : System.Text.Json.Serialization.JsonSerializerContext;
