using Carillon.Protocols.Cluster;

namespace Carillon.Protocols.AtomicMulticast;

/// <summary>
/// What checkpoint servers report to the sequencer: a checkpoint is advertised after enough equal reports, and one of which two reports
/// differ is an alarm and never advertised ◆ (SAM-79). And when one is wanted beside the usual ones.
/// </summary>
internal sealed class CheckpointReports(GroupContext context)
{
    private const int MostKept = 8;

    // Numbers ahead at which a checkpoint is asked for: more than are given while the word of it is on its way.
    private const ulong DueAhead = 2048;

    private readonly SortedDictionary<ulong, Reports> _byNumber = [];
    private Instant _dueAt;

    /// <summary>Counts a report; true if its checkpoint is advertised from now on.</summary>
    /// <param name="bit">The reporting server's place.</param>
    /// <param name="mark">Number and digest.</param>
    public bool Count(int bit, CheckpointMark mark)
    {
        if (!_byNumber.TryGetValue(mark.Number.Value, out Reports? reports))
        {
            _byNumber.Add(mark.Number.Value, reports = new Reports { First = mark });
            while (_byNumber.Count > MostKept)
            {
                _byNumber.Remove(_byNumber.Keys.First());
            }
        }

        if (mark != reports.First && !SeededBug.Is("checkpoint-digests-not-compared"))
        {
            if (!reports.Differ)
            {
                context.Host.Note(new GroupEvent.CheckpointsDiffer(mark.Number));
            }

            reports.Differ = true;
            return false;
        }

        reports.Servers = reports.Servers.With(bit);
        if (reports.Differ || reports.Servers.Count < context.Roles.CheckpointQuorum || mark.Number <= context.Advertised.Number)
        {
            return false;
        }

        context.Advertised = mark;
        context.Host.Note(new GroupEvent.CheckpointAdvertised(mark));
        return true;
    }

    /// <summary>
    /// What the group's age and size let go must be covered by a checkpoint, and so must what is gone already: where one is far off, as in
    /// a group of few and large messages, or missing, as in a feed of restored catalogs, it is asked for. Where all is committed, at
    /// the number where all are; else a little ahead of where anybody can be. A server that hears of it too late has no part in that one.
    /// </summary>
    /// <param name="committed">The greatest committed number.</param>
    /// <param name="next">The next one to be given.</param>
    /// <param name="now">The time.</param>
    public void Want(ulong committed, ulong next, Instant now)
    {
        if (now < _dueAt)
        {
            return;
        }

        _dueAt = now + context.Options.ReportInterval;
        ulong trimmed = context.Store.Trimmed.Value;
        ulong wanted = context.HasApplication ? trimmed : Math.Max(context.Store.Expendable.Value, trimmed);
        if (wanted <= context.Advertised.Number.Value)
        {
            context.CheckpointDue = 0;
        }
        else if (committed + 1 == next)
        {
            context.CheckpointDue = committed;
        }
        else if (context.CheckpointDue <= committed)
        {
            context.CheckpointDue = next + DueAhead;
        }
    }

    /// <summary>Another epoch: reports of this one count no more.</summary>
    public void Clear() => _byNumber.Clear();

    private sealed class Reports
    {
        public required CheckpointMark First { get; init; }

        public VoterSet Servers { get; set; }

        public bool Differ { get; set; }
    }
}
