using System.Net.Http.Headers;
using Carillon.Protocols.AtomicMulticast;

namespace Carillon.Client.Groups;

/// <summary>One subscription to a group, in its binary form (docs/formats/group-streams.md): no copy for each message.</summary>
internal sealed class Delivery(Transport transport, GroupName group, AtomicGroupOptions options, FeedStart from, string groupId = "")
    : ResumingStream(transport, options.Silence, from)
{
    private readonly List<DeliveredMessage> _run = [];

    private bool _begun;

    /// <summary>Which group of that name it is of: the one that was named, or else the one that it began in; empty before it did.</summary>
    public string GroupId { get; private set; } = groupId;

    /// <summary>The messages that came last, valid until the next are asked for.</summary>
    public IReadOnlyList<DeliveredMessage> Run => _run;

    protected override string MediaType => GroupStream.MessagesType;

    protected override bool HasAny => _run.Count > 0;

    protected override string PathFrom(string start) =>
        $"{GroupCalls.Path(group)}/messages?from={start}{(GroupId.Length > 0 ? "&id=" + GroupId : "")}";

    protected override void Begin(HttpResponseHeaders headers)
    {
        _begun = false;
        if (GroupId.Length == 0 && headers.NonValidated.TryGetValues("Carillon-Group-Id", out HeaderStringValues id))
        {
            GroupId = id.ToString();
        }
    }

    protected override void Forget() => _run.Clear();

    protected override void Take()
    {
        ReadOnlyMemory<byte> left = Unread;
        if (!_begun)
        {
            if (left.Length < GroupStream.PreambleBytes)
            {
                return;
            }

            if (!left.Span[..GroupStream.PreambleBytes].SequenceEqual(GroupStream.DeliveredPreamble))
            {
                throw new InvalidDataException("the answer is not a stream of messages that this version understands");
            }

            _begun = true;
            left = Skip(left, GroupStream.PreambleBytes);
        }

        while (left.Length >= GroupStreamHeader.Size)
        {
            if (!GroupStreamHeader.TryRead(left.Span, out GroupStreamHeader header))
            {
                throw new InvalidDataException("the stream of messages is garbled");
            }

            Came = true;
            int size = GroupStreamHeader.Size + header.Length;
            if (left.Length < size)
            {
                MakeRoom(size);
                return;
            }

            if (!header.IsHeartbeat && header.Number >= Next)
            {
                ReadOnlyMemory<byte> payload = left.Slice(GroupStreamHeader.Size, header.Length);
                _run.Add(new DeliveredMessage(new SequenceNumber(header.Number), header.Id, payload));
                Next = header.Number + 1;
            }

            left = Skip(left, size);
        }
    }

    private ReadOnlyMemory<byte> Skip(ReadOnlyMemory<byte> left, int bytes)
    {
        Advance(bytes);
        return left[bytes..];
    }
}
