using Carillon.Node.Requests;
using Carillon.Node.Works;
using Carillon.Protocols;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.Wire;
using Carillon.Storage.Catalogs;

namespace Carillon.Node;

/// <content>
/// Lists of chunks that are stored as chunks, as large objects have them: what they name is read into the catalog, part by part, so that
/// collection and repair know it. One part at a time, so memory does not grow with the object.
/// </content>
public sealed partial class ServerNode
{
    // Rows of one transaction: some milliseconds, for which the catalog keeps others waiting.
    private const int ListSlice = 2048;

    // A list that nobody could give is told of after so many rounds: at a start the other servers are not there yet.
    private const int PatientRounds = 6;
    private static readonly TimeSpan ReadListsAgain = TimeSpan.FromSeconds(10);

    private Instant _listDeadline;
    private bool _readsList;
    private long _listAfter;
    private int _listRounds;

    private void AdvanceLists(Moment now)
    {
        if (now.Now < _listDeadline)
        {
            return;
        }

        _listDeadline = Instant.Never;
        if (_readsList || _catalogFailed)
        {
            return;
        }

        if (Reader.NextUnreadList(_listAfter) is { } list)
        {
            _readsList = true;
            FindChunk(list.Part, now, found => TakeList(list, found));
        }
        else if (_listAfter > 0)
        {
            // Some could not be read in this round.
            _listAfter = 0;
            _listDeadline = now.Now + ReadListsAgain;
            _listRounds++;
        }
    }

    private void ListsApplied(Submission submission)
    {
        foreach (Operation operation in submission.Operations)
        {
            if (operation.Manifest is { Form: ContentForm.ChunkedList })
            {
                _listDeadline = _now.Now;
            }
        }
    }

    private void TakeList(UnreadList list, ChunkFound found)
    {
        if (found.Fetched is { } fetched)
        {
            ReadList(list, fetched.Memory.Span);
            fetched.Release();
        }
        else if (found.Location is { } location)
        {
            _world.Read(location, bytes => ReadList(list, bytes.Span));
        }
        else
        {
            PassListOver(list);
        }
    }

    private void ReadList(UnreadList list, ReadOnlySpan<byte> bytes)
    {
        var reader = new WireReader(bytes);
        ChunkId[] chunks = new ChunkId[bytes.Length / ChunkReference.Size];
        for (int i = 0; i < chunks.Length; i++)
        {
            chunks[i] = ChunkReference.Read(ref reader).Id;
        }

        if (list.Compression != Compression.None || chunks.Length == 0 || reader.Failed || reader.Remaining > 0)
        {
            PassListOver(list);
        }
        else
        {
            AddListed(list, chunks, 0);
        }
    }

    private void AddListed(UnreadList list, ChunkId[] chunks, int start)
    {
        int end = Math.Min(chunks.Length, start + ListSlice);
        _world.Run(new ListWork(_catalog, list.Id, chunks.AsMemory(start..end), end == chunks.Length, failure =>
        {
            if (failure is not null)
            {
                CatalogFailed(failure);
            }
            else if (end < chunks.Length)
            {
                AddListed(list, chunks, end);
            }
            else
            {
                _readsList = false;
                _listRounds = 0;
                _listDeadline = _now.Now;
            }
        }));
    }

    // Until it can be read nothing is collected, so nothing is lost by waiting.
    private void PassListOver(UnreadList list)
    {
        _readsList = false;
        _listAfter = list.Id;
        _listDeadline = _now.Now;
        if (_listRounds == PatientRounds)
        {
            _listRounds++;
            Tell(NodeEventKind.StorageTrouble, Self.Name, $"the chunk list {list.Part} can't be read: no chunks are collected here until it can");
        }
    }
}
