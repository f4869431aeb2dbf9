using System.Security.Cryptography;
using Carillon.Protocols.Primacy;

namespace Carillon.Runtime.Services;

/// <summary>
/// Notices that a primary's checkpoint file has changed, and reads it. A program that replaces its file by a rename is always read
/// whole; of one that writes into it the last complete writing is read once it has paused.
/// </summary>
internal sealed class CheckpointWatch(string path)
{
    private (DateTime Modified, long Length) _seen;
    private (DateTime Modified, long Length) _taken;
    private byte[] _hash = [];

    /// <summary>True once, for a file that is larger than a checkpoint may be.</summary>
    public bool TooLarge { get; private set; }

    /// <summary>The new content, or null if there is none. A last look does not wait for a pause.</summary>
    public byte[]? Look(bool last)
    {
        TooLarge = false;
        try
        {
            return Read(last);
        }
        catch (Exception missing) when (missing is IOException or UnauthorizedAccessException)
        {
            // It is not there, or is being replaced: the next look tells.
            return null;
        }
    }

    private byte[]? Read(bool last)
    {
        var before = Stamp();
        bool settled = before == _seen;
        _seen = before;
        if (before == _taken || before.Modified == default || !(settled || last))
        {
            return null;
        }

        if (before.Length > ServiceNews.MaxCheckpointBytes)
        {
            TooLarge = true;
            _taken = before;
            return null;
        }

        byte[] content = File.ReadAllBytes(path);
        if (!last && Stamp() != before)
        {
            return null;
        }

        _taken = before;
        byte[] hash = SHA256.HashData(content);
        if (hash.AsSpan().SequenceEqual(_hash) || content.Length > ServiceNews.MaxCheckpointBytes)
        {
            return null;
        }

        _hash = hash;
        return content;
    }

    private (DateTime Modified, long Length) Stamp()
    {
        var file = new FileInfo(path);
        return file.Exists ? (file.LastWriteTimeUtc, file.Length) : default;
    }
}
