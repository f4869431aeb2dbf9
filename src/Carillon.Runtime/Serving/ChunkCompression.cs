using System.Buffers;
using System.IO.Compression;
using Carillon.Protocols.Submissions;

namespace Carillon.Runtime.Serving;

/// <summary>
/// Compression of chunks at pinned levels: the same bytes must give the same chunk, or they would be stored twice. A chunk that does not
/// shrink by at least an eighth is stored as it is: reading it back would cost more than its space.
/// </summary>
internal static class ChunkCompression
{
    private const int BrotliQuality = 4;
    private const int BrotliWindow = 22;
    private const CompressionLevel DeflateLevel = CompressionLevel.Fastest;

    /// <summary>Bytes written to <paramref name="into"/>; 0 if it is not worth it.</summary>
    public static int Compress(Compression compression, ReadOnlySpan<byte> content, Span<byte> into)
    {
        Span<byte> worth = into[..(content.Length - (content.Length / 8))];
        switch (compression)
        {
            case Compression.Brotli:
                return BrotliEncoder.TryCompress(content, worth, out int written, BrotliQuality, BrotliWindow) ? written : 0;
            case Compression.Deflate:
                using (var output = new MemoryStream())
                {
                    using (var deflate = new DeflateStream(output, DeflateLevel, leaveOpen: true))
                    {
                        deflate.Write(content);
                    }

                    if (output.Length > worth.Length)
                    {
                        return 0;
                    }

                    output.GetBuffer().AsSpan(0, (int)output.Length).CopyTo(worth);
                    return (int)output.Length;
                }

            default:
                return 0;
        }
    }

    /// <summary>Restores content of a known length; false where the bytes are not that.</summary>
    public static bool TryDecompress(Compression compression, ReadOnlyMemory<byte> stored, Span<byte> into)
    {
        switch (compression)
        {
            case Compression.None:
                return stored.Span.TryCopyTo(into) && stored.Length == into.Length;
            case Compression.Brotli:
                return BrotliDecoder.TryDecompress(stored.Span, into, out int written) && written == into.Length;
            default:
                return TryInflate(stored, into);
        }
    }

    private static bool TryInflate(ReadOnlyMemory<byte> stored, Span<byte> into)
    {
        byte[] copy = ArrayPool<byte>.Shared.Rent(stored.Length);
        try
        {
            stored.CopyTo(copy);
            using var inflate = new DeflateStream(new MemoryStream(copy, 0, stored.Length), CompressionMode.Decompress);
            return inflate.ReadAtLeast(into, into.Length, throwOnEndOfStream: false) == into.Length && inflate.ReadByte() < 0;
        }
        catch (InvalidDataException)
        {
            return false;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(copy);
        }
    }
}
