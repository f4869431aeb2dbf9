using System.Text;

namespace Carillon.Runtime.Security;

/// <summary>Files with secrets: only their owner may read them (mode 0600), and a write replaces the whole file or nothing.</summary>
public static class SecretFile
{
    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    // Far above any key or certificate; a wrong path must not read a disk image into memory.
    private const long MaxBytes = 1 << 20;

    /// <summary>Writes a text under mode 0600.</summary>
    /// <exception cref="IOException">The file system refused.</exception>
    public static void Write(string path, string text)
    {
        string temporary = path + ".new";
        File.Delete(temporary);
        FileStreamOptions options = new() { Mode = FileMode.CreateNew, Access = FileAccess.Write };
        if (!OperatingSystem.IsWindows())
        {
            options.UnixCreateMode = OwnerOnly;
        }

        using (FileStream stream = new(temporary, options))
        {
            stream.Write(Encoding.UTF8.GetBytes(text));
            stream.Flush(flushToDisk: true);
        }

        File.Move(temporary, path, overwrite: true);
    }

    /// <summary>Reads a text, and refuses a file that others than its owner may read or write.</summary>
    /// <exception cref="SecurityFileException">It is missing, open to others, too large or unreadable; the message says what to
    /// do.</exception>
    public static string Read(string path)
    {
        try
        {
            FileInfo file = new(path);
            if (!file.Exists)
            {
                throw new SecurityFileException($"{path} does not exist: 'carillon cluster init' makes it.");
            }

            if (!OperatingSystem.IsWindows() && (file.UnixFileMode & ~(OwnerOnly | UnixFileMode.UserExecute)) != UnixFileMode.None)
            {
                throw new SecurityFileException($"{path} is open to other users: run 'chmod 600 {path}'.");
            }

            if (file.Length > MaxBytes)
            {
                throw new SecurityFileException($"{path} is {file.Length} bytes long: not a key, certificate or token file.");
            }

            return File.ReadAllText(path);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw new SecurityFileException($"{path} can't be read: {failure.Message}", failure);
        }
    }
}

/// <summary>A key, certificate or token file can't be used; the message is one line for an operator.</summary>
public sealed class SecurityFileException : Exception
{
    public SecurityFileException()
    {
    }

    public SecurityFileException(string message) : base(message)
    {
    }

    public SecurityFileException(string message, Exception inner) : base(message, inner)
    {
    }
}
