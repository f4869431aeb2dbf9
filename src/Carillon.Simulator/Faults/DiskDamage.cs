using Carillon.Protocols;
using Carillon.Simulator.World;

namespace Carillon.Simulator.Faults;

/// <summary>
/// Disks in trouble, which passes, and disks that are damaged, which does not. Damage keeps to what a protocol can survive: rot leaves the
/// last flushes of a file alone (the last batch of a log that rots looks like one that was never finished, and no voter survives forgetting
/// its last word), and lost or misdirected writes strike chunks only, for the same reason.
/// </summary>
internal sealed class DiskDamage(SimulatedWorld world, RandomSource random)
{
    // Flushes since a page was written before it may rot: well behind the tail of any log.
    private const int SettledFlushes = 4;

    /// <summary>Servers that were struck.</summary>
    public HashSet<int> Struck { get; } = [];

    /// <summary>Full, read-only or slow, until <paramref name="keep"/> takes it back.</summary>
    public bool Trouble(FaultKind kind, SimulatedServer server, Action<Action> keep)
    {
        DiskFaults faults = server.Disk.Faults;
        switch (kind)
        {
            case FaultKind.DiskFull:
                faults.Full = true;
                keep(() => faults.Full = false);
                break;
            case FaultKind.DiskReadOnly:
                faults.ReadOnly = true;
                keep(() => faults.ReadOnly = false);
                break;
            default:
                faults.Slowness = 2 << random.Below(8);
                keep(() => faults.Slowness = 1);
                break;
        }

        return true;
    }

    /// <summary>What was to strike at the next flush or write does not.</summary>
    public void Disarm()
    {
        foreach (SimulatedServer server in world.Servers)
        {
            server.Disk.Faults.FailNextFlushIn = null;
            server.Disk.Faults.MisdirectNextWriteIn = null;
        }
    }

    /// <summary>Damages a disk; false if there was nothing to damage.</summary>
    public bool Damage(FaultKind kind, SimulatedServer server)
    {
        string[] folders = [.. server.Disk.Folders];
        if (folders.Length == 0)
        {
            return false;
        }

        // Half of it hits the log: that is where a lost bit costs a promise.
        string folder = folders.Contains("log") && random.Chance(0.5) ? "log" : folders[random.Below(folders.Length)];
        switch (kind)
        {
            case FaultKind.FlushFailure:
                server.Disk.Faults.FailNextFlushIn = folder;
                break;
            case FaultKind.MisdirectedWrite:
                string? chunks = Array.Find(folders, name => name.Contains("chunk", StringComparison.Ordinal));
                if (chunks is null)
                {
                    return false;
                }

                server.Disk.Faults.MisdirectNextWriteIn = chunks;
                break;
            default:
                if (!Rot(server, folder))
                {
                    return false;
                }

                break;
        }

        world.Trace?.Invoke($"{server.Name} {kind} in '{folder}'");
        if (kind != FaultKind.FlushFailure)
        {
            // A failed flush excuses nothing: what it left open was not acknowledged, and the store that met it is not trusted again.
            Struck.Add(server.Place);
        }

        return true;
    }

    private bool Rot(SimulatedServer server, string folder)
    {
        // What was written lately is needed for certain; much of what is older is not any more, and nobody reads it.
        if (random.Chance(0.6))
        {
            IEnumerable<SimulatedInode> all = server.Disk.Files(folder).Select(file => file.Value);
            foreach (SimulatedInode newest in all.OrderByDescending(file => file.LastFlush))
            {
                if (newest.NewestSettledPage(SettledFlushes) is >= 0 and var page)
                {
                    newest.Rot(page, newest.PickBit(page, random));
                    return true;
                }
            }
        }

        KeyValuePair<string, SimulatedInode>[] files = [.. server.Disk.Files(folder)];
        int first = random.Below(Math.Max(1, files.Length));
        for (int i = 0; i < files.Length; i++)
        {
            SimulatedInode inode = files[(first + i) % files.Length].Value;
            int page = inode.PickSettledPage(random, SettledFlushes);
            if (page >= 0)
            {
                inode.Rot(page, inode.PickBit(page, random));
                return true;
            }
        }

        return false;
    }
}
