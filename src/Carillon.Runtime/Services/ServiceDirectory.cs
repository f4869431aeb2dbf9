using Carillon.Protocols;
using Carillon.Protocols.Primacy;

namespace Carillon.Runtime.Services;

/// <summary>Where a service's primary is, as its requesters are told.</summary>
/// <param name="Primary">None: there is no primary.</param>
/// <param name="Epoch">In which epoch.</param>
public readonly record struct PrimaryPlace(NodeId Primary, Epoch Epoch);

/// <summary>
/// Requesters of services at this server (seed 002, steps 404 and 412): while a service changes hands they wait, and are then told who the
/// primary is. Safe for any thread.
/// </summary>
internal sealed class ServiceDirectory
{
    private readonly Lock _gate = new();
    private readonly Dictionary<ServiceName, Entry> _entries = [];

    /// <summary>Requesters wait from now on.</summary>
    public void Hold(ServiceName service)
    {
        lock (_gate)
        {
            Entry entry = Of(service);
            entry.Released ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        }
    }

    /// <summary>They go on.</summary>
    public void Release(ServiceName service, PrimaryPlace place)
    {
        TaskCompletionSource? released;
        lock (_gate)
        {
            Entry entry = Of(service);
            entry.Place = place;
            released = entry.Released;
            entry.Released = null;
        }

        released?.TrySetResult();
    }

    /// <summary>
    /// The primary's place once requesters are released, or none if that does not happen in time; null if nothing was heard here of the
    /// service since this server started.
    /// </summary>
    public async Task<PrimaryPlace?> FindAsync(ServiceName service, TimeSpan patience, CancellationToken cancellation)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        limit.CancelAfter(patience);
        while (true)
        {
            Task held;
            lock (_gate)
            {
                if (!_entries.TryGetValue(service, out Entry? entry))
                {
                    return null;
                }

                if (entry.Released is null)
                {
                    return entry.Place;
                }

                held = entry.Released.Task;
            }

            try
            {
                await held.WaitAsync(limit.Token);
            }
            catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
            {
                return default(PrimaryPlace);
            }
        }
    }

    private Entry Of(ServiceName service) =>
        _entries.TryGetValue(service, out Entry? entry) ? entry : _entries[service] = new Entry();

    private sealed class Entry
    {
        public PrimaryPlace Place { get; set; }

        /// <summary>Not null while requesters wait.</summary>
        public TaskCompletionSource? Released { get; set; }
    }
}
