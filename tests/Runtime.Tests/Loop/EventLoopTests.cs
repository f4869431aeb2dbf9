using System.Collections.Concurrent;
using Carillon.Protocols;
using Carillon.Runtime.Loop;

namespace Carillon.Runtime.Tests.Loop;

public sealed class EventLoopTests
{
    // However slow the machine is.
    private static readonly EventLoopOptions NeverLoaded = new() { LongTurn = TimeSpan.MaxValue };

    private readonly SystemClock _clock = new();

    [Fact]
    public async Task Items_of_many_posters_are_all_handled_on_one_thread_and_in_each_posters_order()
    {
        const int Posters = 4;
        const int Each = 50_000;
        int[] last = [-1, -1, -1, -1];
        int disorder = 0;
        HashSet<int> threads = [];
        Recorder recorder = new()
        {
            OnHandle = work =>
            {
                disorder += work.Number == last[work.Poster] + 1 ? 0 : 1;
                last[work.Poster] = work.Number;
                threads.Add(Environment.CurrentManagedThreadId);
            },
        };
        EventLoop<Work> loop = Start(recorder, new EventLoopOptions { QueueLimit = 512, BatchLimit = 64 });

        await Wait.For(Task.WhenAll(Enumerable.Range(0, Posters).Select(poster => Task.Run(async () =>
        {
            for (int i = 0; i < Each; i++)
            {
                Assert.True(await loop.PostAsync(new Work(poster, i)));
            }
        }))));
        await Wait.For(loop.StopAsync());

        Assert.Equal(0, disorder);
        Assert.All(last, number => Assert.Equal(Each - 1, number));
        Assert.Single(threads);
    }

    [Fact]
    public async Task Loop_that_was_never_started_ends_at_once_and_abandons_what_waits()
    {
        Recorder recorder = new();
        EventLoop<Work> loop = new(recorder, _clock, new EventLoopOptions());
        Assert.True(loop.TryPost(new Work(0, 0)));
        await Wait.For(loop.StopAsync());
        Assert.Single(recorder.Abandoned);
        Assert.False(loop.TryPost(new Work(0, 1)));
    }

    [Fact]
    public async Task Full_queue_refuses_and_a_waiting_poster_gets_in_once_there_is_room()
    {
        using ManualResetEventSlim hold = new();
        using ManualResetEventSlim held = new();
        Recorder recorder = new()
        {
            OnHandle = _ =>
            {
                held.Set();
                hold.Wait();
            },
        };
        EventLoop<Work> loop = Start(recorder, new EventLoopOptions { QueueLimit = 2 });
        Assert.True(loop.TryPost(new Work(0, 0)));
        held.Wait(Wait.Bound, TestContext.Current.CancellationToken);
        Assert.True(loop.TryPost(new Work(0, 1)));
        Assert.True(loop.TryPost(new Work(0, 2)));

        Assert.False(loop.TryPost(new Work(0, 3)));
        Assert.Equal(2, loop.Depth);
        ValueTask<bool> waiting = loop.PostAsync(new Work(0, 4));
        Assert.False(waiting.IsCompleted);

        hold.Set();
        Assert.True(await Wait.For(waiting.AsTask()));
        await Wait.For(loop.StopAsync());
        Assert.Equal([0, 1, 2, 4], recorder.Handled);
    }

    [Fact]
    public async Task Deadline_is_met_without_any_item_and_not_before_its_time()
    {
        Instant start = _clock.Now;
        Instant due = start + TimeSpan.FromMilliseconds(20);
        TaskCompletionSource<Instant> woken = new();
        Recorder recorder = new()
        {
            OnSettle = moment =>
            {
                if (moment.Now < due)
                {
                    return due;
                }

                woken.TrySetResult(moment.Now);
                return Instant.Never;
            },
        };
        EventLoop<Work> loop = Start(recorder, new EventLoopOptions());

        Assert.True(await Wait.For(woken.Task) >= due);
        await Wait.For(loop.StopAsync());
    }

    [Fact]
    public async Task Batch_is_settled_once_and_a_long_one_in_slices()
    {
        using ManualResetEventSlim hold = new();
        int settles = 0;
        List<int> perSettle = [];
        int handled = 0;
        Recorder recorder = new()
        {
            OnHandle = _ => handled++,
            OnSettle = _ =>
            {
                if (settles++ == 0)
                {
                    hold.Wait();
                }

                perSettle.Add(handled);
                return Instant.Never;
            },
        };
        EventLoop<Work> loop = Start(recorder, new EventLoopOptions { BatchLimit = 4 });
        for (int i = 0; i < 10; i++)
        {
            Assert.True(loop.TryPost(new Work(0, i)));
        }

        hold.Set();
        await Wait.For(loop.StopAsync());
        Assert.Equal([0, 4, 8, 10], perSettle);
    }

