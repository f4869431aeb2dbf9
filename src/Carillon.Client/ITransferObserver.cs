namespace Carillon.Client;

/// <summary>Is told how a transfer goes, on the transfer's own thread: it must not block.</summary>
public interface ITransferObserver
{
    /// <summary>A transfer begins or begins again; so many bytes in all (null: not known), so many of them are there already.</summary>
    void Started(long? total, long present);

    /// <summary>So many more bytes have moved.</summary>
    void Advanced(long bytes);
}
