using System.Globalization;

namespace Carillon.Protocols;

/// <summary>
/// A random 128-bit number drawn by <c>cluster init</c> and written to a disk at its first start. A voter is a name and a
/// disk id: another disk under the same name has not made this one's promises.
/// </summary>
public readonly record struct DiskId(UInt128 Value)
{
    /// <summary>Bytes on the wire.</summary>
    public const int Size = 16;

    /// <summary>True for <c>default</c>: no disk.</summary>
    public bool IsNone => Value == 0;

    /// <summary>32 hexadecimal digits.</summary>
    public override string ToString() => Value.ToString("x32", CultureInfo.InvariantCulture);

    /// <summary>Reads 32 hexadecimal digits.</summary>
    public static bool TryParse(ReadOnlySpan<char> text, out DiskId id)
    {
        bool ok = UInt128.TryParse(text, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out UInt128 value)
            && text.Length == 32;
        id = ok ? new DiskId(value) : default;
        return ok;
    }
}
