using System.Buffers;
using System.IO.Pipelines;

namespace Carillon.Gateway;

/// <summary>Reads a small body, or a part of one, into memory.</summary>
internal static class BodyBytes
{
    /// <summary>All bytes to the end, or null where there are more than <paramref name="limit"/>; then no more than that is held.</summary>
    public static async Task<byte[]?> ReadAsync(PipeReader reader, int limit, CancellationToken cancellation)
    {
        while (true)
        {
            ReadResult read = await reader.ReadAsync(cancellation);
            if (read.IsCanceled)
            {
                throw new OperationCanceledException();
            }

            if (read.Buffer.Length > limit)
            {
                reader.AdvanceTo(read.Buffer.Start);
                return null;
            }

            if (read.IsCompleted)
            {
                byte[] bytes = read.Buffer.ToArray();
                reader.AdvanceTo(read.Buffer.End);
                return bytes;
            }

            // Consumed nothing, looked at all: the pipe waits for more. Kestrel's own bound on what it reads ahead does not apply then.
            reader.AdvanceTo(read.Buffer.Start, read.Buffer.End);
        }
    }
}
