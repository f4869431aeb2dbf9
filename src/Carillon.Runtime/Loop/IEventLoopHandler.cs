using Carillon.Protocols;

namespace Carillon.Runtime.Loop;

/// <summary>What an <see cref="EventLoop{TWork}"/> drives. Calls come one after the other, each from the thread that has the turn, so an
/// implementation needs no locks; it must not hold on to the thread.</summary>
/// <typeparam name="TWork">One queued item; a struct, so that queueing it allocates nothing.</typeparam>
public interface IEventLoopHandler<TWork>
    where TWork : struct
{
    /// <summary>Takes one item in. What follows from it may wait for <see cref="Settle"/>, which ends the batch.</summary>
    void Handle(in TWork work, Moment moment);

    /// <summary>
    /// Called at the start, after each batch, and when the deadline has come: does what is due, and sends and stores what the
    /// batch brought about, so that a batch shares its flushes and its writes.
    /// </summary>
    /// <returns>When to be called again though nothing was posted; <see cref="Instant.Never"/> for no deadline.</returns>
    Instant Settle(Moment moment);

    /// <summary>The loop ended by an exception before this item was handled: gives back what it holds and answers who waits for
    /// it.</summary>
    void Abandon(in TWork work);
}
