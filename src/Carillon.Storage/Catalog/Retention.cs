using Carillon.Protocols.Submissions;

namespace Carillon.Storage.Catalogs;

/// <summary>
/// Which versions of a name are kept. A version is dropped as soon as a newer put exists for which it is one too many: there is a put
/// W above it such that the puts above it, up to W, are as many as W's <see cref="ObjectManifest.VersionsKept"/>. Of the tombstones that
/// this leaves, the newest <see cref="MaxTombstones"/> stay. The greatest UID of a name always stays.
/// </summary>
/// <remarks>
/// <para>What is kept of a set of versions is a function of the set, and can be found step by step in any order:
/// kept(S ∪ {v}) = kept(kept(S) ∪ {v}).</para>
/// <para>Why. More versions only drop more. And let V be dropped in S ∪ {V} by some W. If all versions of S above V are kept, W and what
/// it counts are there, and V falls. Else take the greatest dropped one, U, above V: what dropped U, and all that it counted, lies above U
/// and so is kept; it counts at least as many above V, which is lower than U, so V falls to it.</para>
/// <para>This is why the number is the put's own and not the bucket's current setting: when a setting is raised, servers that learned of it
/// before and after they trimmed would differ, and nothing that is still stored could tell them apart.</para>
/// </remarks>
internal static class Retention
{
    /// <summary>The most tombstones kept of a name.</summary>
    public const int MaxTombstones = 10;

    /// <summary>How many of a name's versions, given from the newest, the rule lets stay; sets <see cref="VersionRow.IsDropped"/> on the
    /// others.</summary>
    public static void Apply(Span<VersionRow> newestFirst)
    {
        int room = int.MaxValue;
        int tombstones = 0;
        foreach (ref VersionRow version in newestFirst)
        {
            if (room <= 0)
            {
                version.IsDropped = true;
            }
            else if (version.Kind == OperationKind.Put)
            {
                room = Math.Min(room, version.VersionsKept) - 1;
            }
            else
            {
                version.IsDropped = ++tombstones > MaxTombstones;
            }
        }
    }
}
