using System.Globalization;
using Carillon.Protocols.Membership;
using Carillon.Protocols.Tests.Transcripts;
using Xunit;

namespace Carillon.Protocols.Tests.Membership;

/// <summary>Plays the scenarios of Transcripts/Membership on a <see cref="MembershipLab"/>.</summary>
public sealed class MembershipTranscripts
{
    private readonly List<string> _effects = [];
    private MembershipLab _lab = new(1);
    private bool _showHeartbeats;
    private bool _showProbes = true;

    public static TheoryData<string> Scenarios => Transcript.In("Membership");

    [Theory]
    [MemberData(nameof(Scenarios))]
    public void Membership_in_this_scenario_does_what_is_recorded(string scenario) => Transcript.Check("Membership", scenario, Run);

    private List<string> Run(TranscriptCommand command)
    {
        _effects.Clear();
        switch (command.Name)
        {
            case "cluster":
                Begin(command);
                break;
            case "start":
                StartAll(command);
                break;
            case "crash":
                ForEach(command, _lab.Crash);
                break;
            case "pause":
                _lab.Pause(_lab[command[0]], command.Duration(1));
                break;
            case "run":
                _lab.Run(command.Duration(0));
                break;
            case "settle":
                _lab.Run(command.Duration(0));
                _effects.Clear();
                break;
            case "cut" or "heal":
                ChangeLink(command);
                break;
            case "group":
                _lab.GroupWorks = command[0] == "on";
                break;
            case "deaf":
                _lab.SetDeaf(command.Node(0), command[1] == "on");
                break;
            case "clock":
                _lab[command[0]].WallOffset += command.Duration(1);
                break;
            case "late":
                DeliverLate(command);
                break;
            case "show":
                _showHeartbeats = command.Placed.Contains("heartbeats", StringComparer.Ordinal);
                _showProbes = command.Placed.Contains("probes", StringComparer.Ordinal);
                break;
            case "status":
                ShowStatus(_lab[command[0]].Monitor!);
                break;
            default:
                throw command.Fault("not a command");
        }

        return [.. _effects];
    }

    private void Begin(TranscriptCommand command)
    {
        var options = new MembershipOptions
        {
            Transport = Enum.Parse<TransportChoice>(command["transport"] ?? "unicast", ignoreCase: true),
            ClockStrict = command["clock"] == "strict",
        };
        _lab = new MembershipLab((int)command.Number(0), options: options)
        {
            Latency = command.Duration("latency", TimeSpan.FromMilliseconds(1)),
        };
        _lab.OnEvent = (server, occurrence) => Note(server, Text(occurrence));
        _lab.OnSend = (server, send) =>
        {
            if (Heartbeat.TryRead(send.Message.Span, out Heartbeat heartbeat))
            {
                if (_showHeartbeats)
                {
                    string echoes = string.Join(' ', heartbeat.Echoes.Select(EchoText));
                    Note(server, $"heartbeat {heartbeat.Number} by {Way(send)}, echoes {echoes}");
                }
            }
            else if (_showProbes && ProbeMessage.TryRead(send.Message.Span, out ProbeMessage probe))
            {
                Note(server, $"{probe.Kind} {probe.Number} of {probe.Origin} about {probe.Target.Name} by {Way(send)}");
            }
        };
    }

    // Whose (by its place), which incarnation, and how long ago the echoed heartbeat came.
    private static string EchoText(HeartbeatEcho echo)
    {
        string held = echo.Held == HeartbeatEcho.NotHeld ? "-" : string.Create(CultureInfo.InvariantCulture, $"{echo.Held / 1000}ms");
        return string.Create(CultureInfo.InvariantCulture, $"{echo.Index}:{echo.Incarnation}:{held}");
    }

    private static string Way(MembershipSend send) =>
        send.Path == MessagePath.Group ? "group" : $"{(send.Path == MessagePath.Tunnel ? "tunnel" : "datagram")} to {send.To}";

    private void StartAll(TranscriptCommand command)
    {
        Incarnation? incarnation = command["incarnation"] is { } text ? new Incarnation((ulong)command.Number(text)) : null;
        DiskId? disk = command["disk"] is { } other ? new DiskId((UInt128)command.Number(other)) : null;
        ForEach(command, server => _lab.Start(server, incarnation, disk));
    }

