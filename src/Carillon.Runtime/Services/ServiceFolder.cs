using System.Globalization;
using Carillon.Protocols.Primacy;
using Carillon.Runtime.Storage;

namespace Carillon.Runtime.Services;

/// <summary>
/// What a server keeps of one service: <c>work/</c>, where its commands run and its checkpoint file is; <c>state</c>, how fresh that
/// file is; and the locks that runs hold. Files are replaced whole: written beside, flushed, renamed, and the folder flushed.
/// </summary>
internal sealed class ServiceFolder
{
    private readonly string _folder;

    public ServiceFolder(string services, ServiceName service)
    {
        _folder = Path.Combine(services, service.Name);
        Work = Path.Combine(_folder, "work");
        Directory.CreateDirectory(Work);
    }

    /// <summary>Where commands run.</summary>
    public string Work { get; }

    /// <summary>The lock of the primary's runs.</summary>
    public string PrimaryLock => Path.Combine(_folder, "lock");

    /// <summary>The lock of the secondary's runs.</summary>
    public string SecondaryLock => Path.Combine(_folder, "secondary.lock");

    private string StateFile => Path.Combine(_folder, "state");

    /// <summary>How fresh the checkpoint here is; default for none.</summary>
    public Freshness ReadState()
    {
        try
        {
            string[] words = File.ReadAllText(StateFile).Split('/');
            return words.Length == 2
                && ulong.TryParse(words[0], NumberStyles.None, CultureInfo.InvariantCulture, out ulong epoch)
                && ulong.TryParse(words[1], NumberStyles.None, CultureInfo.InvariantCulture, out ulong number)
                ? new Freshness(new Epoch(epoch), number) : default;
        }
        catch (Exception missing) when (missing is IOException or UnauthorizedAccessException)
        {
            return default;
        }
    }

    /// <summary>Notes how fresh it is, durably.</summary>
    public void WriteState(Freshness state) => Replace(StateFile, System.Text.Encoding.ASCII.GetBytes(state.ToString()));

    /// <summary>The state is no longer this service's.</summary>
    public void ForgetState() => File.Delete(StateFile);

    /// <summary>Puts a checkpoint in place, durably.</summary>
    public void WriteCheckpoint(string file, Freshness state, ReadOnlyMemory<byte> content)
    {
        string path = CheckpointPath(file);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        Replace(path, content.Span);
        // After the content: what a crash leaves between the two is newer than it says, never older.
        WriteState(state);
    }

    /// <summary>Where the checkpoint file is.</summary>
    public string CheckpointPath(string file) => Path.Combine(Work, file);

    private static void Replace(string path, ReadOnlySpan<byte> content)
    {
        string beside = path + ".new";
        using (var file = new FileStream(beside, FileMode.Create, FileAccess.Write, FileShare.Read))
        {
            file.Write(content);
            file.Flush(flushToDisk: true);
        }

        File.Move(beside, path, overwrite: true);
        NativeFlush.Folder(Path.GetDirectoryName(path)!);
    }
}
