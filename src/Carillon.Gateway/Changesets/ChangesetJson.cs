using Carillon.Protocols;
using System.Collections.Immutable;
using System.Text.Json;
using Carillon.Gateway.Json;
using Carillon.Gateway.Objects;
using Carillon.Gateway.Problems;
using Carillon.Protocols.Submissions;

namespace Carillon.Gateway.Changesets;

/// <summary>
/// The JSON of a changeset: <c>{"operations":[{"put":"BUCKET/NAME","file":…|"text":…|"base64":…},{"delete":"BUCKET/NAME"}]}</c>; each
/// may have <c>"ifMatch":"UID"</c> or <c>"ifNoneMatch":true</c>.
/// </summary>
internal static class ChangesetJson
{
    private const string Fields = "put, delete, file, text, base64, contentType, metadata, ifMatch, ifNoneMatch";

    /// <summary>Reads a changeset; null with the problem where it is not right.</summary>
    public static IReadOnlyList<PlannedOperation>? Read(ReadOnlySpan<byte> json, out Problem? problem)
    {
        problem = null;
        List<PlannedOperation>? operations = JsonInput.Read(json, Parse, out string fault, out bool exceeds);
        if (operations is null)
        {
            problem = new Problem(exceeds ? ProblemTypes.TooLarge : ProblemTypes.BadChangeset, $"The changeset can't be taken: {fault}.");
            return null;
        }

        foreach (PlannedOperation operation in operations)
        {
            if (ObjectMetadata.FaultOf(operation.ContentType ?? "", operation.Metadata) is { } wrong)
            {
                problem = wrong with { Detail = $"'{operation.Target}': {wrong.Detail}" };
                return null;
            }
        }

        return operations;
    }

    private static List<PlannedOperation> Parse(ref Utf8JsonReader reader)
    {
        JsonInput.Expect(ref reader, JsonTokenType.StartObject, "it");
        List<PlannedOperation>? operations = null;
        while (JsonInput.NextField(ref reader, out string field))
        {
            if (field != "operations")
            {
                throw JsonInput.Unknown(field, "operations");
            }

            if (operations is not null)
            {
                throw new JsonInputException("'operations' is given twice");
            }

            operations = ParseOperations(ref reader);
        }

        return operations is { Count: > 0 } ? operations : throw new JsonInputException("it has no operations");
    }

    private static List<PlannedOperation> ParseOperations(ref Utf8JsonReader reader)
    {
        JsonInput.Expect(ref reader, JsonTokenType.StartArray, "'operations'");
        var operations = new List<PlannedOperation>();
        var targets = new HashSet<ObjectName>();
        var files = new HashSet<string>(StringComparer.Ordinal);
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            if (operations.Count == Submission.MaxOperations)
            {
                throw new JsonInputException($"it has more than {Submission.MaxOperations} operations") { Exceeds = true };
            }

            PlannedOperation operation = ParseOperation(ref reader, operations.Count + 1);
            if (!targets.Add(operation.Target))
            {
                throw new JsonInputException($"'{operation.Target}' is in it twice");
            }

            if (operation.File is { } file && !files.Add(file))
            {
                throw new JsonInputException($"two operations name the file '{Shown.Text(file)}'; give each a part of its own");
            }

            operations.Add(operation);
        }

