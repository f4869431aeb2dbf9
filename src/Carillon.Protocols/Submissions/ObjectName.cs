using System.Buffers;
using System.Text;

namespace Carillon.Protocols.Submissions;

/// <summary>
/// A bucket and a name in it. The rules are the interface contract's: a bucket is 3-63 of a-z 0-9 - . and does not start with a
/// dot (system buckets do); a name is 1-1,024 bytes of UTF-8 without control characters, empty segments, '.' or '..' segments.
/// Ordered by the bytes of the bucket, then of the name, as the catalog's index and every listing are.
/// </summary>
public readonly record struct ObjectName(string Bucket, string Name) : IComparable<ObjectName>
{
    /// <summary>The longest name, in bytes of UTF-8.</summary>
    public const int MaxNameBytes = 1024;

    /// <summary>The longest bucket, in characters.</summary>
    public const int MaxBucketLength = 63;

    /// <summary>The bucket that holds the cluster's own records: one per bucket, named by it.</summary>
    public const string SystemBucket = ".system";

    /// <summary>The replica manager's table, in the system's bucket: no bucket can have this name.</summary>
    public static readonly ObjectName ServiceTable = new(SystemBucket, "primacy/table");

    /// <inheritdoc/>
    public int CompareTo(ObjectName other)
    {
        int byBucket = Utf8Order.Compare(Bucket, other.Bucket);
        return byBucket != 0 ? byBucket : Utf8Order.Compare(Name, other.Name);
    }

    /// <summary>Why a user may not use this bucket name, or null if it is good.</summary>
    public static string? FaultOfBucket(string bucket)
    {
        if (bucket.Length is < 3 or > MaxBucketLength)
        {
            return $"a bucket name has 3 to {MaxBucketLength} characters, this one has {bucket.Length}";
        }

        foreach (char c in bucket)
        {
            if (c is not ((>= 'a' and <= 'z') or (>= '0' and <= '9') or '-' or '.'))
            {
                return $"a bucket name is made of a-z 0-9 - and '.', not '{Printable(c)}'";
            }
        }

        return bucket[0] == '.' ? "a bucket name does not start with a dot: those are the system's" : null;
    }

    /// <summary>Why this is no name that a submission may have, the system's records included, or null if it is one.</summary>
    public string? Fault() => (Bucket == SystemBucket ? null : FaultOfBucket(Bucket)) ?? FaultOfName(Name);

    /// <summary>Why a user may not use this object name, or null if it is good.</summary>
    public static string? FaultOfName(string name)
    {
        if (name.Length == 0)
        {
            return "a name is not empty";
        }

        foreach (char c in name)
        {
            if (char.IsControl(c))
            {
                return $"a name has no control characters, this one has {Printable(c)}";
            }

            if (char.IsSurrogate(c) && !IsWellFormed(name))
            {
                return "a name is well-formed UTF-8, this one has half a surrogate pair";
            }
        }

        int bytes = Encoding.UTF8.GetByteCount(name);
        if (bytes > MaxNameBytes)
        {
            return $"a name has at most {MaxNameBytes} bytes, this one has {bytes}";
        }

        foreach (Range segment in name.AsSpan().Split('/'))
        {
            switch (name.AsSpan()[segment])
            {
                case "":
                    return "a name has no empty segment: no leading, trailing or double '/'";
                case "." or "..":
                    return "a name has no '.' or '..' segment";
            }
        }

        return null;
    }

    /// <inheritdoc/>
    public override string ToString() => $"{Bucket}/{Name}";

    private static string Printable(char c) => char.IsControl(c) || char.IsSurrogate(c) ? $"U+{(int)c:X4}" : c.ToString();

    private static bool IsWellFormed(string text)
    {
        ReadOnlySpan<char> rest = text;
        while (!rest.IsEmpty)
        {
            if (Rune.DecodeFromUtf16(rest, out _, out int used) != OperationStatus.Done)
            {
                return false;
            }

            rest = rest[used..];
        }

        return true;
    }
}
