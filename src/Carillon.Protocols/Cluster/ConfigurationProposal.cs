using System.Collections.Immutable;
using Carillon.Protocols.Primacy;

namespace Carillon.Protocols.Cluster;

/// <summary>
/// How the next version comes to be proposed (3-vector-exchange, "Configuration changes"): a quorum of the present one closes it, durably,
/// and reports what is left of it; the next one carries the union of that ◆. Intersecting quorums alone would lose what was accepted over
/// two changes.
/// </summary>
/// <remarks>A closed version is never opened again: what was reported would not be all any more. Whoever closed it goes on with any later
/// version, this one or another.</remarks>
public sealed class ConfigurationProposal
{
    private readonly ClusterConfiguration _present;
    private readonly NodeId _leaving;
    private readonly bool _hasSameDisks;
    private readonly SortedDictionary<NodeId, ClosingMessage> _reports = [];

    /// <summary>Begins one.</summary>
    /// <param name="present">The version in force.</param>
    /// <param name="next">The one that is to be.</param>
    /// <param name="leaving">The server that leaves, or whose disk does; none for another change.</param>
    public ConfigurationProposal(ClusterConfiguration present, ClusterConfiguration next, NodeId leaving)
    {
        Invariant.That(next.Version == present.Version + 1);
        _present = present;
        Next = next;
        _leaving = leaving;
        _hasSameDisks = DisksOf(present).SetEquals(DisksOf(next));
    }

    /// <summary>The version that is proposed.</summary>
    public ClusterConfiguration Next { get; }

    /// <summary>Voters whose report is here.</summary>
    public IEnumerable<NodeId> Reported => _reports.Keys;

    /// <summary>Why it can't go on: a voter that stays has not got all that it should hold. Where no disk comes or goes nothing rests on
    /// that, and it may be the closing itself that keeps it from it: a group's sequencer gets no lease under a closed version.</summary>
    public string Unsettled => string.Join(", ", _reports.Where(r => !MayCount(r.Key, r.Value)).Select(r => r.Key.Name));

    /// <summary>True once a quorum has closed the version in force ◆, all of them settled: what a disk lost before is made good. Where
    /// disks come or go, those that stay and have said that they are settled must be a quorum of the next one too, or all that there are:
    /// they hold what was accepted, and who has not been heard may be a new disk ◆.</summary>
    public bool IsReady
    {
        get
        {
            VoterSet closed = default;
            VoterSet holders = default;
            foreach ((NodeId node, ClosingMessage report) in _reports)
            {
                int bit = _present.BitOf(node);
                closed = report.IsClosed && MayCount(node, report) ? closed.With(bit) : closed;
                holders = report is { IsClosed: true, IsSettled: true } && node != _leaving ? holders.With(bit) : holders;
            }

            int staying = _present.Voters.Count(v => v != _leaving);
            bool isHeld = _hasSameDisks || holders.Count >= Math.Min(Next.Quorum.Size, staying)
                || SeededBug.Is("disk-goes-before-those-that-stay-are-settled");
            int needed = SeededBug.Is("proposed-before-a-quorum-closed") ? 1 : _present.Quorum.Size;
            return closed.Count >= needed && Unsettled.Length == 0 && isHeld;
        }
    }

    private bool MayCount(NodeId node, ClosingMessage report) => report.IsSettled || node == _leaving || _hasSameDisks;

    private static HashSet<(NodeId Name, DiskId Disk, bool Votes)> DisksOf(ClusterConfiguration configuration) =>
        [.. configuration.Servers.Select(s => (s.Name, s.Disk, s.Entry))];

    /// <summary>A voter's report. One of another version says nothing about this one.</summary>
    public void Hear(NodeId from, ClosingMessage report)
    {
        if (report.Version == _present.Version && report.IsClosed && _present.BitOf(from) >= 0)
        {
            _reports[from] = report;
        }
    }

    /// <summary>The entry: the next version with the union of what was reported, in the order of tags, keys and services.</summary>
    public ConfigurationEntry ToEntry()
    {
        Invariant.That(IsReady);
        var carried = new SortedDictionary<Tag, CarriedTag>();
        var fences = new SortedDictionary<string, long>(StringComparer.Ordinal);
        var epochs = new SortedDictionary<ServiceName, Epoch>();
        foreach (ClosingMessage report in _reports.Values)
        {
            foreach (CarriedTag tag in report.Carried)
            {
                // The value of the greatest round that any of them showed, as a round's taker would take it.
                bool isGreater = !carried.TryGetValue(tag.Tag, out CarriedTag known) || tag.Round > known.Round;
                (CarriedTag chosen, CarriedTag other) = isGreater ? (tag, known) : (known, tag);
                carried[tag.Tag] = chosen with
                {
                    Hash = chosen.Hash == default ? other.Hash : chosen.Hash,
                    Disk = chosen.Disk == default ? other.Disk : chosen.Disk,
                };
            }

            foreach ((string key, long until) in report.Fences)
            {
                fences[key] = Math.Max(until, fences.GetValueOrDefault(key));
            }

            foreach ((ServiceName service, Epoch epoch) in report.Epochs)
            {
                epochs[service] = Epoch.Max(epoch, epochs.GetValueOrDefault(service));
            }
        }

        // Where nobody told which disk made it, it is the one of the version that ends: later ones may have another under that name.
        IEnumerable<CarriedTag> tags = carried.Values.Select(
            t => t.Disk == default ? t with { Disk = _present.Find(t.Tag.Uid.Server)?.Disk ?? default } : t);
        return new ConfigurationEntry(
            Next, SeededBug.Is("carried-tags-forgotten") ? [] : [.. tags], [.. fences], [.. epochs]);
    }
}
