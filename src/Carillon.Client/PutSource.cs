namespace Carillon.Client;

/// <summary>Where a put's bytes come from, and whether they can be had again for another server.</summary>
public abstract class PutSource
{
    /// <summary>True if <see cref="OpenAsync"/> may be called once more.</summary>
    public abstract bool Replayable { get; }

    /// <summary>The bytes themselves, where they are in memory.</summary>
    internal virtual ReadOnlyMemory<byte>? Bytes => null;

    /// <summary>Opens the bytes from their beginning; the length is null where it is not known.</summary>
    internal abstract ValueTask<(Stream Stream, long? Length)> OpenAsync(CancellationToken cancellation);

    /// <summary>A file; it is opened anew for each server that is tried.</summary>
    public static PutSource FromFile(string path) => new FileSource(path);

    /// <summary>Bytes in memory; not copied.</summary>
    public static PutSource FromBytes(ReadOnlyMemory<byte> bytes) => new BytesSource(bytes);

    /// <summary>
    /// A stream that can be read once: a put that is lost on the way can't be sent again. The caller keeps and closes it.
    /// </summary>
    public static PutSource FromStream(Stream stream) => new StreamSource(stream);

    /// <summary>Anything that can be opened again and again.</summary>
    public static PutSource FromFactory(Func<CancellationToken, ValueTask<(Stream Stream, long? Length)>> open) => new FactorySource(open);

    private sealed class FileSource(string path) : PutSource
    {
        public override bool Replayable => true;

        internal override ValueTask<(Stream Stream, long? Length)> OpenAsync(CancellationToken cancellation)
        {
            var stream = new FileStream(
                path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0, FileOptions.SequentialScan);
            // Files without a length of their own, as those of /proc, are read to their end.
            return new((stream, stream is { CanSeek: true, Length: > 0 } ? stream.Length : null));
        }
    }

    private sealed class BytesSource(ReadOnlyMemory<byte> bytes) : PutSource
    {
        public override bool Replayable => true;

        internal override ReadOnlyMemory<byte>? Bytes => bytes;

        internal override ValueTask<(Stream Stream, long? Length)> OpenAsync(CancellationToken cancellation) =>
            new((new MemoryStream(bytes.ToArray(), writable: false), bytes.Length));
    }

    private sealed class StreamSource(Stream stream) : PutSource
    {
        public override bool Replayable => false;

        internal override ValueTask<(Stream Stream, long? Length)> OpenAsync(CancellationToken cancellation) =>
            new((new Unclosed(stream), null));
    }

    private sealed class FactorySource(Func<CancellationToken, ValueTask<(Stream Stream, long? Length)>> open) : PutSource
    {
        public override bool Replayable => true;

        internal override ValueTask<(Stream Stream, long? Length)> OpenAsync(CancellationToken cancellation) => open(cancellation);
    }

    /// <summary>Reads through to a stream that belongs to somebody else.</summary>
    private sealed class Unclosed(Stream inner) : Stream
    {
        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => throw new NotSupportedException();

        public override long Position
        {
            get => throw new NotSupportedException();
            set => throw new NotSupportedException();
        }

        public override void Flush()
        {
        }

        public override int Read(byte[] buffer, int offset, int count) => inner.Read(buffer, offset, count);

        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) =>
            inner.ReadAsync(buffer, cancellationToken);

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}
