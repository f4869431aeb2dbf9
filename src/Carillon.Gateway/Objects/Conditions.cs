using Carillon.Gateway.Problems;
using Carillon.Protocols;
using Carillon.Protocols.Submissions;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Primitives;

namespace Carillon.Gateway.Objects;

/// <summary>
/// The condition of a write, in its headers. One version or none can be asked for, since that is what the feed decides about: what else
/// RFC 9110 knows is refused, never ignored.
/// </summary>
internal static class Conditions
{
    /// <summary>True if there is any.</summary>
    public static bool Any(IHeaderDictionary headers) =>
        headers.IfMatch.Count > 0 || headers.IfNoneMatch.Count > 0 || headers.IfUnmodifiedSince.Count > 0;

    /// <summary>Reads <c>If-Match: "UID"</c> or <c>If-None-Match: *</c>; none where neither is there.</summary>
    public static bool TryRead(IHeaderDictionary headers, out Precondition condition, out Problem? problem)
    {
        condition = default;
        problem = null;
        if (!Any(headers))
        {
            return true;
        }

        string? fault = headers.IfUnmodifiedSince.Count > 0 ? "If-Unmodified-Since is not taken: use If-Match"
            : headers.IfMatch.Count > 0 && headers.IfNoneMatch.Count > 0 ? "If-Match and If-None-Match do not go together"
            : headers.IfMatch.Count > 0 ? Match(headers.IfMatch, out condition)
            : Absent(headers.IfNoneMatch, out condition);
        problem = fault is null ? null : new Problem(ProblemTypes.BadRequest, $"The condition can't be taken: {fault}.");
        return fault is null;
    }

    private static string? Match(StringValues values, out Precondition condition)
    {
        condition = default;
        string text = values.Count == 1 ? values[0]!.Trim() : "";
        bool isQuoted = text.Length > 2 && text[0] == '"' && text[^1] == '"';
        if (!isQuoted || !Uid.TryParse(text.AsSpan(1..^1), out Uid uid) || uid.IsNone)
        {
            return $"If-Match is one version's entity tag, \"UID\", not '{Shown.Text(values.ToString())}'";
        }

        condition = Precondition.Match(uid);
        return null;
    }

    private static string? Absent(StringValues values, out Precondition condition)
    {
        condition = Precondition.Absent;
        return values.Count == 1 && values[0]!.Trim() == "*"
            ? null : $"If-None-Match of a write is *, not '{Shown.Text(values.ToString())}'";
    }
}
