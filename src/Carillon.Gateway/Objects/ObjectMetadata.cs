using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using Carillon.Gateway.Problems;
using Carillon.Gateway.Routing;
using Carillon.Protocols;
using Carillon.Protocols.Submissions;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Primitives;

namespace Carillon.Gateway.Objects;

/// <summary>
/// An object's metadata on its way in and out: headers <c>Carillon-Meta-KEY</c> with percent-encoded UTF-8 values. Header names know no
/// case, so keys are kept in lower case.
/// </summary>
internal static class ObjectMetadata
{
    /// <summary>The prefix of a metadata header.</summary>
    public const string HeaderPrefix = "Carillon-Meta-";

    /// <summary>The key under which clients keep a file's own time of change.</summary>
    public const string ModifiedKey = "carillon-mtime";

    /// <summary>
    /// The most entries. What a key stands for is hashed with a few bytes of frame per entry, and each entry is a header of the answer;
    /// 8 KiB of one-letter entries would be thousands.
    /// </summary>
    public const int MaxEntries = 100;

    /// <summary>Reads the metadata headers.</summary>
    public static bool TryRead(
        IHeaderDictionary headers, out ImmutableArray<KeyValuePair<string, string>> metadata, out Problem? problem)
    {
        metadata = [];
        problem = null;
        ImmutableArray<KeyValuePair<string, string>>.Builder? builder = null;
        foreach ((string header, StringValues values) in headers)
        {
            if (!header.StartsWith(HeaderPrefix, StringComparison.OrdinalIgnoreCase))
            {
                continue;
            }

            string key = header[HeaderPrefix.Length..].ToLowerInvariant();
            if (values.Count != 1)
            {
                problem = new Problem(ProblemTypes.BadRequest, $"The header '{Shown.Text(header)}' is given {values.Count} times.");
                return false;
            }

            if (!PercentCoding.TryDecode(values[0], plusIsSpace: false, out string value, out string fault))
            {
                problem = new Problem(
                    ProblemTypes.BadRequest,
                    $"The value of '{Shown.Text(header)}' can't be read: {fault}; values are percent-encoded UTF-8.");
                return false;
            }

            builder ??= ImmutableArray.CreateBuilder<KeyValuePair<string, string>>();
            builder.Add(new(key, value));
        }

        if (builder is null)
        {
            return true;
        }

        metadata = Sorted(builder);
        return true;
    }

    /// <summary>Puts entries into the order in which a manifest has them.</summary>
    public static ImmutableArray<KeyValuePair<string, string>> Sorted(ImmutableArray<KeyValuePair<string, string>>.Builder entries)
    {
        entries.Sort((a, b) => string.CompareOrdinal(a.Key, b.Key));
        return entries.DrainToImmutable();
    }

    /// <summary>Why these entries, in order, and this media type can't be kept, or null if they can.</summary>
    public static Problem? FaultOf(string contentType, ImmutableArray<KeyValuePair<string, string>> metadata)
    {
        if (contentType.AsSpan().ContainsAnyExceptInRange(' ', '~'))
        {
            return new Problem(ProblemTypes.BadRequest, $"The media type '{Shown.Text(contentType)}' is not visible ASCII.");
        }

        if (metadata.Length > MaxEntries)
        {
            return new Problem(ProblemTypes.TooLarge, $"There are {metadata.Length} metadata entries; at most {MaxEntries} are kept.");
        }

        int bytes = contentType.Length;
        for (int i = 0; i < metadata.Length; i++)
        {
            (string key, string value) = metadata[i];
            if (key.Length == 0 || key.AsSpan().ContainsAnyExcept(KeyCharacters))
            {
                return new Problem(
                    ProblemTypes.BadRequest, $"The metadata key '{Shown.Text(key)}' is not made of a-z 0-9 - _ and '.'.");
            }

            if (i > 0 && metadata[i - 1].Key == key)
            {
                return new Problem(ProblemTypes.BadRequest, $"The metadata key '{key}' is given twice.");
            }

            bytes += key.Length + Encoding.UTF8.GetByteCount(value);
        }

        return bytes <= ObjectManifest.MaxMetadataBytes ? null : new Problem(
            ProblemTypes.TooLarge,
            $"Metadata, with the media type, has {bytes} bytes; at most {ObjectManifest.MaxMetadataBytes} are kept.");
    }

    /// <summary>Writes the metadata headers of an answer.</summary>
    public static void Write(ImmutableArray<KeyValuePair<string, string>> metadata, IHeaderDictionary headers)
    {
        foreach ((string key, string value) in metadata)
        {
            headers[string.Concat(HeaderPrefix, key)] = PercentCoding.Encode(value);
        }
    }

    /// <summary>When the content was changed: as the client said (RFC 3339) if it did, else when the version was made.</summary>
    public static DateTimeOffset ModifiedOf(Uid uid, ImmutableArray<KeyValuePair<string, string>> metadata)
    {
        foreach ((string key, string value) in metadata)
        {
            const DateTimeStyles Styles = DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal;
            if (key == ModifiedKey && DateTimeOffset.TryParse(value, CultureInfo.InvariantCulture, Styles, out DateTimeOffset told))
            {
                return told;
            }
        }

        // A stamp has 48 bits of milliseconds, some way beyond the greatest date that there is.
        long milliseconds = Math.Min(uid.Stamp.Milliseconds, DateTimeOffset.MaxValue.ToUnixTimeMilliseconds());
        return DateTimeOffset.FromUnixTimeMilliseconds(milliseconds);
    }

    private static readonly System.Buffers.SearchValues<char> KeyCharacters =
        System.Buffers.SearchValues.Create("abcdefghijklmnopqrstuvwxyz0123456789-_.");
}
