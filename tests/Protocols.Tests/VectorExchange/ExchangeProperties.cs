using Carillon.Protocols.Submissions;
using Carillon.Protocols.VectorExchange;
using Xunit;

namespace Carillon.Protocols.Tests.VectorExchange;

/// <summary>
/// Clients put, delete, read and ask on a network that loses, doubles and reorders messages, with wrong clocks, full disks, cuts, crashes
/// and cut logs; then everything heals, and the whole history is checked: agreement, real-time order by UID, what was told to clients.
/// </summary>
public sealed class ExchangeProperties
{
    private static readonly int Seeds = Setting("CARILLON_EXCHANGE_SEEDS", 100);
    private static readonly int FirstSeed = Setting("CARILLON_EXCHANGE_FIRST", 0);

    [Fact]
    public void History_of_many_seeds_is_linearizable()
    {
        for (int seed = FirstSeed; seed < FirstSeed + Seeds; seed++)
        {
            try
            {
                new History((ulong)seed).Run();
            }
            catch (Exception fault)
            {
                throw new InvalidOperationException($"seed {seed}: {fault.Message}", fault);
            }
        }
    }

    private static int Setting(string name, int otherwise) =>
        int.TryParse(Environment.GetEnvironmentVariable(name), out int value) ? value : otherwise;

    private sealed class History
    {
        private readonly ExchangeLab _lab;
        private readonly RandomSource _random;
        private readonly int _servers;
        private readonly List<Attempted> _puts = [];
        private readonly List<(string Name, long Start, long End, Tag Seen)> _reads = [];
        private readonly HashSet<string> _fenced = new(StringComparer.Ordinal);
        private readonly List<(Tag Tag, bool Accepted)> _shown = [];
        private long _clock;

        public History(ulong seed)
        {
            _servers = seed % 3 == 0 ? 5 : 3;
            _random = new RandomSource(seed + 77_000);
            var options = new VectorExchangeOptions { TemporaryTtl = TimeSpan.FromSeconds(20), ActiveConnectivity = seed % 5 == 0 };
            _lab = new ExchangeLab(_servers, seed, options) { Loss = seed % 4 * 0.1, Duplicates = seed % 2 * 0.2 };
            foreach (LabServer server in _lab.Servers.Values)
            {
                server.Skew = seed % 7 < 3 ? TimeSpan.FromMilliseconds(_random.Below(20_000) - 10_000) : TimeSpan.Zero;
            }
        }

        public void Run()
        {
            for (int i = 0; i < 60; i++)
            {
                Step(_lab.Servers.Values.ElementAt(_random.Below(_servers)));
                _lab.Run(_random.Below(TimeSpan.FromMilliseconds(_random.Chance(0.2) ? 2000 : 5)));
            }

            foreach (LabServer server in _lab.Servers.Values)
            {
                server.IsFull = false;
                if (!server.IsUp)
                {
                    server.Start();
                }
            }

            _lab.Duplicates = 0;
            _lab.Heal();
            _lab.Run(TimeSpan.FromSeconds(60));
            _lab.Merge();
            CheckAgreement();
            CheckOrder();
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
            }
            else if (dice < 45)
            {
                Put(server, _random.Below(40));
            }
            else if (dice < 65)
            {
                Read(server, $"n{_random.Below(2)}");
            }
            else if (dice < 73)
            {
                Show(server);
            }
            else if (dice < 80)
            {
                server.Compact();
            }
            else if (dice < 83)
            {
                server.IsFull = !server.IsFull;
            }
            else if (dice < 91)
            {
                CutOrHeal(server);
            }
            else if (_lab.Servers.Values.Count(s => s.IsUp) > _servers / 2)
            {
                server.Crash();
                _lab.Reconnect();
            }
        }

        private void Put(LabServer server, int number)
        {
            string key = $"k{number}";
            var put = new Attempted($"n{number % 2}", key, ++_clock);
            _puts.Add(put);
            void Then(SubmitOutcome outcome)
            {
                put.End = ++_clock;
                put.Outcome = outcome;
            }

            if (number % 5 == 0)
            {
                server.Delete(put.Name, key, Then);
            }
            else
            {
                server.Put(put.Name, $"content of {key}", key, Then);
            }
        }

        private void Read(LabServer server, string name)
        {
            long start = ++_clock;
            server.Core.Read(new ObjectName("files", name), server.Moment, outcome =>
            {
                Tag? seen = outcome switch
                {
                    ReadOutcome.Found found => found.Tag,
                    ReadOutcome.Absent absent => new Tag(absent.Tombstone, 0),
                    _ => null,
                };
                if (seen is { } tag)
                {
                    _reads.Add((name, start, ++_clock, tag));
                }
            });
            server.Settle();
        }

