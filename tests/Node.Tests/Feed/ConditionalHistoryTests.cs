using System.Globalization;
using System.Text;
using Carillon.Protocols;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.Tests.VectorExchange;
using Carillon.Protocols.VectorExchange;
using Carillon.Simulator.Checkers;
using Xunit;

namespace Node.Tests.Feed;

/// <summary>
/// Puts, deletes, changesets, compare-and-set and reads through cores that lose, double and reorder messages, crash, and apply a feed each
/// in its own time, which orders what is agreed as it likes and stops now and then; the history of every name is to be linearizable, and
/// every server comes to say the same.
/// </summary>
public sealed class ConditionalHistoryTests
{
    private static readonly int Seeds = Setting("CARILLON_FEED_SEEDS", 60);
    private static readonly int FirstSeed = Setting("CARILLON_FEED_FIRST", 0);

    [Fact]
    public void History_with_compare_and_set_of_many_seeds_is_linearizable()
    {
        var verdicts = new SortedDictionary<string, int>(StringComparer.Ordinal);
        var reached = new HashSet<string>(StringComparer.Ordinal);
        Sometimes.Collect(reached);
        for (int seed = FirstSeed; seed < FirstSeed + Seeds; seed++)
        {
            try
            {
                new Run((ulong)seed, verdicts).Play();
            }
            catch (Exception fault)
            {
                throw new InvalidOperationException($"seed {seed}: {fault.Message}", fault);
            }
        }

        Sometimes.Collect(null);

        // A run in which nothing of a kind happens shows nothing about that kind.
        reached.IntersectWith(Wanted);
        string told = string.Join(" ", reached.Order(StringComparer.Ordinal)) + "; "
            + string.Join(", ", verdicts.Select(v => $"{v.Key} {v.Value}"));
        Assert.True(Seeds < 50 || verdicts.Count >= 8, told);
        Assert.Empty(Seeds < 50 ? [] : Wanted.Except(reached));
        TestContext.Current.TestOutputHelper?.WriteLine(told);
    }

    // The rules of a name, each of which some seed must have met; "plain-bit-waits" too, but that takes a thousand.
    private static string[] Wanted { get; } =
        ["conditional-bit-waits", "push-contended", "push-withdrawn", "stale-in-the-feed", "tag-dead"];

    private static int Setting(string name, int otherwise) =>
        int.TryParse(Environment.GetEnvironmentVariable(name), out int value) ? value : otherwise;

    private sealed class Verdicts(string key)
    {
        public string Key { get; } = key;

        public List<SubmitOutcome> Outcomes { get; } = [];
    }

    private sealed class Run
    {
        private readonly ExchangeLab _lab;
        private readonly int _names;
        private readonly double _pace;
        private readonly RandomSource _random;
        private readonly SortedDictionary<string, int> _verdicts;
        private readonly List<(HistoryEntry Entry, Func<HistoryEntry> End)> _calls = [];
        private readonly Dictionary<Uid, string> _values = [];
        private readonly List<Verdicts> _told = [];
        private readonly Uid[] _lastSeen = new Uid[2];
        private long _clock;
        private int _written;

        public Run(ulong seed, SortedDictionary<string, int> verdicts)
        {
            _verdicts = verdicts;
            _names = seed % 3 == 0 ? 1 : 2;
            _pace = seed % 2 == 0 ? 0.7 : 6;
            _random = new RandomSource(seed + 99_000);
            int servers = seed % 4 == 0 ? 5 : 3;
            _lab = new ExchangeLab(servers, seed, new VectorExchangeOptions { TemporaryTtl = TimeSpan.FromSeconds(20) }, hasFeed: true)
            {
                Loss = seed % 3 * 0.1, Duplicates = seed % 2 * 0.2,
                LongestApply = TimeSpan.FromMilliseconds(seed % 5 * 3), TellsNumbers = seed % 8 < 5,
            };
            _lab.Feed!.OrderTime = TimeSpan.FromMilliseconds(1 + (seed % 6 * 4));
            foreach (LabServer server in _lab.Servers.Values)
            {
                server.Skew = seed % 7 < 3 ? TimeSpan.FromMilliseconds(_random.Below(4000) - 2000) : TimeSpan.Zero;
            }
        }

        public void Play()
        {
            for (int i = 0; i < 80; i++)
            {
                Step(_lab.Servers.Values.ElementAt(_random.Below(_lab.Servers.Count)));
                _lab.Run(_random.Below(TimeSpan.FromMilliseconds(_random.Chance(0.07) ? 1500 : _pace)));
            }

            Heal();
            Check();
        }

        private void Heal()
        {
            foreach (LabServer server in _lab.Servers.Values)
            {
                server.Lags = false;
                if (!server.IsUp)
                {
                    server.Start();
                }

                server.FeedGrew();
            }

            _lab.Duplicates = 0;
            _lab.Heal();
            _lab.Feed!.Release();
            _lab.Run(TimeSpan.FromSeconds(60));
        }