    private void ForEach(TranscriptCommand command, Action<LabServer> action)
    {
        foreach (string name in command.Placed)
        {
            action(_lab[name]);
        }
    }

    // "cut s1 > s2" is one direction, "cut s1 s2" both; path=datagrams or path=tunnel cuts only those.
    private void ChangeLink(TranscriptCommand command)
    {
        bool oneWay = command.Count == 3 && command[1] == ">";
        NodeId a = command.Node(0);
        NodeId b = command.Node(oneWay ? 2 : 1);
        foreach ((NodeId from, NodeId to) in oneWay ? [(a, b)] : new[] { (a, b), (b, a) })
        {
            if (command.Name == "heal")
            {
                _lab.Heal(from, to);
            }
            else
            {
                _lab.Cut(from, to, datagrams: command["path"] != "tunnel", tunnel: command["path"] != "datagrams");
            }
        }
    }

    // A heartbeat of a former life, held up in the network until now.
    private void DeliverLate(TranscriptCommand command)
    {
        LabServer from = _lab[command[0]];
        ServerIdentity former = from.Identity with { Incarnation = new Incarnation((ulong)command.Number("incarnation", 0)) };
        var heartbeat = new Heartbeat { Sender = former, ConfigurationVersion = 1, Number = 9999, Votes = true, Echoes = [] };
        byte[] bytes = new byte[heartbeat.Size];
        heartbeat.Write(bytes);
        _lab.Deliver(former, _lab[command[1]], bytes);
    }

    private void ShowStatus(MembershipMonitor monitor)
    {
        string quorum = $"{(monitor.HasQuorum ? "quorum" : "no quorum")} of {monitor.ConnectedVoters.Count}";
        string median = monitor.MedianOffset(_lab.MomentOf(_lab[monitor.Self.Name.Name])) is { } offset ? Seconds(offset) : "none";
        _effects.Add(string.Create(
            CultureInfo.InvariantCulture,
            $"{monitor.Self}: view {monitor.View}, {quorum}, median offset {median}, {monitor.SelfFault}"));
        _effects.Add($"transport {(monitor.Transport.Multicast ? "multicast" : "unicast")}: {monitor.Transport.Reason}");
        foreach (MemberStatus member in monitor.Status())
        {
            string connected = member.Connected ? "connected" : "not connected";
            string roundTrip = member.RoundTrip is { } time ? Milliseconds(time) : "-";
            string clock = member.Clock is { } measured ? Seconds(measured.Offset) : "-";
            string flags = $"{(member.Votes ? "votes" : "does not vote: " + member.Fault)}{(member.Quarantined ? ", quarantined" : "")}";
            _effects.Add($"{member.Name}#{member.Incarnation} {member.State}, {connected}, round trip {roundTrip}, clock {clock}, {flags}");
        }

        foreach (ClockSkew skew in monitor.SkewReport())
        {
            string quarantined = skew.Quarantined ? ", quarantined" : "";
            _effects.Add($"skew: {skew.Server} is {Seconds(skew.Offset)} against {skew.Against}{quarantined}");
        }
    }

    private static string Milliseconds(TimeSpan time) => string.Create(CultureInfo.InvariantCulture, $"{time.TotalMilliseconds:0.#} ms");

    private static string Seconds(TimeSpan offset) => string.Create(CultureInfo.InvariantCulture, $"{offset.TotalSeconds:+0.0;-0.0;0.0} s");

    private static string Text(MembershipEvent occurrence) => occurrence.Kind switch
    {
        MembershipEventKind.ViewChanged => string.Create(CultureInfo.InvariantCulture, $"view {occurrence.View}"),
        MembershipEventKind.TransportChanged => "transport changed",
        _ => string.Create(CultureInfo.InvariantCulture, $"{occurrence.Kind} {occurrence.Server}#{occurrence.Incarnation}"),
    };

    private void Note(NodeId server, string text) => _effects.Add(string.Create(
        CultureInfo.InvariantCulture, $"{new TimeSpan(_lab.Now.Ticks).TotalSeconds:F3} {server}: {text}"));
}
