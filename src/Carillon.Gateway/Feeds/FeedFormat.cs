using System.Text.Json;
using Carillon.Gateway.Streams;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Submissions;
using Carillon.Storage.Catalogs;

namespace Carillon.Gateway.Feeds;

/// <summary>How one who watches gets the entries.</summary>
internal static class FeedFormat
{
    private static readonly EventFormat<FeedItem, FeedJson> Events = new();
    private static readonly LineFormat<FeedItem, FeedJson> Lines = new();

    /// <summary>The form that the request asks for; events where it asks for none that is known.</summary>
    public static StreamFormat<FeedItem> Of(string accept) =>
        accept.Contains(Lines.ContentType, StringComparison.Ordinal) && !accept.Contains(Events.ContentType, StringComparison.Ordinal)
            ? Lines : Events;
}

/// <summary>An entry as JSON: one object for each name. All but the last say that there is more of the entry.</summary>
internal readonly struct FeedJson : IStreamJson<FeedItem>
{
    public static SequenceNumber NumberOf(in FeedItem entry) => entry.Number;

    public static int ObjectsOf(in FeedItem entry) => entry.Operations.Length;

    public static void Write(Utf8JsonWriter writer, in FeedItem entry, int index)
    {
        FeedOperation operation = entry.Operations[index];
        bool isPut = operation.Kind == OperationKind.Put;
        writer.WriteStartObject();
        writer.WriteNumber("sequence", entry.Number.Value);
        writer.WriteString("uid", entry.Tag.Uid.ToString());
        writer.WriteString("bucket", operation.Target.Bucket);
        writer.WriteString("name", operation.Target.Name);
        writer.WriteString("kind", isPut ? "put" : "delete");
        writer.WriteNumber("size", operation.Size);
        if (isPut)
        {
            writer.WriteString("sha256", operation.Sha256.ToString());
        }
        else
        {
            writer.WriteNull("sha256");
        }

        if (entry.Verdict == FeedVerdict.Superseded)
        {
            writer.WriteBoolean("superseded", true);
        }

        if (index < entry.Operations.Length - 1)
        {
            writer.WriteBoolean("more", true);
        }

        writer.WriteEndObject();
    }
}
