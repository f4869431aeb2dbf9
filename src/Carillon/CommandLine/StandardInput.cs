namespace Carillon.CommandLine;

/// <summary>
/// The standard input, for reading. A read that waits for a terminal or a pipe can't be ended: who is asked to stop stops, and leaves it
/// to itself, since the program ends then.
/// </summary>
/// <param name="input">What is read; another than the process's own in tests.</param>
internal sealed class StandardInput(Stream input) : Stream
{
    private readonly byte[] _read = new byte[64 << 10];

    public StandardInput() : this(Console.OpenStandardInput())
    {
    }

    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => false;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    public override int Read(byte[] buffer, int offset, int count) => input.Read(buffer, offset, count);

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        // Into memory of its own: what is left to itself must not write into the reader's.
        int most = Math.Min(buffer.Length, _read.Length);
        int count = await Task.Run(() => input.Read(_read.AsSpan(0, most)), CancellationToken.None).WaitAsync(cancellationToken);
        _read.AsSpan(0, count).CopyTo(buffer.Span);
        return count;
    }

    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override void Flush()
    {
    }

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
}
