using System.Buffers;
using System.Text;

namespace Carillon.Client.Groups;

/// <summary>How a table's keys or values are bytes. Equal values have equal bytes, at every member: digests are over them.</summary>
/// <typeparam name="T">A key's or a value's type.</typeparam>
public interface ITableCodec<T>
{
    /// <summary>Writes a value.</summary>
    void Write(T value, IBufferWriter<byte> output);

    /// <summary>Reads one; an exception means that it is none, and the operation is left out, at every member alike.</summary>
    T Read(ReadOnlySpan<byte> bytes);
}

/// <summary>Codecs of the types that need none of one's own.</summary>
public static class TableCodec
{
    /// <summary>Text as UTF-8.</summary>
    public static ITableCodec<string> Text { get; } = new TextCodec();

    /// <summary>Bytes as they are.</summary>
    public static ITableCodec<byte[]> Bytes { get; } = new ByteCodec();

    /// <summary>The codec of <c>string</c> or <c>byte[]</c>.</summary>
    /// <exception cref="CarillonException">There is none for the type.</exception>
    internal static ITableCodec<T> Of<T>() =>
        Text as ITableCodec<T> ?? Bytes as ITableCodec<T>
        ?? throw new CarillonException(Failure.Usage, $"a table of {typeof(T).Name} needs a codec for it");

    /// <summary>What is equal: for bytes, their content.</summary>
    internal static IEqualityComparer<T> ComparerOf<T>() => new ByteComparer() as IEqualityComparer<T> ?? EqualityComparer<T>.Default;

    private sealed class TextCodec : ITableCodec<string>
    {
        // Not well-formed UTF-8 is an error, never a replacement that would make two keys one.
        private static readonly UTF8Encoding Strict = new(false, throwOnInvalidBytes: true);

        public void Write(string value, IBufferWriter<byte> output) => Strict.GetBytes(value, output);

        public string Read(ReadOnlySpan<byte> bytes) => Strict.GetString(bytes);
    }

    private sealed class ByteCodec : ITableCodec<byte[]>
    {
        public void Write(byte[] value, IBufferWriter<byte> output) => output.Write(value);

        public byte[] Read(ReadOnlySpan<byte> bytes) => bytes.ToArray();
    }

    private sealed class ByteComparer : IEqualityComparer<byte[]>
    {
        public bool Equals(byte[]? x, byte[]? y) => x is null ? y is null : y is not null && x.AsSpan().SequenceEqual(y);

        public int GetHashCode(byte[] obj)
        {
            var hash = new HashCode();
            hash.AddBytes(obj);
            return hash.ToHashCode();
        }
    }
}
