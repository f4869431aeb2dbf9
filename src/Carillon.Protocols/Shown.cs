using System.Text;

namespace Carillon.Protocols;

/// <summary>Text from outside as it may appear in an error: on one line, visible, and not longer than a line.</summary>
public static class Shown
{
    private const int MaxLength = 80;

    /// <summary>Makes it fit to be shown.</summary>
    public static string Text(string text)
    {
        var shown = new StringBuilder(Math.Min(text.Length, MaxLength));
        foreach (Rune rune in text.EnumerateRunes())
        {
            if (shown.Length >= MaxLength)
            {
                return shown.Append('…').ToString();
            }

            if (Rune.IsControl(rune))
            {
                shown.Append('?');
            }
            else
            {
                shown.Append(rune.ToString());
            }
        }

        return shown.ToString();
    }
}
