using Carillon.Protocols.Tests.Transcripts;
using Xunit;

namespace Carillon.Protocols.Tests.Replicast;

/// <summary>Plays the scenarios of Transcripts/Chunks on a <see cref="ChunkLab"/>.</summary>
public sealed class ChunkTranscripts
{
    private static readonly ChunkId Chunk = ChunkLab.ChunkOf(9, 1);

    private readonly List<string> _effects = [];
    private ChunkLab _lab = null!;

    public static TheoryData<string> Scenarios => Transcript.In("Chunks");

    [Theory]
    [MemberData(nameof(Scenarios))]
    public void Chunk_replication_in_this_scenario_does_what_is_recorded(string scenario) => Transcript.Check("Chunks", scenario, Run);

    private List<string> Run(TranscriptCommand command)
    {
        _effects.Clear();
        switch (command.Name)
        {
            case "cluster":
                _lab = new ChunkLab(1, ChunkLab.QuickOptions, [.. command.Placed]);
                _lab.Effects = _effects;
                _effects.Add("row: " + string.Join(' ', _lab.Servers.First().Core.Table.Row(9)));
                break;
            case "put":
                _lab[command[0]].Put(
                    Chunk, 100_000, ChunkLab.TagOf(1), (int)command.Number("replicas", 3), (int)command.Number("minimum", 3));
                break;
            case "get":
                _lab[command[0]].Get(Chunk);
                break;
            case "holds":
                ForEach(command, server => server.Inventory.Store(Chunk, 100_000, 3, default));
                break;
            case "rots":
                ForEach(command, server => server.Inventory.Rotten.Add(Chunk));
                break;
            case "full":
                ForEach(command, server => server.IsFull = true);
                break;
            case "silent":
                ForEach(command, server => server.IsSilent = true);
                break;
            case "crash":
                ForEach(command, _lab.Crash);
                break;
            case "start":
                ForEach(command, _lab.Start);
                break;
            case "meet":
                _lab.Heal();
                break;
            case "refer":
                _lab.Referenced.Add(Chunk);
                break;
            case "delete":
                _lab.Referenced.Remove(Chunk);
                break;
            case "decide":
                foreach (LabServer server in _lab.Servers)
                {
                    server.DecidedTags.Add(ChunkLab.TagOf(1));
                }

                break;
            case "stale" or "fresh":
                ForEach(command, server => server.IsFresh = command.Name == "fresh");
                break;
            case "run":
                _lab.Run(command.Duration(0));
                break;
            case "holders":
                string holders = string.Join(' ', _lab.Servers.Where(s => s.Inventory.Contains(Chunk)).Select(s => s.Name));
                _effects.Add(holders.Length > 0 ? holders : "nobody");
                break;
            default:
                throw command.Fault($"there is no command {command.Name}");
        }

        return _effects;
    }

    private void ForEach(TranscriptCommand command, Action<LabServer> action)
    {
        foreach (string name in command.Placed)
        {
            action(_lab[name]);
        }
    }
}