    [Fact]
    public async Task Broken_invariant_ends_the_loop_is_reported_and_abandons_what_waits()
    {
        using ManualResetEventSlim hold = new();
        Recorder recorder = new()
        {
            OnHandle = work =>
            {
                hold.Wait();
                Invariant.That(work.Number != 1);
            },
        };
        EventLoop<Work> loop = Start(recorder, new EventLoopOptions { QueueLimit = 2 });
        Assert.True(loop.TryPost(new Work(0, 0)));
        await Wait.Until(() => loop.Depth == 0);
        Assert.True(loop.TryPost(new Work(0, 1)));
        Assert.True(loop.TryPost(new Work(0, 2)));
        ValueTask<bool> waiting = loop.PostAsync(new Work(0, 3));

        hold.Set();
        await Assert.ThrowsAsync<InvariantBrokenException>(() => Wait.For(loop.Completion));
        bool taken = await Wait.For(waiting.AsTask());
        Assert.Equal(taken ? [2, 3] : [2], recorder.Abandoned);
        Assert.False(loop.TryPost(new Work(0, 4)));
        Assert.False(await loop.PostAsync(new Work(0, 5)));
    }

    [Fact]
    public async Task Stop_handles_what_waits_and_refuses_what_comes_later()
    {
        using ManualResetEventSlim hold = new();
        Recorder recorder = new() { OnHandle = _ => hold.Wait() };
        EventLoop<Work> loop = Start(recorder, new EventLoopOptions());
        for (int i = 0; i < 100; i++)
        {
            Assert.True(loop.TryPost(new Work(0, i)));
        }

        Task stopped = loop.StopAsync();
        Assert.False(loop.TryPost(new Work(0, 100)));
        Assert.False(stopped.IsCompleted);
        hold.Set();
        await Wait.For(stopped);
        Assert.Equal(Enumerable.Range(0, 100), recorder.Handled);
    }

    [Fact]
    public async Task Who_brings_an_item_to_a_loop_that_rests_has_the_turn_himself()
    {
        int thread = 0;
        int settles = 0;
        Recorder recorder = new() { OnHandle = _ => thread = Environment.CurrentManagedThreadId, OnSettle = _ => Settled(ref settles) };
        EventLoop<Work> loop = Start(recorder, NeverLoaded);
        await Resting(loop, recorder);
        int before = settles;
        int self = await Task.Run(() =>
        {
            Assert.True(loop.TryQueue(new Work(0, 0)));
            Assert.True(loop.TryQueue(new Work(0, 1)));
            Assert.DoesNotContain(0, recorder.Handled);
            loop.Drive();
            return Environment.CurrentManagedThreadId;
        });

        Assert.Equal([0, 1], recorder.Handled.Where(number => number >= 0));
        Assert.Equal(self, thread);
        Assert.Equal(before + 1, settles);
        await Wait.For(loop.StopAsync());
    }

    [Fact]
    public async Task Driver_leaves_the_rest_of_a_long_batch_and_what_came_meanwhile_to_the_loops_thread()
    {
        List<(int Number, int Thread)> turns = [];
        EventLoop<Work>? loop = null;
        Recorder recorder = new()
        {
            OnHandle = work =>
            {
                if (work.Number == 0)
                {
                    Assert.True(loop!.IsCurrent);
                    Assert.True(loop.TryRun(new Work(0, 5))); // within a turn there is no other
                }

                turns.Add((work.Number, Environment.CurrentManagedThreadId));
            },
        };
        loop = Start(recorder, NeverLoaded with { BatchLimit = 2 });
        await Resting(loop, recorder);
        turns.Clear();
        int driver = await Task.Run(() =>
        {
            for (int i = 0; i < 5; i++)
            {
                Assert.True(loop.TryQueue(new Work(0, i)));
            }

            loop.Drive();
            return Environment.CurrentManagedThreadId;
        });
        await Wait.For(loop.StopAsync());

        Assert.Equal([0, 1, 2, 3, 4, 5], turns.Select(turn => turn.Number));
        Assert.Equal([0, 1], turns.Where(turn => turn.Thread == driver).Select(turn => turn.Number));
        Assert.Single(turns.Skip(2).Select(turn => turn.Thread).Distinct());
    }

