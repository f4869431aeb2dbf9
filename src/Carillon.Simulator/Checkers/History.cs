using System.Text.Json;

namespace Carillon.Simulator.Checkers;

/// <summary>
/// What clients did and saw, recorded by the simulator or against a real cluster; kept as JSON lines. Not safe for several threads at once:
/// a recorder with several clients gives each its own and joins them.
/// </summary>
public sealed class History
{
    private readonly List<HistoryEntry> _entries = [];

    /// <summary>All entries, in the order in which they were added.</summary>
    public IReadOnlyList<HistoryEntry> Entries => _entries;

    /// <summary>Adds one.</summary>
    public void Add(HistoryEntry entry) => _entries.Add(entry);

    /// <summary>Adds all of another's.</summary>
    public void Add(History other) => _entries.AddRange(other._entries);

    /// <summary>Reads JSON lines; empty lines are skipped.</summary>
    /// <exception cref="FormatException">A line is not an entry; the message says which.</exception>
    public static History Read(TextReader reader)
    {
        var history = new History();
        int number = 0;
        while (reader.ReadLine() is { } line)
        {
            number++;
            if (line.Length == 0)
            {
                continue;
            }

            try
            {
                history.Add(JsonSerializer.Deserialize(line, HistoryJson.Default.HistoryEntry)
                    ?? throw new FormatException($"Line {number} of the history is empty."));
            }
            catch (JsonException fault)
            {
                throw new FormatException($"Line {number} of the history can't be read: {fault.Message}", fault);
            }
        }

        return history;
    }

    /// <summary>Writes JSON lines.</summary>
    public void Write(TextWriter writer)
    {
        foreach (HistoryEntry entry in _entries)
        {
            writer.WriteLine(JsonSerializer.Serialize(entry, HistoryJson.Default.HistoryEntry));
        }
    }
}
