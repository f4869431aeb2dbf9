using Carillon.Protocols.AtomicMulticast;

namespace Carillon.Gateway.Streams;

/// <summary>What a look for more to send found.</summary>
internal enum StreamRead
{
    /// <summary>Entries; there may be none that are wanted in what was looked at, and more behind it.</summary>
    Entries,

    /// <summary>Nothing now: the stream is woken when there may be more.</summary>
    NothingNow,

    /// <summary>Nothing, and there never will be.</summary>
    Ended,
}

/// <summary>Where a stream's entries come from, in order of their numbers, none missing and none twice. Used by its stream alone.</summary>
internal interface IStreamSource<T> : IAsyncDisposable
{
    /// <summary>Everything up to here was given, or is not wanted.</summary>
    SequenceNumber Position { get; }

    /// <summary>The next entries, as many as are at hand, good until the next call.</summary>
    /// <exception cref="Runtime.Groups.FeedTooOldException">They are no longer kept.</exception>
    StreamRead Read(OpenStream stream, out ReadOnlyMemory<T> run);
}
