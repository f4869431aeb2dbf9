using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Primacy;
using Carillon.Simulator.Checkers;
using Xunit;

namespace Carillon.Simulator.Tests;

/// <summary>What is numbered under which version of the configuration: a good history passes, and one that breaks the rule is found.</summary>
public sealed class ChangeCheckerTests
{
    private readonly ChangeChecker _checker = new();

    [Fact]
    public void Numbers_up_to_a_change_under_one_version_and_behind_it_under_the_next_pass()
    {
        Assign(version: 1, first: 5, count: 3);
        Assign(version: 2, first: 7, count: 4);
        _checker.Check(new SortedDictionary<ulong, ulong> { [2] = 7, [3] = 10 });
    }

    [Fact]
    public void Number_behind_a_change_under_the_version_before_is_found()
    {
        Assign(version: 1, first: 5, count: 4);
        HandMade.Breaks("change", () => _checker.Check(new SortedDictionary<ulong, ulong> { [2] = 7 }));
    }

    private void Assign(ulong version, ulong first, int count)
    {
        var run = new Assignment[count];
        _checker.OnMessage(GroupCodec.Encode(GroupName.Catalog, new AssignMessage(version, new Epoch(1), first - 1, 0, first, run)));
    }
}
