using System.Globalization;
using Carillon.Protocols.Cluster;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.Tests.Transcripts;
using Carillon.Protocols.VectorExchange;
using Carillon.Protocols.Wire;
using Xunit;

namespace Carillon.Protocols.Tests.VectorExchange;

/// <summary>
/// Plays the scenarios of Transcripts/VectorExchange on an <see cref="ExchangeLab"/>: each record and message as the seed draws it,
/// a vector as <c>t1 s1:1 s2:0 s3:0</c>. Tags are named t1, t2, … as they appear.
/// </summary>
public sealed class ExchangeTranscripts
{
    private readonly List<string> _effects = [];
    private readonly List<Tag> _tags = [];
    private ExchangeLab _lab = new(1, 1);

    public static TheoryData<string> Scenarios => Transcript.In("VectorExchange");

    [Theory]
    [MemberData(nameof(Scenarios))]
    public void Vector_exchange_in_this_scenario_does_what_is_recorded(string scenario) =>
        Transcript.Check("VectorExchange", scenario, Run);

    private List<string> Run(TranscriptCommand command)
    {
        _effects.Clear();
        switch (command.Name)
        {
            case "cluster":
                Begin(command);
                break;
            case "run":
                _lab.Run(command.Duration(0));
                break;
            case "settle":
                _lab.Run(command.Duration(0));
                _effects.Clear();
                break;
            case "crash":
                _lab[command[0]].Crash();
                _lab.Reconnect();
                break;
            case "start":
                _lab[command[0]].Start();
                _lab.Reconnect();
                break;
            case "cut":
                _lab.Cut.Add((command.Node(0), command.Node(1)));
                break;
            case "heal":
                _lab.Cut.Clear();
                break;
            case "reconnect":
                _lab.Reconnect();
                break;
            case "clock":
                _lab[command[0]].Skew = command.Duration(1);
                break;
            case "lag":
                _lab[command[0]].Lags = command[1] == "on";
                _lab[command[0]].FeedGrew();
                break;
            case "feed":
                Feed(_lab.Feed!, command[0]);
                break;
            case "numbered":
                _lab[command[0]].Numbered = command[1] == "on" ? new Tag(new Uid(new Timestamp(1), NodeId.Parse("s9")), 1) : default;
                break;
            case "settled":
                _effects.Add($"{command[0]}: {(_lab[command[0]].Core.SettledRecord("files").IsNone ? "not settled" : "settled")}");
                break;
            case "full":
                _lab[command[0]].IsFull = command[1] == "on";
                break;
            case "status":
                foreach (LabServer each in _lab.Servers.Values)
                {
                    string up = each.IsUp ? $"{each.Core.OpenTags} open" : "down";
                    _effects.Add($"{each.Name}: {up}, {command[0]} is {each.Content(command[0]) ?? "absent"}");
                }

                break;
            default:
                Ask(command);
                break;
        }

        return [.. _effects];
    }

    private void Ask(TranscriptCommand command)
    {
        LabServer server = _lab[command[0]];
        switch (command.Name)
        {
            case "put":
                var put = new Operation(OperationKind.Put, new ObjectName("files", command[1]), LabServer.Manifest(command[2]))
                {
                    Precondition = command["if"] switch
                    {
                        null => default,
                        "absent" => Precondition.Absent,
                        { } which => Precondition.Match(_tags[int.Parse(which, CultureInfo.InvariantCulture) - 1].Uid),
                    },
                };
                server.Submit(
                    [put], command["key"] ?? "k", o => Note(server.Name, $"answers {Text(o)}"), command["ack"] != "agreed");
                break;
            case "read":
                server.Read(command[1], o => Note(server.Name, $"read: {Text(o)}"));
                break;
            case "show" when command["key"] is { } key:
                server.Core.Show(key, server.Moment, a => Note(server.Name, $"key {key}: {a.State} {Of(a.Tag)}".TrimEnd()));
                server.Settle();
                break;
            case "show":
                Tag tag = _tags[(int)command.Number(1) - 1];
                server.Core.Show(tag, server.Moment, r => Note(server.Name, $"{Of(tag)}: {r.State} as {Of(r.Id)}"));
                server.Settle();
                break;
            default:
                throw command.Fault("not a command");
        }
    }

