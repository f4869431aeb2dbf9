using Carillon.Protocols;
using Carillon.Simulator.Checkers;
using Xunit;

namespace Node.Tests.Simulator;

public sealed class LinearizabilityCheckerTests
{
    private readonly History _history = new();

    [Fact]
    public void Register_sequential_history_is_linearizable()
    {
        Put("a", 0, 1);
        Get("a", 2, 3);
        Delete(4, 5);
        Get(null, 6, 7);
        Expect(LinearizabilityResult.Linearizable);
    }

    [Fact]
    public void Register_stale_read_is_found()
    {
        Put("a", 0, 1);
        Put("b", 2, 3);
        Get("a", 4, 5);
        LinearizabilityVerdict verdict = Expect(LinearizabilityResult.NotLinearizable);
        Assert.Equal("a", verdict.Stuck!.Value);
        Assert.Contains("fits nowhere", verdict.Explain(), StringComparison.Ordinal);
    }

    [Fact]
    public void Register_concurrent_puts_may_come_in_either_order()
    {
        Put("a", 0, 10);
        Put("b", 0, 10);
        Get("b", 11, 12);
        Get("b", 13, 14);
        Expect(LinearizabilityResult.Linearizable);
    }

    [Fact]
    public void Register_reads_that_disagree_on_the_order_are_found()
    {
        Put("a", 0, 10);
        Put("b", 0, 10);
        Get("a", 11, 12);
        Get("b", 13, 14);
        Get("a", 15, 16);
        Expect(LinearizabilityResult.NotLinearizable);
    }

    [Fact]
    public void Register_new_then_old_during_one_put_is_found()
    {
        Put("a", 0, 1);
        Put("b", 2, 100);
        Get("b", 3, 4);
        Get("a", 5, 6);
        Expect(LinearizabilityResult.NotLinearizable);
    }

    [Fact]
    public void Unknown_put_may_take_effect_late()
    {
        Put("a", 0, 1);
        Add(HistoryAction.Put, "b", 2, null, HistoryOutcome.Unknown);
        Get("a", 1000, 1001);
        Get("b", 2000, 2001);
        Expect(LinearizabilityResult.Linearizable);
    }

    [Fact]
    public void Unknown_put_may_never_take_effect()
    {
        Put("a", 0, 1);
        Add(HistoryAction.Put, "b", 2, null, HistoryOutcome.Unknown);
        Get("a", 1000, 1001);
        Expect(LinearizabilityResult.Linearizable);
    }

    [Fact]
    public void Unknown_put_that_was_read_is_not_undone()
    {
        Put("a", 0, 1);
        Add(HistoryAction.Put, "b", 2, null, HistoryOutcome.Unknown);
        Get("b", 10, 11);
        Get("a", 12, 13);
        Expect(LinearizabilityResult.NotLinearizable);
    }

    [Fact]
    public void Unknown_put_does_not_take_effect_before_it_was_asked()
    {
        Get("b", 0, 1);
        Add(HistoryAction.Put, "b", 2, null, HistoryOutcome.Unknown);
        Expect(LinearizabilityResult.NotLinearizable);
    }

    [Fact]
    public void Unknown_delete_may_take_effect_between_reads()
    {
        Put("a", 0, 1);
        Add(HistoryAction.Delete, null, 2, null, HistoryOutcome.Unknown);
        Get("a", 10, 11);
        Get(null, 12, 13);
        Expect(LinearizabilityResult.Linearizable);
    }

    [Fact]
    public void Unknown_delete_does_not_take_effect_twice()
    {
        Put("a", 0, 1);
        Add(HistoryAction.Delete, null, 2, null, HistoryOutcome.Unknown);
        Get(null, 10, 11);
        Put("b", 12, 13);
        Get(null, 14, 15);
        Expect(LinearizabilityResult.NotLinearizable);
    }

    [Fact]
    public void Failed_put_that_is_read_is_found()
    {
        Put("a", 0, 1);
        Add(HistoryAction.Put, "b", 2, 3, HistoryOutcome.Failed);
        Get("b", 10, 11);
        Expect(LinearizabilityResult.NotLinearizable);
    }

    [Fact]
    public void Unknown_get_says_nothing()
    {
        Put("a", 0, 1);
        Add(HistoryAction.Get, null, 2, null, HistoryOutcome.Unknown);
        Add(HistoryAction.Get, null, 2, 3, HistoryOutcome.Failed);
        Get("a", 4, 5);
        Expect(LinearizabilityResult.Linearizable);
    }

    [Fact]
    public void Names_are_checked_apart()
    {
        Put("a", 0, 1);
        _history.Add(new HistoryEntry { Action = HistoryAction.Get, Name = "box/other", Value = "a", Invoked = 2, Returned = 3,
            Outcome = HistoryOutcome.Ok });
        Assert.Equal("box/other", Expect(LinearizabilityResult.NotLinearizable).Name);
    }

    [Fact]
    public void Few_successes_give_no_verdict()
    {
        Put("a", 0, 1);
        Assert.Equal(LinearizabilityResult.TooFew, new LinearizabilityChecker().Check(_history).Result);
    }

    [Fact]
    public void Few_successes_still_give_a_no()
    {
        Get("a", 0, 1);
        Assert.Equal(LinearizabilityResult.NotLinearizable, new LinearizabilityChecker().Check(_history).Result);
    }

