using Xunit;

namespace Carillon.Simulator.Tests;

/// <summary>
/// Seeds that once failed, and why. Each fault has a test of its own beside the part that had it; what a seed does besides moves with every
/// change of the program, so these are kept because where one fault was another is likely, and cost little.
/// </summary>
public sealed class PastSeedsTests
{
    [Theory]
    [InlineData(4, "a chunk store that failed was not started anew, so nothing was repaired there")]
    [InlineData(79, "two servers that held nothing but a promise asked each other for ever")]
    [InlineData(85, "a push behind its own quorum of bits was never applied")]
    [InlineData(110, "a tag given up in the middle of a vector was given up again; a superseded yes bit was kept for ever")]
    [InlineData(128, "one server's own fence was reported as a quorum's")]
    [InlineData(208, "a tag that gave way to a rival was aborted on both sides")]
    [InlineData(209, "promises that leave in one batch are in no order")]
    [InlineData(226, "a submission was pushed under an upload's tag that a life before had given up")]
    [InlineData(228, "a yes bit was kept for ever where a quorum was there only with the server that held it")]
    [InlineData(263, "a server took no put on a healed cluster")]
    [InlineData(271, "a chunk that survived a failed flush in the cache was counted as durable")]
    [InlineData(334, "a restarted node withdrew, and so freed voters of the lease of its former life")]
    [InlineData(235, "tags of an earlier version that were over and forgotten were held again, and waited for records that nobody had")]
    [InlineData(341, "a late no bit found servers that had applied the tag and forgotten it")]
    [InlineData(35, "a newer build's datagrams to groups were garbled on their way")]
    [InlineData(351, "a server that did not vote became the replica manager, and could not read its table")]
    [InlineData(353, "a group's archive waited for a batch that the full memory could not take in")]
    [InlineData(388, "chunks of an upload that a restart had forgotten were collected before their submission")]
    [InlineData(392, "a server that knew nothing of a tag called it too old, and those who held it dropped it")]
    [InlineData(401, "the successor of a tag was looked for in the catalog alone, which had forgotten it")]
    [InlineData(408, "found before the rules of uploads were complete")]
    [InlineData(411, "found before the rules of uploads were complete")]
    [InlineData(461, "a fresh tag lost its chunks when its predecessor was decided no")]
    [InlineData(472, "a write was called accepted without a number while its bucket's settings were not applied again")]
    [InlineData(478, "a tag that was decided no while it was being replaced got a successor all the same")]
    [InlineData(507, "a damaged disk and a server that stays down are more than the copies can bear")]
    [InlineData(535, "a vector of a later round met a tag that was still being pushed")]
    [InlineData(568, "a snapshot fell behind a reservation of stamps that was on its way")]
    [InlineData(53, "a late question met a server that had forgotten a tag that the feed had refused, and had no effect on its name")]
    [InlineData(592, "the same")]
    [InlineData(594, "a given-up upload was taken")]
    [InlineData(630, "the checker looked at what was applied so seldom that some of it was collected before")]
    [InlineData(657, "a vector that answers a question was counted against the exchange")]
    [InlineData(825, "a server that missed a version asked only one of those that had it, whose catalog a power cut had set back")]
    [InlineData(1152, "a server that may have forgotten an accepted tag promised for it")]
    [InlineData(1232, "a record that nobody has any more was fetched for ever")]
    [InlineData(2215, "the power was cut after healing")]
    [InlineData(2254, "after a power cut no record named the chunks of a stored list until the feed was applied anew")]
    [InlineData(2429, "a tag whose successor everybody had forgotten was told as rejected")]
    [InlineData(5003, "what had waited for a slow link still waited when that was healed")]
    [InlineData(5017, "a carried tag was not held where outcomes as old as it are not all kept")]
    [InlineData(3901, "an own tag that was over was not told as over")]
    public void Seed_that_failed_once_is_clean(int seed, string reason)
    {
        SeedResult result = SeedRun.Run(SeedOptions.Draw((ulong)seed), trace: null);
        Assert.True(result.Failure is null, $"seed {seed} ({reason}): {result.Failure?.Message}");
    }

    [Theory]
    [InlineData(133, "two entries of one version were accepted, and the second was decided no under that version")]
    [InlineData(11, "a crash came between an entry of the configuration and its taking effect, and it never took")]
    [InlineData(483, "servers were killed while a healthy cluster was being set up")]
    [InlineData(1385, "a server that had missed an accepted tag called it too old, and those who had its bits dropped it")]
    [InlineData(1582, "a bid waited out its time for a voter that was dead")]
    [InlineData(1506, "a power cut took a server's feed back behind the version that it had in force")]
    public void Seed_with_services_that_failed_once_is_clean(int seed, string reason)
    {
        SeedResult result = SeedRun.Run(SeedOptions.Draw((ulong)seed, SeedKind.Services), trace: null);
        Assert.True(result.Failure is null, $"seed {seed} with services ({reason}): {result.Failure?.Message}");
    }

    [Theory]
    [InlineData(294, "a read passed over what an earlier version had accepted, since no bit of it was known under the next one")]
    [InlineData(14, "an identity that a full disk cut short could never be read again")]
    [InlineData(17, "a new disk's rebuilding was forgotten when another version came into force")]
    [InlineData(24, "the tunnel of a new disk was up before the version that names it, and counted for nothing ever after")]
    [InlineData(74, "an old tag of which nobody has a record was asked about for ever")]
    [InlineData(89, "what a replaced disk had accepted was decided no, since the feed's sessions were searched for the new one's")]
    [InlineData(238, "what a sequencer assigned before it knew of a change was held against the next one")]
    [InlineData(416, "a flush failed when a new disk noted that it is rebuilt")]
    [InlineData(580, "a closed version was not renewed, as a new disk waited for a group's sequencer, which gets no lease under a closed one")]
    [InlineData(731, "the same")]
    [InlineData(341, "a replaced disk voted in a group while what it had delivered was not on it, and lost that in a power cut")]
    [InlineData(1077, "a start held a carried tag again that the feed has had, since it looked for it in the session of its server's new disk")]
    [InlineData(548, "a disk's first life was given the epoch of the first life of the disk that it replaced")]
    [InlineData(444, "a server was asked after healing, and then its disk was replaced")]
    public void Seed_with_changes_that_failed_once_is_clean(int seed, string reason)
    {
        SeedResult result = SeedRun.Run(SeedOptions.Draw((ulong)seed, SeedKind.Changes), trace: null);
        Assert.True(result.Failure is null, $"seed {seed} with changes ({reason}): {result.Failure?.Message}");
    }
}
