using Carillon.Node;
using Carillon.Node.Groups;
using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Storage.Groups;

namespace Carillon.Simulator;

/// <summary>What a run with a group has: drawn behind all else, and from a generator of its own, so that the other runs keep what they
/// had.</summary>
internal sealed record GroupSeeds(GroupSettings Settings, GroupsOptions Node, int Messages)
{
    private const double Share = 0.3;

    /// <summary>Null for a run without a group.</summary>
    public static GroupSeeds? Draw(ulong seed, NodeOptions node)
    {
        var random = new RandomSource(seed ^ 0x6809D5);
        if (!random.Chance(Share))
        {
            return null;
        }

        var settings = new GroupSettings
        {
            RetainTime = random.Chance(0.3) ? TimeSpan.FromSeconds(1 + random.Below(20)) : TimeSpan.FromDays(1),

            // Later than all else.
            Fifo = new RandomSource(seed ^ 0xF1F0).Chance(0.4),
        };
        var options = new GroupsOptions
        {
            Protocol = new GroupOptions
            {
                CheckpointEvery = (ulong)(10 + random.Below(60)), RetainNumbers = (ulong)random.Below(50),
                GossipInterval = TimeSpan.FromMilliseconds(50 + random.Below(100)),
                MaxRun = 1 + random.Below(16), CombinedQuery = random.Chance(0.3),
                FifoPatience = TimeSpan.FromSeconds(0.2 * Math.Pow(40, new RandomSource(seed ^ 0xF1F1).Fraction())),
            },
            Log = node.Log with { ReserveBytes = 0, MaxWaitingBytes = 8 << 20 },
            Recent = new CommittedMessagesOptions { MaxRecentMessages = 64 << random.Below(6), MaxLoadedBatches = 1 + random.Below(4) },
            SnapshotBytes = 1 << 20,
            PublishPatience = TimeSpan.FromSeconds(0.5 * Math.Pow(10, random.Fraction())),
        };
        return new GroupSeeds(settings, options, 20 + random.Below(300));
    }
}
