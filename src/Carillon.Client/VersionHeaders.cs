using System.Collections.Immutable;
using System.Globalization;

namespace Carillon.Client;

/// <summary>A version's description in an answer's headers.</summary>
internal static class VersionHeaders
{
    /// <summary>What the headers of a version's metadata begin with; their values are percent-encoded UTF-8.</summary>
    public const string MetadataPrefix = "Carillon-Meta-";

    /// <summary>The query that names a version and a consistency.</summary>
    public static string Query(string? version, bool local) => (version, local) switch
    {
        (null, false) => "",
        (null, true) => "?consistency=local",
        (_, false) => "?version=" + Uri.EscapeDataString(version),
        _ => "?version=" + Uri.EscapeDataString(version) + "&consistency=local",
    };

    /// <summary>Reads the description.</summary>
    /// <exception cref="InvalidDataException">It is not there.</exception>
    public static ObjectStat Read(HttpResponseMessage response)
    {
        string uid = Value(response, "ETag").Trim('"');
        string sha256 = Value(response, "Carillon-Sha256");
        if (uid.Length == 0 || sha256.Length != 64)
        {
            throw new InvalidDataException("the server's answer lacks the version's UID or its hash");
        }

        string sequence = Value(response, "Carillon-Sequence");
        return new ObjectStat
        {
            Uid = uid,
            Sha256 = sha256,
            Sequence = long.TryParse(sequence, NumberStyles.None, CultureInfo.InvariantCulture, out long number) ? number : null,
            Size = response.Content.Headers.ContentRange?.Length ?? response.Content.Headers.ContentLength
                ?? throw new InvalidDataException("the server's answer lacks the content's length"),
            ContentType = response.Content.Headers.TryGetValues("Content-Type", out IEnumerable<string>? types) ? types.First() : "",
            Modified = response.Content.Headers.LastModified,
            Metadata = ReadMetadata(response),
        };
    }

    private static ImmutableSortedDictionary<string, string> ReadMetadata(HttpResponseMessage response)
    {
        ImmutableSortedDictionary<string, string>.Builder? metadata = null;
        foreach (var header in response.Headers.NonValidated)
        {
            if (header.Key.StartsWith(MetadataPrefix, StringComparison.OrdinalIgnoreCase))
            {
                metadata ??= ImmutableSortedDictionary.CreateBuilder<string, string>(StringComparer.Ordinal);
                metadata[header.Key[MetadataPrefix.Length..].ToLowerInvariant()] = Uri.UnescapeDataString(header.Value.ToString());
            }
        }

        return metadata?.ToImmutable() ?? ImmutableSortedDictionary<string, string>.Empty;
    }

    private static string Value(HttpResponseMessage response, string name) =>
        response.Headers.NonValidated.TryGetValues(name, out var values) ? values.ToString() : "";
}