        private void Step(LabServer server)
        {
            int dice = _random.Below(100);
            if (!server.IsUp)
            {
                if (dice < 30)
                {
                    server.Start();
                    _lab.Reconnect();
                }

                return;
            }

            int name = _random.Below(_names);
            switch (dice)
            {
                case < 25:
                    Write(server, name, isConditional: false);
                    break;
                case < 50:
                    Write(server, name, isConditional: true);
                    break;
                case < 75:
                    Read(server, name);
                    break;
                case < 79:
                    server.Compact();
                    break;
                case < 84:
                    server.Lags = !server.Lags;
                    server.FeedGrew();
                    break;
                case < 88 when _lab.Feed!.IsHeld:
                    _lab.Feed.Release();
                    break;
                case < 88:
                    _lab.Feed!.Hold();
                    break;
                case < 94:
                    CutOrHeal(server);
                    break;
                default:
                    if (_lab.Servers.Values.Count(s => s.IsUp) > (_lab.Servers.Count / 2) + 1)
                    {
                        server.Crash();
                        _lab.Reconnect();
                    }

                    break;
            }
        }

        private void CutOrHeal(LabServer server)
        {
            if (_lab.Cut.Count > 0)
            {
                _lab.Cut.Clear();
                _lab.Reconnect();
            }
            else
            {
                _lab.Isolate(server.Name.Name);
            }
        }

        private void Write(LabServer server, int name, bool isConditional)
        {
            string value = (++_written).ToString(CultureInfo.InvariantCulture);
            bool isDelete = _random.Chance(0.15);
            Uid expected = _random.Chance(0.3) ? default : _lastSeen[name];
            var entry = new HistoryEntry
            {
                Client = $"{server.Name}", Action = isDelete ? HistoryAction.Delete : HistoryAction.Put, Name = $"n{name}",
                Value = isDelete ? null : value, Invoked = ++_clock, Outcome = HistoryOutcome.Unknown, IsConditional = isConditional,
                Expected = isConditional && !expected.IsNone ? _values[expected] : null,
            };
            var operation = new Operation(
                isDelete ? OperationKind.Delete : OperationKind.Put, new ObjectName("files", $"n{name}"),
                isDelete ? null : LabServer.Manifest(value))
            {
                Precondition = !isConditional ? default : expected.IsNone ? Precondition.Absent : Precondition.Match(expected),
            };
            SubmitOutcome? outcome = null;
            long returned = 0;
            _calls.Add((entry, () => End(entry, outcome, returned)));
            int tries = 0;
            bool untilSequenced = _random.Chance(0.5);
            var verdicts = new Verdicts($"key {value}");
            _told.Add(verdicts);

            // As the client library does: while it is not known, the same key through another server; what one of them tells for certain
            // counts.
            void Ask(LabServer at) => at.Submit([operation], verdicts.Key, o =>
            {
                verdicts.Outcomes.Add(o);
                bool isCertain = o is SubmitOutcome.Accepted or SubmitOutcome.Refused
                    or SubmitOutcome.Rejected { Reason: RejectionReason.KeyFenced };
                bool wasUnknown = outcome is SubmitOutcome.Unknown;
                if (outcome is null || isCertain)
                {
                    outcome = o;
                    returned = ++_clock;
                }

                if (o is SubmitOutcome.Accepted accepted)
                {
                    _values[accepted.Tag.Uid] = isDelete ? "" : value;
                    _lastSeen[name] = isDelete ? default : accepted.Tag.Uid;
                }
                else if (!isCertain && tries++ < 2 && _random.Chance(0.6))
                {
                    LabServer other = _lab.Servers.Values.ElementAt(_random.Below(_lab.Servers.Count));
                    outcome = new SubmitOutcome.Unknown(default);
                    if (other.IsUp)
                    {
                        Ask(other);
                    }
                }
                else if (!isCertain && wasUnknown)
                {
                    // One of the tries may still be accepted, though the last was not.
                    outcome = new SubmitOutcome.Unknown(default);
                }
            }, untilSequenced);
            Ask(server);
        }

        private HistoryEntry End(HistoryEntry entry, SubmitOutcome? outcome, long returned)
        {
            switch (outcome)
            {
                case SubmitOutcome.Accepted accepted:
                    Count(accepted.Sequenced.Verdict == FeedVerdict.None ? "agreed" : $"{accepted.Sequenced.Verdict}");
                    return entry with { Outcome = HistoryOutcome.Ok, Returned = returned };
                case SubmitOutcome.Refused refused:
                    // It has seen what the name was then.
                    Count("refused");
                    return entry with
                    {
                        Action = HistoryAction.Get, Outcome = HistoryOutcome.Ok, Returned = returned, IsConditional = false,
                        Expected = null,
                        Value = refused.Sequenced.IsWinnerLive ? ValueOf(refused.Sequenced.Winner) : null,
                    };
                case SubmitOutcome.Rejected rejected:
                    Count($"rejected {rejected.Reason}");
                    return entry with { Outcome = HistoryOutcome.Failed };
                default:
                    Count("unknown");
                    return entry;
            }
        }

