using System.Globalization;
using Carillon.Protocols.AtomicMulticast;

namespace Carillon.Storage.Groups;

/// <summary>
/// The names of a group's files. All groups share one folder; '_', which no group's name has, ends the name in front:
/// <c>GROUP_GGGGGGGG-NNNNNNNNNNNNNNNN.messages</c> for a segment (generation, first number), the same with <c>-SSSSSSSS.patch</c> for a
/// patch (serial number), and <c>GROUP_.archive</c> for the record, all numbers hexadecimal.
/// </summary>
internal sealed class ArchiveNames(GroupName group)
{
    private const char End = '_';
    private const string SegmentSuffix = ".messages";
    private const string PatchSuffix = ".patch";
    private const string RecordSuffix = ".archive";
    private const string UnfinishedSuffix = ".new";
    private const int GenerationDigits = 8;
    private const int NumberDigits = 16;

    private readonly string _prefix = group.Name + End;

    /// <summary>The record's file.</summary>
    public string Record => _prefix + RecordSuffix;

    /// <summary>The record while it is being written.</summary>
    public string UnfinishedRecord => Record + UnfinishedSuffix;

    /// <summary>The groups that a folder has files of, in order.</summary>
    public static IReadOnlyList<GroupName> GroupsIn(IEnumerable<string> names)
    {
        var groups = new SortedSet<GroupName>();
        foreach (string name in names)
        {
            int end = name.IndexOf(End, StringComparison.Ordinal);
            if (end > 0 && GroupName.TryParse(name.AsSpan(0, end), out GroupName group))
            {
                groups.Add(group);
            }
        }

        return [.. groups];
    }

    /// <summary>True if a file is one of this group's.</summary>
    public bool Owns(string name) => name.StartsWith(_prefix, StringComparison.Ordinal);

    public string Segment(ulong generation, ulong first) =>
        string.Create(CultureInfo.InvariantCulture, $"{_prefix}{generation:x8}-{first:x16}{SegmentSuffix}");

    public string Patch(ulong generation, ulong first, ulong serial) =>
        string.Create(CultureInfo.InvariantCulture, $"{_prefix}{generation:x8}-{first:x16}-{serial:x8}{PatchSuffix}");

    public bool TryParseSegment(string name, out ulong generation, out ulong first)
    {
        generation = first = 0;
        return Owns(name) && name.EndsWith(SegmentSuffix, StringComparison.Ordinal)
            && TryParse(name.AsSpan(_prefix.Length, name.Length - _prefix.Length - SegmentSuffix.Length), out generation, out first, out _)
            && name == Segment(generation, first);
    }

    public bool TryParsePatch(string name, out ulong generation, out ulong first, out ulong serial)
    {
        generation = first = serial = 0;
        return Owns(name) && name.EndsWith(PatchSuffix, StringComparison.Ordinal)
            && TryParse(
                name.AsSpan(_prefix.Length, name.Length - _prefix.Length - PatchSuffix.Length), out generation, out first, out serial)
            && name == Patch(generation, first, serial);
    }

    private static bool TryParse(ReadOnlySpan<char> text, out ulong generation, out ulong first, out ulong serial)
    {
        generation = first = serial = 0;
        const int FirstAt = GenerationDigits + 1;
        const int SerialAt = FirstAt + NumberDigits + 1;
        return text.Length >= FirstAt + NumberDigits
            && TryParse(text[..GenerationDigits], out generation) && TryParse(text.Slice(FirstAt, NumberDigits), out first)
            && (text.Length < SerialAt || TryParse(text[SerialAt..], out serial));
    }

    private static bool TryParse(ReadOnlySpan<char> digits, out ulong value) =>
        ulong.TryParse(digits, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out value);
}
