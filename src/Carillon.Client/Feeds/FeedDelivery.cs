using System.Buffers.Text;
using System.Collections.Immutable;
using System.Net.Http.Headers;
using System.Text.Json;

namespace Carillon.Client.Feeds;

/// <summary>One who watches the feed, by server-sent events: each brings an entry whole, so that one which was cut off in the middle comes
/// again, and never in part.</summary>
internal sealed class FeedDelivery(Transport transport, WatchOptions options) : ResumingStream(transport, options.Silence, options.From)
{
    /// <summary>An entry of 1,000 names of 1,024 bytes each has less, every character escaped.</summary>
    private const int MaxEventBytes = 16 << 20;

    private readonly List<FeedEntry> _run = [];

    /// <summary>The entries that came last, valid until the next are asked for.</summary>
    public IReadOnlyList<FeedEntry> Run => _run;

    protected override string MediaType => "text/event-stream";

    protected override bool HasAny => _run.Count > 0;

    protected override string PathFrom(string start) => Paths.Feed(start, options.Bucket, options.Prefix);

    protected override void Begin(HttpResponseHeaders headers)
    {
    }

    protected override void Forget() => _run.Clear();

    protected override void Take()
    {
        ReadOnlyMemory<byte> left = Unread;
        while (true)
        {
            int end = left.Span.IndexOf("\n\n"u8);
            if (end < 0)
            {
                break;
            }

            TakeEvent(left.Span[..end]);
            Came = true;
            Advance(end + 2);
            left = left[(end + 2)..];
        }

        if (left.Length > MaxEventBytes)
        {
            throw new InvalidDataException("the feed's answer has no end");
        }

        // An event that does not fit yet: twice the room, so that it is moved seldom.
        MakeRoom(Math.Max(1, left.Length * 2));
    }

    private void TakeEvent(ReadOnlySpan<byte> text)
    {
        ulong number = 0;
        ImmutableArray<FeedChange>.Builder? changes = null;
        foreach (Range range in text.Split((byte)'\n'))
        {
            ReadOnlySpan<byte> line = text[range];
            if (line.StartsWith("id: "u8))
            {
                number = Utf8Parser.TryParse(line[4..], out ulong id, out int read) && read == line.Length - 4
                    ? id : throw new InvalidDataException("the feed's answer has an id that is no number");
            }
            else if (line.StartsWith("data: "u8))
            {
                changes ??= ImmutableArray.CreateBuilder<FeedChange>();
                changes.Add(FeedLine.Read(line[6..]));
            }
            else if (!line.StartsWith(":"u8))
            {
                throw new InvalidDataException("the feed's answer is not one that this version understands");
            }
        }

        if (changes is not null && number >= Next)
        {
            FeedChange first = changes[0];
            _run.Add(first.Sequence == number
                ? new FeedEntry(number, first.Uid, first.Superseded, changes.DrainToImmutable())
                : throw new InvalidDataException("the feed's answer has an entry under another number"));
        }

        // Of what was left out the number is told too: who starts again need not look at it again.
        Next = Math.Max(Next, number + 1);
    }
}

/// <summary>Reads one line of the feed.</summary>
internal static class FeedLine
{
    /// <summary>The change that it tells.</summary>
    /// <exception cref="InvalidDataException">It is none.</exception>
    public static FeedChange Read(ReadOnlySpan<byte> json)
    {
        try
        {
            return Read(new Utf8JsonReader(json));
        }
        catch (Exception fault) when (fault is JsonException or InvalidOperationException or FormatException)
        {
            throw new InvalidDataException("the feed's answer is not what this version understands: " + fault.Message, fault);
        }
    }

    private static FeedChange Read(Utf8JsonReader reader)
    {
        var line = new FeedChange();
        reader.Read();
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string name = reader.GetString()!;
            reader.Read();
            switch (name)
            {
                case "sequence":
                    line = line with { Sequence = reader.GetUInt64() };
                    break;
                case "uid":
                    line = line with { Uid = reader.GetString() ?? "" };
                    break;
                case "bucket":
                    line = line with { Bucket = reader.GetString() ?? "" };
                    break;
                case "name":
                    line = line with { Name = reader.GetString() ?? "" };
                    break;
                case "kind":
                    line = line with { Kind = reader.GetString() ?? "" };
                    break;
                case "size":
                    line = line with { Size = reader.GetInt64() };
                    break;
                case "sha256":
                    line = line with { Sha256 = reader.GetString() };
                    break;
                case "superseded":
                    line = line with { Superseded = reader.GetBoolean() };
                    break;
                default:
                    reader.Skip();
                    break;
            }
        }

        return reader.TokenType == JsonTokenType.EndObject && line.Sequence > 0 && line.Uid.Length > 0 && line.Name.Length > 0
            ? line : throw new InvalidDataException("the feed's answer has a line that says nothing of a name");
    }
}
