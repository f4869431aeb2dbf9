namespace Carillon.Node;

/// <summary>One server as a deterministic machine.</summary>
public sealed partial class ServerNode
{
    /// <summary>A piece of work is done, or failed.</summary>
    public void Complete(StorageWork work, Storage.StorageException? failure) => work.Complete(failure);
}
