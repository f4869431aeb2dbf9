using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Cluster;
using Carillon.Protocols.Tests.Transcripts;
using Xunit;

namespace Carillon.Protocols.Tests.AtomicMulticast;

/// <summary>The figures of seed 001 and single rules, message by message.</summary>
public sealed class GroupTranscripts
{
    private readonly List<string> _effects = [];
    private readonly HashSet<(string From, string To, GroupMessageType Type)> _lost = [];
    private GroupLab _lab = null!;

    [Theory]
    [MemberData(nameof(Names))]
    public void Transcript_has_its_recorded_effects(string name) => Transcript.Check("AtomicMulticast", name, Run);

    public static TheoryData<string> Names => Transcript.In("AtomicMulticast");

    private string[] Run(TranscriptCommand command)
    {
        _effects.Clear();
        switch (command.Name)
        {
            case "group":
                Begin(command);
                break;
            case "elect":
                _lab.Elect(command[0]);
                break;
            case "publish":
                var id = new MessageId(new SessionId(7, 1), (ulong)command.Number(1));
                _effects.Add($"{command[0]} answers {_lab.Publish(command.Node(0), id, 0)}");
                break;
            case "lose":
                _lost.Add((command[0], command[1], Enum.Parse<GroupMessageType>(command[2])));
                break;
            case "loseNothing":
                _lost.Clear();
                break;
            case "crash":
                _lab[command[0]].Crash();
                break;
            case "start":
                _lab[command[0]].Start();
                break;
            case "ask":
                if (!_lab[command[0]].Ask((ulong)command.Number(1)))
                {
                    _effects.Add("nobody to ask");
                }

                break;
            case "lease":
                _lab[command[0]].EndLease(command.Duration(1));
                break;
            case "run":
                _lab.Run(command.Duration(0));
                break;
            case "settle":
                _lab.Run(command.Duration(0));
                _effects.Clear();
                break;
            case "status":
                GroupMember core = _lab[command[0]].Core;
                _effects.Add($"{core.SequencerState}, committed {core.Committed}, delivered {core.Delivered}");
                break;
            default:
                throw command.Fault("not a command");
        }

        return [.. _effects.Where(e => !e.Contains(" gets Gossip ", StringComparison.Ordinal))];
    }

    private void Begin(TranscriptCommand command)
    {
        int servers = (int)command.Number("servers", 3);
        GroupRoles? roles = command["roles"] == "apart"
            ? new GroupRoles
            {
                Configuration = 1, Servers = [.. Enumerable.Range(1, servers).Select(i => NodeId.Parse($"s{i}"))],
                Commit = new VoterSet(0b000111), Data = new VoterSet(0b111000), Checkpoint = new VoterSet(0b111000),
            }
            : null;
        _lab = new GroupLab(1, servers, (int)command.Number("clients", 0), roles)
        {
            Effects = _effects, Reelects = false, IsExact = true,
            Drop = (from, to, type) => _lost.Contains((from.Name, to.Name, type)),
        };
        _lab.StartAll();
    }
}