    [Fact]
    public async Task Under_load_the_turn_is_left_to_the_loops_thread()
    {
        int thread = 0;
        Recorder recorder = new() { OnHandle = _ => thread = Environment.CurrentManagedThreadId };
        EventLoop<Work> loop = Start(recorder, new EventLoopOptions { LongTurn = TimeSpan.Zero });
        await Resting(loop, recorder);
        int driver = await Task.Run(() =>
        {
            Assert.True(loop.TryRun(new Work(0, 0)));
            return Environment.CurrentManagedThreadId;
        });
        await Wait.For(loop.StopAsync());

        Assert.Equal([-1, 0], recorder.Handled);
        Assert.NotEqual(driver, thread);
    }

    [Fact]
    public async Task Earlier_deadline_of_a_drivers_turn_is_met()
    {
        Instant due = Instant.Never;
        TaskCompletionSource<Instant> woken = new();
        Recorder recorder = new()
        {
            OnHandle = work => due = work.Number < 0 ? due : _clock.Now + TimeSpan.FromMilliseconds(20),
            OnSettle = moment =>
            {
                if (moment.Now >= due)
                {
                    woken.TrySetResult(moment.Now);
                    due = Instant.Never;
                }

                return due;
            },
        };
        EventLoop<Work> loop = Start(recorder, NeverLoaded);
        await Resting(loop, recorder);
        Assert.True(loop.TryRun(new Work(0, 0)));

        await Wait.For(woken.Task);
        await Wait.For(loop.StopAsync());
    }

    [Fact]
    public async Task Deadline_that_passes_in_a_drivers_turn_is_met_behind_it()
    {
        Instant due = _clock.Now + TimeSpan.FromMilliseconds(100);
        using ManualResetEventSlim hold = new();
        TaskCompletionSource met = new();
        Recorder recorder = new()
        {
            OnHandle = work => _ = work.Number < 0 || hold.Wait(Wait.Bound),
            OnSettle = moment =>
            {
                // The driver's moment is that of its turn's beginning, so it settles nothing.
                _ = moment.Now >= due && met.TrySetResult();
                return moment.Now >= due ? Instant.Never : due;
            },
        };
        EventLoop<Work> loop = Start(recorder, NeverLoaded);
        await Resting(loop, recorder);
        Task driving = Task.Run(() => loop.TryRun(new Work(0, 0)));
        await Wait.Until(() => _clock.Now >= due + TimeSpan.FromMilliseconds(50));
        hold.Set();
        await Wait.For(driving);

        await Wait.For(met.Task);
        await Wait.For(loop.StopAsync());
    }

    [Fact]
    public async Task Broken_invariant_in_a_drivers_turn_ends_the_loop_and_not_the_driver()
    {
        Recorder recorder = new() { OnHandle = work => Invariant.That(work.Number != 1) };
        EventLoop<Work> loop = Start(recorder, NeverLoaded);
        await Resting(loop, recorder);
        for (int i = 0; i < 3; i++)
        {
            Assert.True(loop.TryQueue(new Work(0, i)));
        }

        loop.Drive();
        await Assert.ThrowsAsync<InvariantBrokenException>(() => Wait.For(loop.Completion));
        Assert.Equal([2], recorder.Abandoned);
        Assert.False(loop.TryRun(new Work(0, 4)));
        await Assert.ThrowsAsync<InvariantBrokenException>(() => Wait.For(loop.StopAsync()));
    }

    [Fact]
    public async Task Item_that_can_not_even_be_abandoned_keeps_no_loop_from_ending()
    {
        Recorder recorder = new()
        {
            OnHandle = work => Invariant.That(work.Number != 1),
            OnAbandon = work => throw new InvalidOperationException("abandoned " + work.Number),
        };
        EventLoop<Work> loop = Start(recorder, NeverLoaded);
        await Resting(loop, recorder);
        for (int i = 0; i < 4; i++)
        {
            Assert.True(loop.TryQueue(new Work(0, i)));
        }

        loop.Drive();
        AggregateException death = await Assert.ThrowsAsync<AggregateException>(() => Wait.For(loop.Completion));
        Assert.Equal(
            [typeof(InvariantBrokenException), typeof(InvalidOperationException)], death.InnerExceptions.Select(inner => inner.GetType()));
        Assert.False(loop.IsCurrent);
        Assert.Equal([-1, 0], recorder.Handled);
    }

    [Fact]
    public async Task What_a_drivers_turn_begins_knows_nothing_of_the_driver()
    {
        AsyncLocal<string> who = new();
        Task<string?>? begun = null;
        Recorder recorder = new() { OnHandle = work => begun = work.Number < 0 ? null : Task.Run(() => who.Value) };
        EventLoop<Work> loop = Start(recorder, NeverLoaded);
        await Resting(loop, recorder);
        await Task.Run(() =>
        {
            who.Value = "a request";
            Assert.True(loop.TryRun(new Work(0, 0)));
            Assert.False(ExecutionContext.IsFlowSuppressed());
        });
        Assert.Null(await begun!);
        await Wait.For(loop.StopAsync());
    }

