using Carillon.Protocols;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.Wire;

namespace Carillon.Storage.Catalogs;

/// <summary>
/// What a checkpoint keeps of names, read without a catalog: whoever copies a checkpoint has to know which chunks belong to it.
/// </summary>
public static class CheckpointVersions
{
    /// <summary>Reads all kept versions in the order of their tags, so that a name's greatest comes last.</summary>
    /// <param name="checkpoint">The list.</param>
    /// <param name="block">Gives the block of a place in the list.</param>
    /// <param name="version">Takes each kept put or delete; a delete has no manifest.</param>
    public static CheckpointVerdict Read(
        CatalogCheckpoint checkpoint, Func<int, ReadOnlyMemory<byte>> block, Action<Tag, Operation> version)
    {
        using var blocks = new VerifiedBlocks(checkpoint, block);
        CheckpointVerdict verdict = Read(new CheckpointItemReader(blocks), version);
        return blocks.IsWrong ? CheckpointVerdict.WrongBlock : verdict;
    }

    private static CheckpointVerdict Read(CheckpointItemReader items, Action<Tag, Operation> version)
    {
        CheckpointItem last = CheckpointItem.Facts;
        while (items.TryNext(out CheckpointItem kind, out ReadOnlyMemory<byte> bytes) && kind >= last)
        {
            last = kind;
            var reader = new WireReader(bytes.Span);
            if (kind == CheckpointItem.Tag && !ReadTag(ref reader, version))
            {
                return CheckpointVerdict.Unreadable;
            }

            if (kind == CheckpointItem.End)
            {
                return CheckpointVerdict.Loaded;
            }
        }

        return CheckpointVerdict.Unreadable;
    }

    private static bool ReadTag(ref WireReader reader, Action<Tag, Operation> version)
    {
        _ = reader.Blob(TagKey.MaxSize);
        _ = reader.U64();
        _ = reader.U8();
        int count = reader.Count(Submission.MaxOperations, 1);
        ReadOnlySpan<byte> kept = reader.Bytes(count);
        ReadOnlySpan<byte> record = reader.Blob(Submission.MaxBytes);
        if (reader.Failed || !Submission.TryRead(record, out Submission submission) || submission.Operations.Length != count)
        {
            return false;
        }

        for (int i = 0; i < count; i++)
        {
            if (kept[i] != 0)
            {
                version(submission.Tag, submission.Operations[i]);
            }
        }

        return true;
    }
}