        return operations;
    }

    private static PlannedOperation ParseOperation(ref Utf8JsonReader reader, int number)
    {
        JsonInput.Expect(ref reader, JsonTokenType.StartObject, $"operation {number}");
        var draft = new OperationDraft(number);
        while (JsonInput.NextField(ref reader, out string field))
        {
            if (!draft.Seen.Add(field))
            {
                throw new JsonInputException($"operation {number} has '{Shown.Text(field)}' twice");
            }

            if (reader.TokenType != JsonTokenType.Null || !draft.IsOptional(field))
            {
                ParseField(ref reader, field, draft);
            }
        }

        return draft.Complete();
    }

    private static void ParseField(ref Utf8JsonReader reader, string field, OperationDraft draft)
    {
        switch (field)
        {
            case "put":
                draft.Put = JsonInput.Text(ref reader, field);
                break;
            case "delete":
                draft.Delete = JsonInput.Text(ref reader, field);
                break;
            case "file":
                draft.File = JsonInput.Text(ref reader, field);
                break;
            case "text":
                draft.Take(TextOf(ref reader));
                break;
            case "base64":
                draft.Take(BytesOf(ref reader));
                break;
            case "contentType":
                draft.ContentType = JsonInput.Text(ref reader, field);
                break;
            case "metadata":
                draft.Metadata = MetadataOf(ref reader);
                break;
            case "ifMatch":
                draft.IfMatch = JsonInput.Text(ref reader, field);
                break;
            case "ifNoneMatch":
                draft.IfNoneMatch = JsonInput.Truth(ref reader, field);
                break;
            default:
                throw JsonInput.Unknown(field, Fields);
        }
    }

    /// <summary>A string's content as UTF-8, without a detour over UTF-16.</summary>
    private static byte[] TextOf(ref Utf8JsonReader reader)
    {
        if (reader.TokenType != JsonTokenType.String)
        {
            throw new JsonInputException("'text' is not a string");
        }

        byte[] bytes = new byte[reader.ValueSpan.Length];
        int length = reader.CopyString(bytes);
        return length == bytes.Length ? bytes : bytes[..length];
    }

    private static byte[] BytesOf(ref Utf8JsonReader reader) =>
        reader.TokenType == JsonTokenType.String && reader.TryGetBytesFromBase64(out byte[]? bytes)
            ? bytes : throw new JsonInputException("'base64' is not a string of base64");

    private static ImmutableArray<KeyValuePair<string, string>> MetadataOf(ref Utf8JsonReader reader)
    {
        JsonInput.Expect(ref reader, JsonTokenType.StartObject, "'metadata'");
        var entries = ImmutableArray.CreateBuilder<KeyValuePair<string, string>>();
        while (JsonInput.NextField(ref reader, out string key))
        {
            if (entries.Count > ObjectMetadata.MaxEntries)
            {
                throw new JsonInputException($"'metadata' has more than {ObjectMetadata.MaxEntries} entries") { Exceeds = true };
            }

            entries.Add(new(key.ToLowerInvariant(), JsonInput.Text(ref reader, key)));
        }

        return ObjectMetadata.Sorted(entries);
    }

    /// <summary>An operation while its fields come, in any order.</summary>
    private sealed class OperationDraft(int number)
    {
        private byte[]? _content;
        private int _sources;

        public HashSet<string> Seen { get; } = new(StringComparer.Ordinal);

        public string? Put { get; set; }

        public string? Delete { get; set; }

        public string? File { get; set; }

        public string? ContentType { get; set; }

        public ImmutableArray<KeyValuePair<string, string>> Metadata { get; set; } = [];

        public string? IfMatch { get; set; }

        public bool IfNoneMatch { get; set; }

        /// <summary>Programs write null for what they leave out; for what an operation can't be without, null is an error.</summary>
        public bool IsOptional(string field) =>
            field is "file" or "text" or "base64" or "contentType" or "metadata" or "ifMatch" or "ifNoneMatch";

        public void Take(byte[] content)
        {
            _content = content;
            _sources++;
        }

        public PlannedOperation Complete()
        {
            if (Put is null == Delete is null)
            {
                throw new JsonInputException(
                    $"operation {number} has {(Put is null ? "neither 'put' nor 'delete'" : "both 'put' and 'delete'")}");
            }

            _sources += File is null ? 0 : 1;
            if (_sources != (Put is null ? 0 : 1))
            {
                throw new JsonInputException(Put is null
                    ? $"operation {number} deletes, and has content"
                    : $"operation {number} has {_sources} of 'file', 'text' and 'base64'; a put has one");
            }

            if (Put is null && (ContentType is not null || Metadata.Length > 0))
            {
                throw new JsonInputException($"operation {number} deletes, and has a media type or metadata");
            }

            return new PlannedOperation
            {
                Kind = Put is null ? OperationKind.Delete : OperationKind.Put,
                Target = TargetOf(Put ?? Delete!),
                File = File,
                Content = _content,
                ContentType = ContentType,
                Metadata = Metadata,
                Precondition = PreconditionOf(),
            };
        }

        private Precondition PreconditionOf()
        {
            if (IfMatch is null)
            {
                return IfNoneMatch ? Precondition.Absent : default;
            }

            if (IfNoneMatch)
            {
                throw new JsonInputException($"operation {number} has both 'ifMatch' and 'ifNoneMatch'");
            }

            string text = IfMatch.Length > 2 && IfMatch[0] == '"' && IfMatch[^1] == '"' ? IfMatch[1..^1] : IfMatch;
            return Uid.TryParse(text, out Uid uid) && !uid.IsNone
                ? Precondition.Match(uid)
                : throw new JsonInputException($"operation {number}: 'ifMatch' is a version's UID, not '{Shown.Text(IfMatch)}'");
        }

        private ObjectName TargetOf(string text)
        {
            int slash = text.IndexOf('/');
            string bucket = slash < 0 ? text : text[..slash];
            string name = slash < 0 ? "" : text[(slash + 1)..];
            return (ObjectName.FaultOfBucket(bucket) ?? ObjectName.FaultOfName(name)) is { } fault
                ? throw new JsonInputException($"operation {number}, '{Shown.Text(text)}': {fault}") : new ObjectName(bucket, name);
        }
    }
}