    [Fact]
    public async Task Stop_waits_for_a_drivers_turn()
    {
        using ManualResetEventSlim hold = new();
        Recorder recorder = new() { OnHandle = work => _ = work.Number < 0 || hold.Wait(Wait.Bound) };
        EventLoop<Work> loop = Start(recorder, NeverLoaded);
        await Resting(loop, recorder);
        Assert.True(loop.TryQueue(new Work(0, 0)));
        Task driving = Task.Run(loop.Drive);
        await Wait.Until(() => loop.Depth == 0);
        Assert.True(loop.TryPost(new Work(0, 1)));

        Task stopped = loop.StopAsync();
        Assert.False(stopped.IsCompleted);
        Assert.False(loop.TryQueue(new Work(0, 2)));
        hold.Set();
        await Wait.For(stopped);
        await Wait.For(driving);
        Assert.Equal([0, 1], recorder.Handled.Where(number => number >= 0));
    }

    [Fact]
    public async Task Turns_of_many_drivers_and_of_the_loops_thread_never_overlap()
    {
        const int Posters = 4;
        const int Each = 20_000;
        int[] last = [-1, -1, -1, -1];
        int within = 0;
        int faults = 0;
        int settles = 0;
        Recorder recorder = new()
        {
            OnHandle = work =>
            {
                faults += Interlocked.Increment(ref within) == 1 ? 0 : 1;
                faults += work.Number == last[work.Poster] + 1 ? 0 : 1;
                last[work.Poster] = work.Number;
                Interlocked.Decrement(ref within);
            },
            OnSettle = moment =>
            {
                faults += Interlocked.Increment(ref within) == 1 ? 0 : 1;
                Interlocked.Decrement(ref within);
                return ++settles % 3 == 0 ? Instant.Never : moment.Now + TimeSpan.FromMilliseconds(settles % 2);
            },
        };
        EventLoop<Work> loop = Start(recorder, new EventLoopOptions { QueueLimit = 64, BatchLimit = 8 });

        await Wait.For(Task.WhenAll(Enumerable.Range(0, Posters).Select(poster => Task.Run(async () =>
        {
            for (int i = 0; i < Each; i++)
            {
                var work = new Work(poster, i);
                bool isTaken = i % 3 == 0 ? loop.TryPost(work) : loop.TryRun(work);
                Assert.True(isTaken || await loop.PostAsync(work));
                if (i % 500 == 0)
                {
                    await Wait.Until(() => loop.IsResting);
                }
            }
        }))));
        await Wait.For(loop.StopAsync());

        Assert.Equal(0, faults);
        Assert.All(last, number => Assert.Equal(Each - 1, number));
    }

    [Fact]
    public void Options_out_of_range_are_all_reported_at_once()
    {
        Assert.Equal(3, new EventLoopOptions { QueueLimit = 0, BatchLimit = 0, LongTurn = TimeSpan.FromTicks(-1) }.Validate().Count);
        Assert.Throws<ArgumentException>(() => new EventLoop<Work>(new Recorder(), _clock, new EventLoopOptions { QueueLimit = 0 }));
    }

    private EventLoop<Work> Start(Recorder recorder, EventLoopOptions options)
    {
        EventLoop<Work> loop = new(recorder, _clock, options);
        loop.Start();
        return loop;
    }

    private static Instant Settled(ref int settles)
    {
        settles++;
        return Instant.Never;
    }

    /// <summary>Until an item was handled, and the loop's thread sleeps again.</summary>
    private static async Task Resting(EventLoop<Work> loop, Recorder recorder)
    {
        Assert.True(loop.TryPost(new Work(0, -1)));
        await Wait.Until(() => recorder.Handled.Contains(-1) && loop.IsResting);
    }

    private readonly record struct Work(int Poster, int Number);

    private sealed class Recorder : IEventLoopHandler<Work>
    {
        public Action<Work> OnHandle { get; init; } = _ => { };

        public Func<Moment, Instant> OnSettle { get; init; } = _ => Instant.Never;

        public Action<Work> OnAbandon { get; init; } = _ => { };

        public ConcurrentQueue<int> Handled { get; } = new();

        public ConcurrentQueue<int> Abandoned { get; } = new();

        public void Handle(in Work work, Moment moment)
        {
            OnHandle(work);
            Handled.Enqueue(work.Number);
        }

        public int Settles { get; private set; }

        public Instant Settle(Moment moment)
        {
            Settles++;
            return OnSettle(moment);
        }

        public void Abandon(in Work work)
        {
            OnAbandon(work);
            Abandoned.Enqueue(work.Number);
        }
    }
}
