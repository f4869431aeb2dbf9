using System.Collections.Concurrent;
using Carillon.Node;
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
        private readonly BlockingCollection<StorageWork> _queue = new(new ConcurrentQueue<StorageWork>());
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

        public void Add(StorageWork work) => _queue.Add(work);

        public void Dispose()
        {
            _queue.CompleteAdding();
            _thread.Join();
            _queue.Dispose();
        }

        private void Loop()
        {
            try
            {
                foreach (StorageWork work in _queue.GetConsumingEnumerable())
                {
                    _done(work, Execute(work));
                }
            }
            catch (Exception defect)
            {
                _broken(defect);
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
