using Carillon.Protocols;

namespace Carillon.Benchmarks;

/// <summary>Bytes that neither compress nor repeat within a chunk, of any length, made as they are read.</summary>
internal sealed class RandomStream(long length, ulong seed) : Stream
{
    private readonly RandomSource _random = new(seed);
    private long _position;

    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => false;

    public override long Length => length;

    public override long Position
    {
        get => _position;
        set => throw new NotSupportedException();
    }

    /// <summary>Fills a buffer.</summary>
    public static void Fill(RandomSource random, Span<byte> buffer)
    {
        Span<ulong> words = System.Runtime.InteropServices.MemoryMarshal.Cast<byte, ulong>(buffer);
        for (int i = 0; i < words.Length; i++)
        {
            words[i] = random.Next();
        }

        for (int i = words.Length * sizeof(ulong); i < buffer.Length; i++)
        {
            buffer[i] = (byte)random.Next();
        }
    }

    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    public override int Read(Span<byte> buffer)
    {
        int count = (int)Math.Min(buffer.Length, length - _position);
        Fill(_random, buffer[..count]);
        _position += count;
        return count;
    }

    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) => new(Read(buffer.Span));

    public override void Flush()
    {
    }

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
}