    [Fact]
    public void Search_agrees_with_trying_every_order()
    {
        var random = new RandomSource(7);
        int bad = 0;
        for (int round = 0; round < 4000; round++)
        {
            History history = RandomHistory(random);
            bool expected = ExistsOrder([.. history.Entries], null, []);
            LinearizabilityVerdict verdict = new LinearizabilityChecker { LeastSuccesses = 0 }.Check(history);
            bool found = verdict.Result == LinearizabilityResult.Linearizable;
            bad += expected ? 0 : 1;
            if (expected != found)
            {
                var text = new StringWriter();
                history.Write(text);
                Assert.Fail($"round {round}: every order says {expected}, the search {verdict.Result}\n{text}");
            }
        }

        Assert.InRange(bad, 400, 3600);
    }

    [Fact]
    public void Search_of_a_long_busy_history_ends()
    {
        var random = new RandomSource(11);
        string? value = null;
        long[] free = new long[16];
        for (int i = 0; i < 5000; i++)
        {
            // Each operation takes effect in its middle; the clients overlap all the time.
            long effect = (i + 20) * 10;
            int client = i % free.Length;
            long start = Math.Max(free[client], effect - random.Below(75));
            long end = effect + 1 + random.Below(75);
            free[client] = end + 1;
            bool isPut = random.Chance(0.4);
            bool unknown = isPut && random.Chance(0.1);
            value = isPut ? $"v{i}" : value;
            Add(isPut ? HistoryAction.Put : HistoryAction.Get, value, start, unknown ? null : end, unknown
                ? HistoryOutcome.Unknown
                : HistoryOutcome.Ok);
        }

        Expect(LinearizabilityResult.Linearizable);
    }

    [Fact]
    public void History_survives_its_json_lines()
    {
        Put("a", 0, 1);
        Add(HistoryAction.Delete, null, 2, null, HistoryOutcome.Unknown);
        Get(null, 4, 5);
        var text = new StringWriter();
        _history.Write(text);
        Assert.Equal(_history.Entries, History.Read(new StringReader(text.ToString())).Entries);
        Assert.StartsWith("""{"client":"","action":"Put","name":"box/name","value":"a","invoked":0,"returned":1,"outcome":"Ok"}""",
            text.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void History_with_a_bad_line_names_it()
    {
        FormatException fault = Assert.Throws<FormatException>(() => History.Read(new StringReader("\n{\"action\":\"Fly\"}\n")));
        Assert.Contains("Line 2", fault.Message, StringComparison.Ordinal);
    }

    private static History RandomHistory(RandomSource random)
    {
        var history = new History();
        int count = 2 + random.Below(5);
        string?[] values = [null, "a", "b", "c"];
        for (int i = 0; i < count; i++)
        {
            long invoked = random.Below(12);
            var action = (HistoryAction)random.Below(3);
            HistoryOutcome outcome = random.Chance(0.75) ? HistoryOutcome.Ok : random.Chance(0.8)
                ? HistoryOutcome.Unknown
                : HistoryOutcome.Failed;
            history.Add(new HistoryEntry
            {
                Action = action, Name = "box/name", Invoked = invoked, Outcome = outcome,
                Value = action switch
                {
                    HistoryAction.Put => values[1 + random.Below(3)],
                    HistoryAction.Get => values[random.Below(4)],
                    _ => null,
                },
                Returned = outcome == HistoryOutcome.Ok ? invoked + random.Below(8) : null,
            });
        }

        return history;
    }

    // An order of all successful operations, and of any of the unknown writes, that keeps real time and explains each get.
    private static bool ExistsOrder(List<HistoryEntry> left, string? value, List<HistoryEntry> done)
    {
        if (!left.Exists(entry => entry.Outcome == HistoryOutcome.Ok))
        {
            return true;
        }

        foreach (HistoryEntry candidate in left)
        {
            bool counts = candidate.Outcome == HistoryOutcome.Ok
                || (candidate.Outcome == HistoryOutcome.Unknown && candidate.Action != HistoryAction.Get);
            bool isTooEarly = left.Exists(other =>
                !ReferenceEquals(other, candidate) && other.Outcome == HistoryOutcome.Ok && other.Returned < candidate.Invoked);
            bool fits = candidate.Action != HistoryAction.Get || candidate.Value == value;
            if (!counts || isTooEarly || !fits)
            {
                continue;
            }

            string? after = candidate.Action == HistoryAction.Get ? value : candidate.Value;
            if (ExistsOrder([.. left.Where(other => !ReferenceEquals(other, candidate))], after, [.. done, candidate]))
            {
                return true;
            }
        }

        return false;
    }

    private void Put(string value, long invoked, long returned) => Add(HistoryAction.Put, value, invoked, returned, HistoryOutcome.Ok);

    private void Delete(long invoked, long returned) => Add(HistoryAction.Delete, null, invoked, returned, HistoryOutcome.Ok);

    private void Get(string? value, long invoked, long returned) => Add(HistoryAction.Get, value, invoked, returned, HistoryOutcome.Ok);

    private void Add(HistoryAction action, string? value, long invoked, long? returned, HistoryOutcome outcome) => _history.Add(
        new HistoryEntry { Action = action, Name = "box/name", Value = value, Invoked = invoked, Returned = returned, Outcome = outcome });

    private LinearizabilityVerdict Expect(LinearizabilityResult result)
    {
        LinearizabilityVerdict verdict = new LinearizabilityChecker { LeastSuccesses = 0 }.Check(_history);
        Assert.True(verdict.Result == result, verdict.Explain());
        return verdict;
    }
}
