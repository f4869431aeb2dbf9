using Carillon.Protocols.Primacy;

namespace Carillon.Client.Services;

/// <summary>
/// A service of a user's own that is one of several providers (seed 002): at most one is primary at a time, wherever they run. Calls come
/// one after the other, from <see cref="ServiceProgram"/>. An exception out of a call is a failure of the provider.
/// </summary>
public interface IHighlyAvailableService
{
    /// <summary>
    /// Begin to act, with the state that is there. Return once it serves; what goes on must stop when <paramref name="ended"/> is
    /// signalled, which comes before the lease ends. <paramref name="epoch"/> is the fencing token for everything that it does
    /// (<see cref="PutOptions.Fence"/>).
    /// </summary>
    Task BecomePrimary(Epoch epoch, CancellationToken ended);

    /// <summary>Stop acting if it does, and be kept up to date from now on. Return once nothing acts any more.</summary>
    Task BecomeSecondary();

    /// <summary>Stop acting if it does. Return once nothing acts any more.</summary>
    Task BecomeSpare();

    /// <summary>The state, at most 8 MiB. Asked of the primary now and then, and once more when it has stopped.</summary>
    Task<ReadOnlyMemory<byte>> TakeCheckpoint();

    /// <summary>Replace the state by this one; never while it is primary.</summary>
    Task ApplyCheckpoint(ReadOnlyMemory<byte> checkpoint);
}
