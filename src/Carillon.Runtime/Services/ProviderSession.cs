using System.Threading.Channels;
using Carillon.Protocols;
using Carillon.Protocols.Primacy;

namespace Carillon.Runtime.Services;

/// <summary>What a provider process may believe of its lease, counted from when it asked.</summary>
/// <param name="Epoch">The epoch that it holds; none: it is not the primary.</param>
/// <param name="Remaining">How long from its question on.</param>
public readonly record struct LeaseLeft(Epoch Epoch, TimeSpan Remaining);

/// <summary>
/// A program of a user's own that provides a service by a session with this server: orders go down one stream, news and questions for the
/// lease come up. A question counts as a sign of life. Safe for any thread.
/// </summary>
public sealed class ProviderSession
{
    private readonly Channel<ServiceOrder> _orders = Channel.CreateBounded<ServiceOrder>(
        new BoundedChannelOptions(64) { SingleReader = true, FullMode = BoundedChannelFullMode.Wait });
    private readonly TaskCompletionSource _over = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly SystemClock _clock;
    private readonly Action<ProviderSession, ServiceNews> _news;
    private readonly Lock _gate = new();
    private Epoch _epoch;
    private Instant _leaseEnd;
    private Instant _deadline = Instant.Never;
    private Instant _told;
    private Instant _heard;

    internal ProviderSession(ServiceName service, Freshness state, SystemClock clock, Action<ProviderSession, ServiceNews> news)
    {
        Service = service;
        State = state;
        _clock = clock;
        _news = news;
        _heard = clock.Now;
        Id = Convert.ToHexStringLower(System.Security.Cryptography.RandomNumberGenerator.GetBytes(16));
    }

    /// <summary>Not to be guessed: whoever has it speaks for the provider.</summary>
    public string Id { get; }

    public ServiceName Service { get; }

    /// <summary>The state that the program brought along.</summary>
    public Freshness State { get; }

    /// <summary>Orders for the program, until the session ends.</summary>
    public ChannelReader<ServiceOrder> Orders => _orders.Reader;

    /// <summary>Ends with the session.</summary>
    public Task Over => _over.Task;

    /// <summary>When the program was heard last.</summary>
    internal Instant Heard
    {
        get
        {
            lock (_gate)
            {
                return _heard;
            }
        }
    }

    /// <summary>Until then the program may believe that it is the primary.</summary>
    internal Instant Told
    {
        get
        {
            lock (_gate)
            {
                return _told;
            }
        }
    }

    /// <summary>The program asks how long it may go on as primary.</summary>
    public LeaseLeft Renew()
    {
        lock (_gate)
        {
            Instant now = _clock.Now;
            _heard = now;
            Instant end = Instant.Min(_leaseEnd, _deadline);
            if (_epoch.IsNone || end <= now || _over.Task.IsCompleted)
            {
                return default;
            }

            _told = end;
            return new LeaseLeft(_epoch, end - now);
        }
    }

    /// <summary>The program tells something.</summary>
    public void Tell(ServiceNews news)
    {
        lock (_gate)
        {
            _heard = _clock.Now;
        }

        _news(this, news);
    }

    /// <summary>The stream to the program has ended, however.</summary>
    public void End()
    {
        _orders.Writer.TryComplete();
        _over.TrySetResult();
    }

    internal void Lead(Epoch epoch, Instant leaseEnd)
    {
        lock (_gate)
        {
            _epoch = epoch;
            _leaseEnd = leaseEnd;
            _deadline = Instant.Never;
        }
    }

    internal void Extend(Epoch epoch, Instant leaseEnd)
    {
        lock (_gate)
        {
            _leaseEnd = epoch == _epoch && leaseEnd > _leaseEnd ? leaseEnd : _leaseEnd;
        }
    }

    /// <summary>It has to stop by then, and is told of no later end from now on.</summary>
    internal void Limit(Instant deadline)
    {
        lock (_gate)
        {
            _deadline = deadline;
        }
    }

    /// <summary>It has stopped.</summary>
    internal void Stand()
    {
        lock (_gate)
        {
            _epoch = default;
            _told = default;
        }
    }

    /// <summary>It is taken to have stopped, by its own clock: true if the end that it was told last is past, and from then on it is
    /// told of none.</summary>
    internal bool TryStand(Instant now)
    {
        lock (_gate)
        {
            if (now < _told)
            {
                return false;
            }

            _epoch = default;
            return true;
        }
    }

    /// <summary>Hands it an order; one that takes none any more has lost its session.</summary>
    internal void Take(ServiceOrder order)
    {
        if (!_orders.Writer.TryWrite(order))
        {
            End();
        }
    }
}