        private void Read(LabServer server, int name)
        {
            var entry = new HistoryEntry
            {
                Client = $"{server.Name}", Action = HistoryAction.Get, Name = $"n{name}", Invoked = ++_clock,
                Outcome = HistoryOutcome.Failed,
            };
            HistoryEntry end = entry;
            _calls.Add((entry, () => end));
            server.Read($"n{name}", outcome =>
            {
                switch (outcome)
                {
                    case ReadOutcome.Found found:
                        string value = Encoding.UTF8.GetString(found.Manifest.Inline.Span);
                        _values[found.Uid] = value;
                        _lastSeen[name] = found.Uid;
                        end = entry with { Outcome = HistoryOutcome.Ok, Returned = ++_clock, Value = value };
                        Count("read");
                        break;
                    case ReadOutcome.Absent:
                        _lastSeen[name] = default;
                        end = entry with { Outcome = HistoryOutcome.Ok, Returned = ++_clock };
                        Count("read absent");
                        break;
                }
            });
        }

        private string ValueOf(Uid uid)
        {
            Submission submission = _lab.Feed!.Sequence.First(s => s.Tag.Uid == uid);
            return Encoding.UTF8.GetString(submission.Operations[0].Manifest!.Inline.Span);
        }

        private void Count(string what) => _verdicts[what] = _verdicts.GetValueOrDefault(what) + 1;

        // What a client was told of a key, and what a question tells afterwards, is what the feed has.
        private void CheckVerdicts()
        {
            ILookup<string, Submission> inFeed = _lab.Feed!.Sequence.ToLookup(s => s.Key, StringComparer.Ordinal);
            LabFeedState state = _lab.Servers.Values.First().State;
            foreach (Verdicts told in _told)
            {
                bool isInEffect = inFeed[told.Key].Any(s => state.Outcomes[s.Tag].IsInEffect);
                bool isRefused = inFeed[told.Key].Any(s => state.Outcomes[s.Tag].Verdict == FeedVerdict.Refused);
                bool wasAccepted = told.Outcomes.Any(o => o is SubmitOutcome.Accepted);
                bool wasRefused = told.Outcomes.Any(o => o is SubmitOutcome.Refused);
                bool wasFenced = told.Outcomes.Any(o => o is SubmitOutcome.Rejected { Reason: RejectionReason.KeyFenced });
                Assert.True(inFeed[told.Key].Count(s => state.Outcomes[s.Tag].IsInEffect) <= 1, $"{told.Key} is in effect twice");
                Assert.True(!wasAccepted || isInEffect, $"{told.Key} was told accepted, and is not in effect");
                Assert.True(!wasRefused || isRefused, $"{told.Key} was told refused, and was not");
                Assert.True(!wasFenced || !isInEffect, $"{told.Key} was told to be fenced, and is in effect");
                if (told.Outcomes.FirstOrDefault(o => o is SubmitOutcome.Unknown) is SubmitOutcome.Unknown { Tag.IsNone: false } unknown)
                {
                    SubmissionReport? report = null;
                    LabServer server = _lab.Servers.Values.ElementAt(_random.Below(_lab.Servers.Count));
                    server.Core.Show(unknown.Tag, server.Moment, r => report = r);
                    server.Settle();
                    _lab.Run(TimeSpan.FromSeconds(3));
                    Assert.NotNull(report);
                    Count($"shown {report.State}");
                    Assert.True(report.State != SubmissionState.Pending, $"{unknown.Tag} is pending for ever");
                    Assert.True(
                        report.State != SubmissionState.Accepted || state.Outcomes[report.Id].IsInEffect,
                        $"{unknown.Tag} is shown as accepted");
                    Assert.True(
                        report.State != SubmissionState.Rejected || !state.Outcomes.GetValueOrDefault(unknown.Tag).IsInEffect,
                        $"{unknown.Tag} is shown as rejected");
                }
            }
        }

        private void Check()
        {
            string[] states = [.. _lab.Servers.Values.Select(Describe)];
            Assert.Single(states.Distinct());
            foreach (LabServer server in _lab.Servers.Values)
            {
                Assert.True(server.Core.OpenTags == 0, $"{server.Name}: {string.Join("; ", server.Core.DescribeOpen())}");
            }

            var history = new History();
            foreach ((_, Func<HistoryEntry> end) in _calls)
            {
                history.Add(end());
            }

            CheckVerdicts();
            LinearizabilityVerdict verdict = new LinearizabilityChecker { LeastSuccesses = 1 }.Check(history);
            Assert.True(verdict.Result == LinearizabilityResult.Linearizable, verdict.Explain());
        }

        private static string Describe(LabServer server) => string.Join(
            '\n', server.State.Outcomes.OrderBy(o => o.Value.Number).Select(o => $"{o.Key} {o.Value}"));
    }
}
