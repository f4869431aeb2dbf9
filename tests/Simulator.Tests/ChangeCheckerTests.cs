using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Primacy;
using Carillon.Simulator.Checkers;
using Xunit;

namespace Carillon.Simulator.Tests;

/// <summary>What is numbered under which version of the configuration: a good history passes, one that breaks the rule is
/// found.</summary>
public sealed class ChangeCheckerTests
{
    private static readonly SortedDictionary<ulong, (ulong, MessageId)> Made = new() { [2] = (7, Message(7)) };

    private readonly ChangeChecker _checker = new();

    [Fact]
    public void Numbers_up_to_a_change_under_one_version_and_behind_it_under_the_next_pass()
    {
        Assign(version: 1, epoch: 1, 5, 6, 7);
        Assign(version: 2, epoch: 2, 7, 8, 9);
        _checker.Check(Made);
    }

    [Fact]
    public void Numbers_of_a_sequencer_that_knew_of_no_change_there_pass()
    {
        // Seed 238 with changes: they were not committed.
        _checker.OnMessage(GroupCodec.Encode(GroupName.Catalog, new AssignMessage(
            1, new Epoch(1), 6, 0, 7, new[] { new Assignment(Message(70), default, 0), new Assignment(Message(80), default, 0) })));
        Assign(version: 1, epoch: 2, 7);
        _checker.Check(Made);
    }

    [Fact]
    public void Number_behind_a_change_under_the_version_before_is_found()
    {
        Assign(version: 1, epoch: 1, 5, 6, 7);
        Assign(version: 1, epoch: 1, 8);
        HandMade.Breaks("change", () => _checker.Check(Made));
    }

    private static MessageId Message(ulong counter) => new(new SessionId(7, 1), counter);

    private void Assign(ulong version, ulong epoch, params ulong[] numbers)
    {
        Assignment[] run = [.. numbers.Select(number => new Assignment(Message(number), default, 0))];
        _checker.OnMessage(
            GroupCodec.Encode(GroupName.Catalog, new AssignMessage(version, new Epoch(epoch), numbers[0] - 1, 0, numbers[0], run)));
    }
}
