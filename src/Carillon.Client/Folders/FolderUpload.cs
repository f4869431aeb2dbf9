using System.Threading.Channels;
using Carillon.Protocols.Submissions;

namespace Carillon.Client.Folders;

/// <summary>Puts a folder: one walker finds entries, several workers put them, each under a key of its own.</summary>
internal sealed class FolderUpload(CarillonClient client, string root, ObjectName target, FolderOptions options)
{
    // Read in one piece, and sent again from memory: a stream per small file costs more than the file.
    private const long SmallBytes = 128 << 10;

    // So many failures without one success, and the rest is not tried.
    private const int GiveUpAfter = 256;

    private readonly FolderTally _tally = new(options.Observer);

    public async Task<FolderResult> RunAsync(CancellationToken cancellation)
    {
        var items = Channel.CreateBounded<FolderItem>(new BoundedChannelOptions(options.Parallel * 4) { SingleWriter = true });
        Task walker = Task.Run(() => WalkAsync(items.Writer, cancellation), cancellation);
        await Task.WhenAll(Enumerable.Range(0, options.Parallel).Select(_ => PutAllAsync(items.Reader, cancellation)));
        await walker;
        return _tally.Result();
    }

    private async Task WalkAsync(ChannelWriter<FolderItem> items, CancellationToken cancellation)
    {
        try
        {
            foreach (FolderItem item in new FolderWalk(root, options.Links, _tally).Items())
            {
                if (_tally.FailuresInRow >= GiveUpAfter)
                {
                    _tally.Failed(item.Name, $"not tried, nor what comes after it: {GiveUpAfter} failed in a row");
                    break;
                }

                _tally.Found(item.Length);
                await items.WriteAsync(item, cancellation);
            }
        }
        finally
        {
            items.Complete();
        }
    }

    private async Task PutAllAsync(ChannelReader<FolderItem> items, CancellationToken cancellation)
    {
        await foreach (FolderItem item in items.ReadAllAsync(cancellation))
        {
            try
            {
                await PutAsync(item, cancellation);
            }
            catch (CarillonException fault)
            {
                _tally.Failed(item.Name, fault.Message, fault.Failure);
            }
            catch (Exception fault) when (fault is IOException or UnauthorizedAccessException)
            {
                _tally.Failed(item.Name, fault.Message);
            }
        }
    }

    private async Task PutAsync(FolderItem item, CancellationToken cancellation)
    {
        string name = target.Name.Length == 0 ? item.Name : $"{target.Name}/{item.Name}";
        var put = new PutOptions
        {
            Metadata = FileMetadata.Of(item), Ack = options.Ack, Observer = item.Kind == FolderItemKind.File ? _tally.Bytes : null,
        };
        PutSource source = PutSource.FromBytes(default);
        if (item.Kind == FolderItemKind.File)
        {
            source = item.Length <= SmallBytes
                ? PutSource.FromBytes(await File.ReadAllBytesAsync(item.Path, cancellation))
                : PutSource.FromFile(item.Path);
        }

        WriteResult<PutAnswer> result = await client.PutAsync(new ObjectName(target.Bucket, name), source, put, cancellation);
        switch (result.Verdict)
        {
            case Verdict.Accepted when options.Ack == "sequenced" && result.Answer!.Sequence is null:
                _tally.Failed(item.Name, "agreed, but it has no number in the feed yet", Failure.OutcomeUnknown, result.Key);
                break;
            case Verdict.Accepted:
                if (source.Bytes is { Length: > 0 } bytes)
                {
                    put.Observer?.Started(bytes.Length, bytes.Length);
                }

                _tally.Done(item.Kind, result.Answer!.Size);
                break;
            case Verdict.Unknown:
                _tally.Failed(item.Name, "outcome unknown: " + result.Problem?.Message, Failure.OutcomeUnknown, result.Key);
                break;
            default:
                _tally.Failed(item.Name, result.Problem?.Message ?? "rejected", result.Failure);
                break;
        }
    }
}
