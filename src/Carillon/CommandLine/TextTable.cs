using System.Text;

namespace Carillon.CommandLine;

/// <summary>Aligned columns without borders: readable on a terminal, and no trouble to awk. Never cut to a terminal's width.</summary>
internal sealed class TextTable(params string[] headings)
{
    private readonly List<string[]> _rows = [headings];

    /// <summary>Adds a row.</summary>
    public void Add(params string[] cells) => _rows.Add(cells);

    /// <summary>Writes all rows; nothing where there are none.</summary>
    public void Write(TextWriter output)
    {
        if (_rows.Count == 1)
        {
            return;
        }

        int[] widths = new int[headings.Length];
        foreach (string[] row in _rows)
        {
            for (int i = 0; i < row.Length; i++)
            {
                widths[i] = Math.Max(widths[i], row[i].Length);
            }
        }

        var line = new StringBuilder();
        foreach (string[] row in _rows)
        {
            line.Clear();
            for (int i = 0; i < row.Length; i++)
            {
                line.Append(row[i]).Append(' ', i == row.Length - 1 ? 0 : widths[i] - row[i].Length + 2);
            }

            output.WriteLine(line.ToString().TrimEnd());
        }
    }
}
