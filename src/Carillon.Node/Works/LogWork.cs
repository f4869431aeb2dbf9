using Carillon.Storage;
using Carillon.Storage.Log;

namespace Carillon.Node.Works;

/// <summary>One group commit of a segment log.</summary>
internal sealed class LogWork(StorageLane lane, LogBatch batch, Action<LogBatch, StorageException?> done) : StorageWork
{
    public override StorageLane Lane => lane;

    public override int Bytes => batch.Bytes;

    public override void Write() => batch.Write();

    public override void Flush() => batch.Flush();

    protected internal override void Complete(StorageException? failure) => done(batch, failure);
}

/// <summary>A log segment is zero-filled ahead of its use.</summary>
internal sealed class LogPreparationWork(SegmentPreparation preparation, Action<SegmentPreparation, StorageException?> done) : StorageWork
{
    public override StorageLane Lane => StorageLane.Background;

    public override int Bytes => preparation.Bytes;

    public override void Write() => preparation.Write();

    public override void Flush() => preparation.Flush();

    protected internal override void Complete(StorageException? failure) => done(preparation, failure);
}
