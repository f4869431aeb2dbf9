using System.Diagnostics;
using System.Runtime.CompilerServices;

namespace Carillon.Runtime.Tests;

/// <summary>Waits for what must come true, with a bound that only a failure reaches.</summary>
internal static class Wait
{
    /// <summary>The bound; far above what anything here needs, for slow machines.</summary>
    public static readonly TimeSpan Bound = TimeSpan.FromSeconds(30);

    /// <summary>Looks again and again, giving way to other threads.</summary>
    public static async Task Until(Func<bool> condition, [CallerArgumentExpression(nameof(condition))] string? what = null)
    {
        long start = Stopwatch.GetTimestamp();
        while (!condition())
        {
            Assert.True(Stopwatch.GetElapsedTime(start) < Bound, $"Waited in vain for: {what}");
            await Task.Yield();
        }
    }

    /// <summary>The task's end, or a failure.</summary>
    public static Task<T> For<T>(Task<T> task) => task.WaitAsync(Bound);

    /// <summary>The task's end, or a failure.</summary>
    public static Task For(Task task) => task.WaitAsync(Bound);
}
