using System.Collections.Concurrent;
using Carillon.Protocols;
using Carillon.Runtime.Loop;

namespace Carillon.Runtime.Tests.Loop;

public sealed class EventLoopTests
{
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
    public void Options_out_of_range_are_all_reported_at_once()
    {
        Assert.Equal(2, new EventLoopOptions { QueueLimit = 0, BatchLimit = 0 }.Validate().Count);
        Assert.Throws<ArgumentException>(() => new EventLoop<Work>(new Recorder(), _clock, new EventLoopOptions { QueueLimit = 0 }));
    }

    private EventLoop<Work> Start(Recorder recorder, EventLoopOptions options)
    {
        EventLoop<Work> loop = new(recorder, _clock, options);
        loop.Start();
        return loop;
    }

    private readonly record struct Work(int Poster, int Number);

    private sealed class Recorder : IEventLoopHandler<Work>
    {
        public Action<Work> OnHandle { get; init; } = _ => { };

        public Func<Moment, Instant> OnSettle { get; init; } = _ => Instant.Never;

        public ConcurrentQueue<int> Handled { get; } = new();

        public ConcurrentQueue<int> Abandoned { get; } = new();

        public void Handle(in Work work, Moment moment)
        {
            OnHandle(work);
            Handled.Enqueue(work.Number);
        }

        public Instant Settle(Moment moment) => OnSettle(moment);

        public void Abandon(in Work work) => Abandoned.Enqueue(work.Number);
    }
}