    private static void Feed(LabFeed feed, string order)
    {
        if (order == "hold")
        {
            feed.Hold();
        }
        else
        {
            feed.Release(backwards: order == "swap");
        }
    }

    private void Begin(TranscriptCommand command)
    {
        _tags.Clear();
        var options = new VectorExchangeOptions { ActiveConnectivity = command["connectivity"] == "active" };
        _lab = new ExchangeLab((int)command.Number(0), 1, options, hasFeed: command["feed"] == "on")
        {
            Delay = command.Duration("delay", TimeSpan.FromMilliseconds(1)),
            FlushTime = command.Duration("flush", TimeSpan.FromMilliseconds(1)),
            TellsNumbers = command["numbers"] == "told",
            LongestApply = command.Duration("apply", TimeSpan.Zero),
        };
        _lab.OnAppend = (server, record) => Note(server, $"writes {Text(record)}");
        if (_lab.Feed is { } feed)
        {
            feed.OnNumber = (number, tag) => _effects.Add(string.Create(CultureInfo.InvariantCulture, $"feed: {number} is {Of(tag)}"));
            foreach (LabServer server in _lab.Servers.Values)
            {
                server.OnApplied = (tag, outcome) => Note(server.Name, $"applies {outcome.Number}, {Of(tag)}: {outcome.Verdict}");
            }
        }

        _lab.OnSend = (from, to, message) => Note(from, $"{Text(message.Span)} to {to}");
    }

    private string Text(byte[] record)
    {
        var reader = new WireReader(record.AsSpan(1));
        var type = (RecordType)record[0];
        switch (type)
        {
            case RecordType.Pending:
                Assert.True(Submissions.Submission.TryRead(record.AsSpan(1), out Submissions.Submission submission));
                return $"pending {Of(submission.Tag)}";
            case RecordType.Bit:
                Tag tag = reader.Tag();
                reader.Digest();
                reader.U64();
                return $"vector {Bits(tag, reader.U32(), reader.Bool(), reader.U64())}";
            case RecordType.Rejected:
                return $"rejected {Of(reader.Tag())}{Successor(reader.Tag())}";
            case RecordType.Promised:
                return string.Create(CultureInfo.InvariantCulture, $"promise {Of(reader.Tag())} round {reader.U32()}");
            case RecordType.KeyFenced:
                return $"fence of {reader.Text(256)}";
            case RecordType.StampsReserved:
                return "stamps reserved";
            default:
                return $"{type} {Of(reader.Tag())}";
        }
    }

    private string Text(ReadOnlySpan<byte> message)
    {
        var reader = new WireReader(message);
        Assert.True(MessageCodec.TryReadHead(ref reader, out MessageType type));
        switch (type)
        {
            case MessageType.Push when Push.TryRead(ref reader, out _, out _, out ReadOnlySpan<byte> record)
                && Submissions.Submission.TryRead(record, out Submissions.Submission submission):
                return $"Push {Of(submission.Tag)}{(submission.Replaces.IsNone ? "" : $" for {Of(submission.Replaces)}")}";
            case MessageType.PushAnswer when PushAnswer.TryRead(ref reader, out PushAnswer m):
                return $"PushAnswer {Of(m.Tag)} {m.Verdict}{(m.Other.IsNone ? "" : $" by {Of(m.Other)}, {m.OtherState}")}";
            case MessageType.Vector when Vector.TryRead(ref reader, out Vector m):
                return $"Vector {Bits(m.Tag, m.Round, m.Value, m.Bits)}{(m.Again ? " again" : "")}";
            case MessageType.Abort when Abort.TryRead(ref reader, out Abort m):
                return $"Abort {Of(m.Tag)}{Successor(m.Successor)}";
            case MessageType.Ask when ReadsAsk(ref reader, out string ask):
                return ask;
            case MessageType.Promise when Promise.TryRead(ref reader, out Promise m):
                string bit = m.HasBit ? $"bit of round {m.BitRound}: {(m.BitValue ? "yes" : "no")}" : "no bit";
                return string.Create(CultureInfo.InvariantCulture, $"Promise {Of(m.Tag)} round {m.Round}, {bit}");
            case MessageType.Barred when Barred.TryRead(ref reader, out Barred m):
                return string.Create(CultureInfo.InvariantCulture, $"Barred {Of(m.Tag)} by round {m.Promised}");
            case MessageType.Decided when Decided.TryRead(ref reader, out Decided m):
                return $"Decided {Of(m.Tag)} {m.State}{Successor(m.Successor)}";
            case MessageType.AbortAck or MessageType.Fetch or MessageType.Inquire
                when TagMessage.TryRead(ref reader, type, out TagMessage m):
                return $"{type} {Of(m.Tag)}";
            case MessageType.ReadAnswer when ReadAnswer.TryRead(ref reader, out ReadAnswer m):
                string held = string.Concat(m.Held.Select(h => $", holds {Bits(h.Tag, 0, value: true, h.YesBits)}"));
                string settled = m.Settled.IsNone ? "" : ", settled";
                return $"ReadAnswer agreed {(m.Agreed.IsNone ? "none" : Of(m.Agreed))}{held}{settled}";
            case MessageType.KeyAnswer when KeyAnswer.TryRead(ref reader, out KeyAnswer m):
                return $"KeyAnswer {m.State} {Of(m.Tag)}".TrimEnd();
            default:
                return type.ToString();
        }
    }

