using System.Threading.Channels;
using Carillon.Protocols;
using Carillon.Protocols.Primacy;
using Microsoft.Extensions.Logging;

namespace Carillon.Runtime.Services;

/// <summary>What all providers of one server share.</summary>
internal sealed record ProviderSurroundings(
    NodeId Node, string Folder, ServiceOptions Hosting, SystemClock Clock, Action<ServiceNews> News, ILogger Logger);

/// <summary>
/// The provider of one service on this server: takes orders and events one after the other, in a loop of its own, so that a slow disk or a
/// stuck command delays no other service and never the node. Its owner awaits <see cref="StopAsync"/>.
/// </summary>
internal abstract class Provider
{
    // Unbounded, but for a reason: orders come one per change of role, leases are one item however many, and events come from one process.
    private readonly Channel<Action> _inbox = Channel.CreateUnbounded<Action>(new UnboundedChannelOptions { SingleReader = true });
    private readonly TaskCompletionSource _stopAsked = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Task _loop = Task.CompletedTask;
    private int _leasePosted;
    private (ulong Epoch, long End) _lease;
    private readonly Lock _leaseGate = new();

    protected Provider(ServiceDefinition definition, ProviderSurroundings around)
    {
        Definition = definition;
        Around = around;
    }

    /// <summary>What is wanted of it.</summary>
    public ServiceDefinition Definition { get; protected set; }

    protected ProviderSurroundings Around { get; }

    /// <summary>Its files, where it has any: there from the loop's first step on.</summary>
    protected ServiceFolder Place { get; private set; } = null!;

    /// <summary>True if it keeps files here.</summary>
    protected abstract bool HasFiles { get; }

    /// <summary>Ends with the loop, in whatever way.</summary>
    protected Task Ended => _loop;

    protected ServiceName Name => Definition.Name;

    protected Instant Now => Around.Clock.Now;

    /// <summary>When <see cref="Advance"/> is to be called next.</summary>
    protected Instant Deadline { get; set; } = Instant.Never;

    /// <summary>True once nothing of it runs and nothing more will.</summary>
    protected abstract bool IsOver { get; }

    /// <summary>Begins the loop, once what was before it has ended.</summary>
    public void Start(Task after) => _loop = Task.Run(() => RunAsync(after));

    /// <summary>Takes an order; never blocks. False: its loop has ended, and nobody will carry it out.</summary>
    public bool Take(ServiceOrder order)
    {
        if (order is not ServiceOrder.ExtendLease lease)
        {
            return Post(() => Carry(order));
        }

        lock (_leaseGate)
        {
            _lease = (lease.Epoch.Value, lease.LeaseEnd.Ticks);
        }

        return Interlocked.Exchange(ref _leasePosted, 1) != 0 || Post(CarryLease);
    }

    /// <summary>Stops whatever runs, as the given order says, and ends the loop.</summary>
    public Task StopAsync()
    {
        Post(End);
        _stopAsked.TrySetResult();
        return _loop;
    }

    /// <summary>An order's turn.</summary>
    protected abstract void Carry(ServiceOrder order);

    /// <summary>Stop everything; <see cref="IsOver"/> becomes true when it is.</summary>
    protected abstract void End();

    /// <summary>Called after each event, and at the deadline: starts, stops and tells what is due.</summary>
    protected abstract void Advance(Instant now);

    /// <summary>What is there to be given back at the end.</summary>
    protected virtual Task ReleaseAsync() => Task.CompletedTask;

    /// <summary>Gives the loop something to do; false if it has ended.</summary>
    protected bool Post(Action work) => _inbox.Writer.TryWrite(work);

    /// <summary>The wait before something is tried again that has failed so many times.</summary>
    protected TimeSpan Delay(int times)
    {
        TimeSpan delay = Around.Hosting.RestartDelay * Math.Pow(2, Math.Min(times - 1, 20));
        return delay < Around.Hosting.LongestRestartDelay ? delay : Around.Hosting.LongestRestartDelay;
    }

    protected void Tell(ServiceNews news) => Around.News(news);

    private void CarryLease()
    {
        Volatile.Write(ref _leasePosted, 0);
        (ulong epoch, long end) lease;
        lock (_leaseGate)
        {
            lease = _lease;
        }

        Carry(new ServiceOrder.ExtendLease(Name, new Epoch(lease.epoch), new Instant(lease.end)));
    }

    private async Task RunAsync(Task after)
    {
        try
        {
            await after;
            if (HasFiles && !await OpenPlaceAsync())
            {
                return;
            }

            while (!IsOver)
            {
                await WaitAsync();
                while (_inbox.Reader.TryRead(out Action? work))
                {
                    work();
                }

                Deadline = Instant.Never;
                Advance(Now);
            }

            await ReleaseAsync();
        }
        catch (Exception defect) when (defect is not OperationCanceledException)
        {
            // The node hears that nobody provides the service here; its lease ends by itself, and the guard keeps it.
            ServiceLog.Defect(Around.Logger, Name.Name, defect.Message, defect);
            Tell(new ServiceNews.ProviderDown(Name, "the provider met a defect; the server's log tells more", IsFailure: true));
        }
        finally
        {
            // Whoever comes now learns that nobody is here.
            _inbox.Writer.TryComplete();
        }
    }

    /// <summary>
    /// Makes its folder, again and again while that can't be done: a full disk is made room on, and the order to provide comes only once.
    /// Orders wait meanwhile, since without its files it can do nothing. False if it is to stop before: nothing of it ever ran.
    /// </summary>
    private async Task<bool> OpenPlaceAsync()
    {
        string told = "";
        for (int failures = 1; !_stopAsked.Task.IsCompleted; failures++)
        {
            try
            {
                Place = new ServiceFolder(Around.Folder, Definition.Name);
                return true;
            }
            catch (Exception fault) when (fault is IOException or UnauthorizedAccessException)
            {
                string reason = $"its folder can't be made: {fault.Message}";
                if (reason != told)
                {
                    told = reason;
                    ServiceLog.Trouble(Around.Logger, Name.Name, reason);
                    Tell(new ServiceNews.ProviderDown(Name, reason, IsFailure: false));
                }
            }

            await Task.WhenAny(_stopAsked.Task, Task.Delay(Delay(failures)));
        }

        return false;
    }

    private async Task WaitAsync()
    {
        TimeSpan left = Deadline == Instant.Never ? Timeout.InfiniteTimeSpan : Deadline - Now;
        if (left <= TimeSpan.Zero && left != Timeout.InfiniteTimeSpan)
        {
            return;
        }

        using var limit = new CancellationTokenSource(left);
        try
        {
            await _inbox.Reader.WaitToReadAsync(limit.Token);
        }
        catch (OperationCanceledException)
        {
            // The deadline.
            return;
        }
    }
}
