using System.Text;

namespace Carillon.Runtime.Guarding;

/// <summary>Cuts a program's output into lines; a line that does not end is cut where it is too long for a log.</summary>
internal static class OutputLines
{
    private const int LongestLine = 8 << 10;

    /// <summary>Reads to the end, and hands out each line.</summary>
    public static async Task CopyAsync(Stream output, Action<string> line)
    {
        byte[] buffer = new byte[LongestLine];
        int filled = 0;
        while (await ReadAsync(output, buffer.AsMemory(filled)) is > 0 and int count)
        {
            filled += count;
            int from = 0;
            while (buffer.AsSpan(from, filled - from).IndexOf((byte)'\n') is >= 0 and int length)
            {
                line(Text(buffer.AsSpan(from, length)));
                from += length + 1;
            }

            if (from == 0 && filled == buffer.Length)
            {
                line(Text(buffer));
                from = filled;
            }

            buffer.AsSpan(from, filled - from).CopyTo(buffer);
            filled -= from;
        }

        if (filled > 0)
        {
            line(Text(buffer.AsSpan(0, filled)));
        }
    }

    private static async Task<int> ReadAsync(Stream output, Memory<byte> into)
    {
        try
        {
            return await output.ReadAsync(into);
        }
        catch (Exception end) when (end is IOException or ObjectDisposedException)
        {
            return 0;
        }
    }

    // What a terminal would take for a command of its own has no place in a log.
    private static string Text(ReadOnlySpan<byte> bytes) =>
        string.Create(Encoding.UTF8.GetCharCount(bytes), bytes.ToArray(), static (text, raw) =>
        {
            Encoding.UTF8.GetChars(raw, text);
            foreach (ref char c in text)
            {
                c = char.IsControl(c) && c != '\t' ? ' ' : c;
            }
        }).TrimEnd();
}
