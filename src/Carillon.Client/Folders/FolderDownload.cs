using System.Threading.Channels;
using Carillon.Protocols.Submissions;

namespace Carillon.Client.Folders;

/// <summary>
/// Gets a folder: a lister finds versions, several workers fetch exactly those. Links are made last, when no file is written
/// any more, and never followed; directories get their modes and times after that.
/// </summary>
internal sealed class FolderDownload
{
    private const int GiveUpAfter = 256;

    private readonly CarillonClient _client;
    private readonly ObjectName _source;
    private readonly FolderOptions _options;
    private readonly FolderTally _tally;
    private readonly SafeFolder _folder;
    private readonly List<ObjectEntry> _links = [];
    private readonly List<ObjectEntry> _directories = [];

    public FolderDownload(CarillonClient client, ObjectName source, string root, FolderOptions options)
    {
        _client = client;
        _source = source;
        _options = options;
        _tally = new FolderTally(options.Observer);
        _folder = new SafeFolder(root);
    }

    private string Prefix => _source.Name.Length == 0 ? "" : _source.Name + "/";

    public async Task<FolderResult> RunAsync(CancellationToken cancellation)
    {
        var files = Channel.CreateBounded<ObjectEntry>(new BoundedChannelOptions(_options.Parallel * 4) { SingleWriter = true });
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        Task lister = Task.Run(() => ListAsync(files.Writer, stop.Token), stop.Token);
        await Task.WhenAll(Enumerable.Range(0, _options.Parallel).Select(_ => GetAllAsync(files.Reader, cancellation)));
        await lister;
        foreach (ObjectEntry link in _links)
        {
            Attempt(link, () => MakeLink(link), FolderItemKind.Link);
        }

        // The deepest first: a directory that may not be written any more is done with its own entries.
        foreach (ObjectEntry directory in _directories.OrderByDescending(d => d.Name.Count(c => c == '/')))
        {
            Attempt(directory, () => FinishDirectory(directory), FolderItemKind.Directory);
        }

        return _tally.Result();
    }

    private async Task ListAsync(ChannelWriter<ObjectEntry> files, CancellationToken cancellation)
    {
        try
        {
            await foreach (ObjectPage page in _client.ListAsync(_source.Bucket, new ListOptions { Prefix = Prefix }, cancellation))
            {
                foreach (ObjectEntry entry in page.Objects)
                {
                    if (entry.Kind != "put" || !entry.Name.StartsWith(Prefix, StringComparison.Ordinal))
                    {
                        continue;
                    }

                    if (_tally.FailuresInRow >= GiveUpAfter)
                    {
                        _tally.Failed(Relative(entry), $"not tried, nor what comes after it: {GiveUpAfter} failed in a row");
                        return;
                    }

                    await SortAsync(entry, files, cancellation);
                }
            }
        }
        finally
        {
            files.Complete();
        }
    }

    private async ValueTask SortAsync(ObjectEntry entry, ChannelWriter<ObjectEntry> files, CancellationToken cancellation)
    {
        if (entry.Metadata?.ContainsKey(FileMetadata.LinkKey) == true)
        {
            if (_options.Links == LinkMode.Skip)
            {
                _tally.Skipped(Relative(entry), "a symbolic link");
                return;
            }

            _links.Add(entry);
        }
        else if (entry.Metadata?.GetValueOrDefault(FileMetadata.TypeKey) == FileMetadata.DirectoryType)
        {
            _directories.Add(entry);
        }
        else
        {
            _tally.Found(entry.Size);
            await files.WriteAsync(entry, cancellation);
            return;
        }

        _tally.Found(0);
    }

    private async Task GetAllAsync(ChannelReader<ObjectEntry> files, CancellationToken cancellation)
    {
        await foreach (ObjectEntry entry in files.ReadAllAsync(cancellation))
        {
            try
            {
                GetResult result = await GetAsync(entry, cancellation);
                _tally.Done(FolderItemKind.File, result.Bytes);
            }
            catch (CarillonException fault)
            {
                _tally.Failed(Relative(entry), fault.Message, fault.Failure);
            }
            catch (Exception fault) when (fault is IOException or UnauthorizedAccessException)
            {
                _tally.Failed(Relative(entry), fault.Message);
            }
        }
    }

    private async Task<GetResult> GetAsync(ObjectEntry entry, CancellationToken cancellation)
    {
        var source = new ObjectName(_source.Bucket, entry.Name);
        string path = _folder.Resolve(Relative(entry));
        // The listed version, which any server that has it may serve without asking the others: what is listed is agreed.
        var get = new GetOptions { Version = entry.Uid, Local = true, Observer = _tally.Bytes };
        try
        {
            return await GetAsync(source, path, entry, get, cancellation);
        }
        catch (CarillonException fault) when (fault.Failure == Failure.NotFound)
        {
            // Overwritten since it was listed, and no longer kept; or this server lags behind the one that listed.
            return await GetAsync(source, path, entry, get with { Version = null, Local = _options.Local }, cancellation);
        }
    }

    private async Task<GetResult> GetAsync(
        ObjectName source, string path, ObjectEntry entry, GetOptions options, CancellationToken cancellation)
    {
        using var file = FileTarget.Open(path, source, handle => FileMetadata.Apply(handle, entry.Metadata));
        using var download = new Download(_client.Transport, source, options, file);
        return await download.RunAsync(cancellation);
    }

    private void Attempt(ObjectEntry entry, Action action, FolderItemKind kind)
    {
        try
        {
            action();
            _tally.Done(kind, 0);
        }
        catch (CarillonException fault)
        {
            _tally.Failed(Relative(entry), fault.Message, fault.Failure);
        }
        catch (Exception fault) when (fault is IOException or UnauthorizedAccessException or ArgumentException)
        {
            _tally.Failed(Relative(entry), fault.Message);
        }
    }

    private void MakeLink(ObjectEntry entry)
    {
        string path = _folder.Resolve(Relative(entry));
        var present = new FileInfo(path);
        string target = entry.Metadata![FileMetadata.LinkKey];
        if (present.LinkTarget == target)
        {
            return;
        }

        if (Directory.Exists(path) && present.LinkTarget is null)
        {
            throw new CarillonException(Failure.Failed, "there is a directory where the link should be");
        }

        File.Delete(path);
        File.CreateSymbolicLink(path, target);
    }

    private void FinishDirectory(ObjectEntry entry)
    {
        string path = _folder.EnsureDirectory(Relative(entry));
        if (FileMetadata.Time(entry.Metadata) is { } time)
        {
            Directory.SetLastWriteTimeUtc(path, time);
        }

        if (!OperatingSystem.IsWindows() && FileMetadata.Mode(entry.Metadata) is { } mode)
        {
            File.SetUnixFileMode(path, mode);
        }
    }

    private string Relative(ObjectEntry entry) => entry.Name[Prefix.Length..];
}
