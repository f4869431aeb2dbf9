using Carillon.Node;
using Carillon.Protocols;
using Carillon.Storage;

namespace Carillon.Runtime.Serving;

/// <summary>
/// One thread per lane that runs blocking storage work: writes, flushes, and gives it back to the loop. The log's flusher never waits
/// behind the catalog or a chunk.
/// </summary>
internal sealed class StorageLanes : IDisposable
{
    private readonly Lane[] _lanes;

    /// <summary>Starts the lanes.</summary>
    /// <param name="done">Gives work back to the loop; may block while the loop is behind.</param>
    /// <param name="broken">A lane met a defect and is gone.</param>
    public StorageLanes(Action<StorageWork, StorageException?> done, Action<Exception> broken) =>
        _lanes = [.. Enum.GetValues<StorageLane>().Select(lane => new Lane(lane, done, broken))];

    /// <summary>Queues work on its lane.</summary>
    public void Run(StorageWork work) => _lanes[(int)work.Lane].Add(work);

    /// <summary>Runs what is queued, and ends the threads.</summary>
    public void Dispose()
    {
        foreach (Lane lane in _lanes)
        {
            lane.Dispose();
        }
    }

    private sealed class Lane : IDisposable
    {
        // An event and not a BlockingCollection: that one spins before it sleeps, and takes the processor from those it waits for. It is
        // set outside the lock, or the lane would wake only to wait for that.
        private readonly AutoResetEvent _wake = new(initialState: false);
        private readonly Queue<StorageWork> _queue = [];
        private bool _closed;
        private readonly Action<StorageWork, StorageException?> _done;
        private readonly Action<Exception> _broken;
        private readonly Thread _thread;

        public Lane(StorageLane lane, Action<StorageWork, StorageException?> done, Action<Exception> broken)
        {
            _done = done;
            _broken = broken;
            _thread = new Thread(Loop) { IsBackground = true, Name = $"storage {lane}" };
            _thread.Start();
        }

        public void Add(StorageWork work)
        {
            lock (_queue)
            {
                Invariant.That(!_closed);
                _queue.Enqueue(work);
            }

            _wake.Set();
        }

        public void Dispose()
        {
            lock (_queue)
            {
                _closed = true;
            }

            _wake.Set();
            _thread.Join();
            _wake.Dispose();
        }

        private void Loop()
        {
            try
            {
                while (Take() is { } work)
                {
                    _done(work, Execute(work));
                }
            }
            catch (Exception defect)
            {
                _broken(defect);
            }
        }

        /// <summary>The next work, waiting for it; null once the lane is closed and empty.</summary>
        private StorageWork? Take()
        {
            while (true)
            {
                lock (_queue)
                {
                    if (_queue.TryDequeue(out StorageWork? work) || _closed)
                    {
                        return work;
                    }
                }

                _wake.WaitOne();
            }
        }

        private static StorageException? Execute(StorageWork work)
        {
            try
            {
                work.Write();
                work.Flush();
                return null;
            }
            catch (StorageException failure)
            {
                return failure;
            }
        }
    }
}