        private void Show(LabServer server)
        {
            if (_puts.Count == 0)
            {
                return;
            }

            Attempted put = _puts[_random.Below(_puts.Count)];
            if (put.Outcome is SubmitOutcome.Unknown unknown)
            {
                server.Core.Show(unknown.Tag, server.Moment, report =>
                {
                    if (report.State is SubmissionState.Accepted or SubmissionState.Rejected)
                    {
                        _shown.Add((report.Id, report.State == SubmissionState.Accepted));
                    }
                });
            }
            else
            {
                server.Core.Show(put.Key, server.Moment, answer =>
                {
                    if (answer.State == TagState.Fenced)
                    {
                        _fenced.Add(put.Key);
                    }
                    else if (answer.State == TagState.Accepted)
                    {
                        _shown.Add((answer.Tag, true));
                    }
                });
            }

            server.Settle();
        }

        private void CutOrHeal(LabServer server)
        {
            if (_lab.Cut.Count > 0)
            {
                _lab.Cut.Clear();
            }
            else
            {
                LabServer other = _lab.Servers.Values.ElementAt(_random.Below(_servers));
                if (other != server)
                {
                    _lab.Cut.Add((server.Name, other.Name));
                }
            }

            // Membership notices later, or not at all before it is over.
            if (_random.Chance(0.5))
            {
                _lab.Reconnect();
            }
        }

        private void CheckAgreement()
        {
            LabServer first = _lab.Servers.Values.First();
            foreach (LabServer server in _lab.Servers.Values)
            {
                Assert.True(server.Core.OpenTags == 0, $"{server.Name} has {server.Core.OpenTags} open tags");
                Assert.Equal(0, server.Core.OpenAttempts);
                Assert.Equal(first.Catalog.Keys.Order(), server.Catalog.Keys.Order());
                Assert.Empty(server.Catalog.Keys.Intersect(server.Noes.Keys));
            }

            foreach (IGrouping<string, Attempted> attempts in _puts.GroupBy(p => p.Key))
            {
                Tag[] accepted = [.. first.Catalog.Values.Where(s => s.Key == attempts.Key).Select(s => s.Tag)];
                Assert.True(accepted.Length <= 1, $"{attempts.Key} was accepted {accepted.Length} times");
                Assert.False(accepted.Length > 0 && _fenced.Contains(attempts.Key), $"{attempts.Key} was fenced and accepted");
                bool rejected = attempts.All(a => a.Outcome is SubmitOutcome.Rejected);
                Assert.False(accepted.Length > 0 && rejected, $"{attempts.Key} was rejected and accepted");
                foreach (Attempted attempt in attempts)
                {
                    if (attempt.Outcome is SubmitOutcome.Accepted told)
                    {
                        Assert.Equal([told.Tag], accepted);
                    }
                }
            }

            Assert.All(_shown, s => Assert.Equal(s.Accepted, first.Catalog.ContainsKey(s.Tag)));
        }

        private void CheckOrder()
        {
            // Each moment at which a client knew that a tag is in force; everything that begins later must see it or a greater one.
            (string Name, long Start, long End, Uid Uid, bool IsPut)[] known =
            [
                .. from put in _puts
                    where put.Outcome is SubmitOutcome.Accepted
                    let accepted = (SubmitOutcome.Accepted)put.Outcome!
                    select (put.Name, put.Start, put.End, accepted.Tag.Uid, !accepted.Replayed),
                .. _reads.Select(r => (r.Name, r.Start, r.End, r.Seen.Uid, false)),
            ];
            foreach ((string name, long start, _, Uid uid, bool isPut) in known)
            {
                foreach ((string otherName, _, long end, Uid other, _) in known)
                {
                    if (otherName == name && end < start)
                    {
                        Assert.False(isPut && uid <= other, $"{name}: a put got {uid} after {other} was told");
                    }
                }
            }

            foreach ((string name, long start, _, Tag seen) in _reads)
            {
                Uid floor = known.Where(k => k.Name == name && k.End < start).Select(k => k.Uid).DefaultIfEmpty().Max();
                Assert.True(seen.Uid >= floor, $"{name}: a read saw {seen.Uid} after {floor} was told");
            }
        }
    }

    private sealed class Attempted(string name, string key, long start)
    {
        public string Name { get; } = name;

        public string Key { get; } = key;

        public long Start { get; } = start;

        public long End { get; set; } = long.MaxValue;

        public SubmitOutcome? Outcome { get; set; }
    }
}
