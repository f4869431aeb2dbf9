namespace Carillon.Storage.Tests.Devices;

/// <summary>A folder of a test's own, removed with it; in memory where there is such a place and the test asks for it.</summary>
internal sealed class TemporaryFolder : IDisposable
{
    private const string Memory = "/dev/shm";

    public TemporaryFolder(bool inMemory = false)
    {
        string name = $"carillon-storage-{Environment.ProcessId}-{Guid.NewGuid():n}";
        Path = inMemory && Directory.Exists(Memory)
            ? Directory.CreateDirectory(System.IO.Path.Combine(Memory, name)).FullName
            : Directory.CreateTempSubdirectory("carillon-storage-").FullName;
    }

    public string Path { get; }

    public string At(string name) => System.IO.Path.Combine(Path, name);

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
