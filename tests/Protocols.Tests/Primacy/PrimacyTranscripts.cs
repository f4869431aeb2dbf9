using System.Globalization;
using Carillon.Protocols.Primacy;
using Carillon.Protocols.Tests.Transcripts;
using Carillon.Protocols.Wire;
using Xunit;

namespace Carillon.Protocols.Tests.Primacy;

/// <summary>Plays the scenarios of Transcripts/Primacy on a <see cref="PrimacyLab"/>: every branch of seed 002's figures 4, 6 and
/// 7.</summary>
public sealed class PrimacyTranscripts
{
    private static readonly ServiceName Job = ServiceName.Parse("job");

    private readonly List<string> _effects = [];
    private PrimacyLab _lab = new(1, 1);
    private long _begun;

    public static TheoryData<string> Scenarios => Transcript.In("Primacy");

    [Theory]
    [MemberData(nameof(Scenarios))]
    public void Primacy_in_this_scenario_does_what_is_recorded(string scenario) => Transcript.Check("Primacy", scenario, Run);

    private List<string> Run(TranscriptCommand command)
    {
        _effects.Clear();
        switch (command.Name)
        {
            case "cluster":
                Begin(command);
                break;
            case "table":
                SetTable(command);
                break;
            case "run":
                _lab.Run(command.Duration(0));
                break;
            case "settle":
                _lab.Run(command.Duration(0));
                _effects.Clear();
                break;
            case "crash" or "start":
                Turn(command);
                break;
            case "cut":
                _lab.Cut.Add((command.Node(0), command.Node(1)));
                _lab.Cut.Add((command.Node(1), command.Node(0)));
                break;
            case "heal":
                _lab.Heal();
                break;
            case "notice":
                ForEach(command, server => server.Input(now => server.Core.ConnectivityChanged(now)));
                break;
            case "fail":
                _lab[command[0]].Tell(TimeSpan.Zero, new ServiceNews.ProviderDown(Job, "it crashed", IsFailure: true));
                break;
            case "move":
                Move(command);
                break;
            case "call":
                Call(command);
                break;
            case "status":
                ForEach(command, ShowStatus);
                break;
            default:
                throw command.Fault("not a command");
        }

        return [.. _effects];
    }

    private void Begin(TranscriptCommand command)
    {
        _lab = new PrimacyLab((int)command.Number(0), seed: 1);
        _lab.Run(TimeSpan.FromSeconds(3));
        _begun = _lab.Now;
        _lab.OnEffect = (server, what) =>
        {
            if (what.Contains(" job", StringComparison.Ordinal))
            {
                Note(server, what);
            }
        };
        _lab.OnSend = (from, to, message) =>
        {
            if (Text(message.Span) is { } text)
            {
                Note(from, $"to {to}: {text}");
            }
        };
    }

    // "table s1 s2": those are told of it; without names all are.
    private void SetTable(TranscriptCommand command)
    {
        string[] providers = (command["providers"] ?? string.Join(',', _lab.Configuration.Voters)).Split(',');
        ServiceEntry entry = _lab.Entry("job", secondaries: command["secondaries"] ?? "", providers: providers);
        _lab.PrepareTable(entry);
        foreach (PrimacyServer server in _lab.Servers.Values.Where(s => command.Count == 0 || command.Placed.Contains(s.Name.Name)))
        {
            server.SetTable();
        }
    }

    private void Turn(TranscriptCommand command)
    {
        ForEach(command, server =>
        {
            if (command.Name == "crash")
            {
                server.Crash();
            }
            else
            {
                server.Start();
            }
        });
        if (command["noticed"] is not "no")
        {
            _lab.Reconnect(command.Duration("noticed", TimeSpan.Zero));
        }
    }

    private void Move(TranscriptCommand command)
    {
        PrimacyServer primary = _lab[command[0]];
        primary.Input(now => primary.Core.Yield(
            Job, primary.Core.ActingEpoch(Job, now.Now), command.Node(1), primary.Core.Voter.FenceOf(ServiceName.ReplicaManager), now));
    }

    // A call of a peer that is not otherwise at it: "call s1 s2 run=3".
    private void Call(TranscriptCommand command)
    {
        var rank = new Rank(RankClass.Spare, default, (ushort)command.Number("preference", 9), command.Node(0));
        _lab.Carry(command.Node(0), command.Node(1), PrimacyCodec.Encode(new DisqualifyMessage(
            Job, new Epoch((ulong)command.Number("run", 0)), rank)));
        _lab.Run(TimeSpan.FromMilliseconds(5));
    }

    private void ForEach(TranscriptCommand command, Action<PrimacyServer> action)
    {
        foreach (string name in command.Placed)
        {
            action(_lab[name]);
        }
    }

    private void ShowStatus(PrimacyServer server)
    {
        (NodeId primary, Epoch epoch) = server.Core.PrimaryOf(Job, server.LocalNow);
        string known = primary.IsNone ? "no primary is known" : $"{primary} is primary in epoch {epoch}";
        string state = server.Core.Status(server.LocalNow).FirstOrDefault(s => s.Definition.Name == Job)?.State ?? "no service";
        Note(server.Name, $"{known}; {state}");
    }

    private static string? Text(ReadOnlySpan<byte> message)
    {
        var reader = new WireReader(message);
        return !PrimacyCodec.TryReadHead(ref reader, out PrimacyMessageType type) ? null : type switch
        {
            PrimacyMessageType.Disqualify when DisqualifyMessage.TryRead(ref reader, out DisqualifyMessage m) && m.Service == Job =>
                $"disqualify, run {m.Run}, my rank is {m.Rank}",
            PrimacyMessageType.DisqualifyAnswer when DisqualifyAnswerMessage.TryRead(ref reader, out DisqualifyAnswerMessage m)
                && m.Service == Job => $"{m.Answer.Verdict}, run {m.Answer.Run}, {m.Answer.Rank}",
            PrimacyMessageType.Bid when BidMessage.TryRead(ref reader, out BidMessage m) && m.Service == Job => $"bid for epoch {m.Epoch}",
            PrimacyMessageType.BidAnswer when BidAnswerMessage.TryRead(ref reader, out BidAnswerMessage m) && m.Service == Job =>
                $"epoch {m.Epoch} {m.Verdict}{(m.Holder.IsNone ? "" : $" to {m.Holder}")}, promised {m.Promised}",
            PrimacyMessageType.Withdraw when WithdrawMessage.TryRead(ref reader, out WithdrawMessage m) && m.Service == Job =>
                $"{(m.Released ? "released" : "withdrawn")} epoch {m.Epoch}{(m.Successor.IsNone ? "" : $", for {m.Successor}")}",
            _ => null,
        };
    }

    private void Note(NodeId server, string text) => _effects.Add(string.Create(
        CultureInfo.InvariantCulture, $"{new TimeSpan(_lab.Now - _begun).TotalSeconds:F3} {server}: {text}"));
}