    private bool ReadsAsk(ref WireReader reader, out string text)
    {
        bool read = Carillon.Protocols.VectorExchange.Ask.TryRead(ref reader, out Ask m);
        text = string.Create(CultureInfo.InvariantCulture, $"Ask {Of(m.Tag)} round {m.Round}");
        return read;
    }

    // As the seed writes it: test.txt.1.9999.A.03485 A:1 B:0 C:0.
    private string Bits(Tag tag, uint round, bool value, ulong bits)
    {
        string which = round == 0 ? "" : string.Create(CultureInfo.InvariantCulture, $" round {round} {(value ? "yes" : "no")}");
        var set = new VoterSet(bits);
        return Of(tag) + which + string.Concat(_lab.Configuration.Voters.Select((v, i) => $" {v}:{(set.Contains(i) ? 1 : 0)}"));
    }

    private string Of(Tag tag)
    {
        if (tag.IsNone)
        {
            return "";
        }

        if (!_tags.Contains(tag))
        {
            _tags.Add(tag);
        }

        return string.Create(CultureInfo.InvariantCulture, $"t{_tags.IndexOf(tag) + 1}");
    }

    private string Successor(Tag tag) => tag.IsNone ? "" : $", then {Of(tag)}";

    private string Text(SubmitOutcome outcome) => outcome switch
    {
        SubmitOutcome.Accepted { Sequenced.Number.IsNone: false } placed =>
            $"accepted {Of(placed.Tag)} at {placed.Sequenced.Number}{(placed.Replayed ? ", as before" : "")}",
        SubmitOutcome.Accepted accepted => $"accepted {Of(accepted.Tag)}{(accepted.Replayed ? ", as before" : "")}",
        SubmitOutcome.Refused refused => $"refused {Of(refused.Tag)} at {refused.Sequenced.Number}, the name {Winner(refused.Sequenced)}",
        SubmitOutcome.Rejected rejected => $"rejected, {rejected.Reason}: {rejected.Detail}",
        SubmitOutcome.Unknown unknown => $"unknown {Of(unknown.Tag)}",
        _ => "?",
    };

    private string Winner(FeedOutcome outcome)
    {
        Tag tag = _tags.FirstOrDefault(t => t.Uid == outcome.Winner);
        return outcome.IsWinnerLive ? $"has {Of(tag)}" : "is absent";
    }

    private string Text(ReadOutcome outcome) => outcome switch
    {
        ReadOutcome.Found found => $"{System.Text.Encoding.UTF8.GetString(found.Manifest.Inline.Span)} of {Of(found.Tag)}",
        ReadOutcome.Absent => "absent",
        ReadOutcome.Unavailable unavailable => $"unavailable, {unavailable.Why}",
        _ => "?",
    };

    private void Note(NodeId server, string text)
    {
        double since = new TimeSpan(_lab.Now.Ticks - TimeSpan.TicksPerHour).TotalMilliseconds;
        _effects.Add(string.Create(CultureInfo.InvariantCulture, $"{since,8:F2} {server}: {text}").TrimStart());
    }
}
