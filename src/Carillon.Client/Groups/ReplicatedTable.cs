using System.Buffers;
using System.Collections.Concurrent;
using System.Numerics;
using Carillon.Protocols.AtomicMulticast;

namespace Carillon.Client.Groups;

/// <summary>
/// A local copy of a table that a group keeps (seed 001; its example is a router's forwarding table). Changes are messages of the group, so
/// every member applies the same ones in the same order; reads are local and cost nothing, and show a prefix of that order. A new member
/// reads the newest checkpoint, and then the messages behind it. All methods may be called from any thread.
/// </summary>
/// <typeparam name="TKey">A key.</typeparam>
/// <typeparam name="TValue">A value.</typeparam>
public sealed class ReplicatedTable<TKey, TValue> : IAsyncDisposable
    where TKey : notnull
{
    private static readonly TimeSpan Pause = TimeSpan.FromSeconds(1);

    private readonly AtomicGroup _group;
    private readonly TableOptions<TKey, TValue> _options;
    private readonly CheckpointStore? _checkpoints;
    private readonly ITableCodec<TKey> _keys;
    private readonly ITableCodec<TValue> _values;
    private readonly ConcurrentDictionary<TKey, TValue> _entries = new(TableCodec.ComparerOf<TKey>());
    private readonly CancellationTokenSource _end = new();
    private readonly TaskCompletionSource _failed = new(TaskCreationOptions.RunContinuationsAsynchronously);

    // Guards what follows, and the entries against a reader that wants all of them at one number.
    private readonly Lock _gate = new();
    private readonly PriorityQueue<TaskCompletionSource, ulong> _waiters = new();
    private SequenceNumber _applied;
    private long _ignored;
    private (SequenceNumber Number, KeyValuePair<TKey, TValue>[] Entries)? _due;
    private bool _isKeeping;

    // The loop's own. The id tells which group of the name the table is of; empty before that is known: nothing is applied then.
    private string _groupId;
    private Task _checkpointing = Task.CompletedTask;
    private Task _running = Task.CompletedTask;

    private ReplicatedTable(CarillonClient client, GroupName group, string groupId, TableOptions<TKey, TValue> options)
    {
        _options = options;
        _groupId = groupId;
        _keys = options.KeyCodec ?? TableCodec.Of<TKey>();
        _values = options.ValueCodec ?? TableCodec.Of<TValue>();
        _group = client.Groups.Open(group, options.Group);
        _checkpoints = options.Checkpoints is { } place ? new CheckpointStore(client, place, groupId, options.CheckpointsKept) : null;
    }

    /// <summary>The number up to which the table is.</summary>
    public SequenceNumber Applied
    {
        get
        {
            lock (_gate)
            {
                return _applied;
            }
        }
    }

    /// <summary>Messages of the group that were no operations on this table.</summary>
    public long Ignored => Interlocked.Read(ref _ignored);

    /// <summary>How many entries there are.</summary>
    public int Count => _entries.Count;

    /// <summary>
    /// Ends, with an exception, when the table can't go on: another member's checkpoint differs (<see cref="Failure.Integrity"/>), messages
    /// are gone that no checkpoint covers, the group was removed, or made anew (code <c>group-replaced</c>), or a codec or the handler of
    /// changes threw. Reads go on with what was applied.
    /// </summary>
    public Task Failed => _failed.Task;

    /// <summary>Joins a group: reads the newest checkpoint, and goes on from there.</summary>
    /// <exception cref="CarillonException">The options are at fault, there is no such group, or checkpoints can't be read now.</exception>
    public static async Task<ReplicatedTable<TKey, TValue>> OpenAsync(
        CarillonClient client, GroupName group, TableOptions<TKey, TValue>? options = null, CancellationToken cancellation = default)
    {
        options ??= new TableOptions<TKey, TValue>();
        if (options.Validate().FirstOrDefault() is { } fault)
        {
            throw new CarillonException(Failure.Usage, fault);
        }

        // Checkpoints are of one group. Where there are none, the first message tells which one it is.
        string groupId = options.Checkpoints is null ? "" : (await client.Groups.ShowAsync(group, cancellation)).Value.Id;
        var table = new ReplicatedTable<TKey, TValue>(client, group, groupId, options);
        await table.LoadAsync(cancellation);
        table._running = Task.Run(table.RunAsync, CancellationToken.None);
        return table;
    }

    /// <summary>What a key stands for here and now.</summary>
    public bool TryGet(TKey key, out TValue? value) => _entries.TryGetValue(key, out value);

    /// <summary>The whole table, as it was at one number.</summary>
    public (SequenceNumber Number, KeyValuePair<TKey, TValue>[] Entries) Snapshot()
    {
        lock (_gate)
        {
            return (_applied, _entries.ToArray());
        }
    }

    /// <summary>Sets a value, and waits until it is applied here: what is read afterwards shows it, or what came behind it.</summary>
    /// <exception cref="CarillonException">It was refused, its outcome is unknown, or the table can't go on.</exception>
    public Task<SequenceNumber> SetAsync(TKey key, TValue value, CancellationToken cancellation = default) =>
        SendAsync(TableOperation.Encode(TableOperation.Set, key, _keys, value, _values), cancellation);

    /// <summary>Removes a key, and waits until that is applied here; removing what is not there is no error.</summary>
    /// <exception cref="CarillonException">It was refused, its outcome is unknown, or the table can't go on.</exception>
    public Task<SequenceNumber> RemoveAsync(TKey key, CancellationToken cancellation = default) =>
        SendAsync(TableOperation.Encode(TableOperation.Remove, key, _keys, default, _values), cancellation);

    /// <summary>Waits until a number is applied here.</summary>
    /// <exception cref="CarillonException">The table can't go on.</exception>
    public async Task WaitAsync(SequenceNumber number, CancellationToken cancellation = default)
    {
        TaskCompletionSource waiter;
        lock (_gate)
        {
            if (_applied >= number)
            {
                return;
            }

            waiter = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            _waiters.Enqueue(waiter, number.Value);
        }

        await await Task.WhenAny(waiter.Task, _failed.Task).WaitAsync(cancellation);
    }

    /// <summary>Leaves the group.</summary>
    public async ValueTask DisposeAsync()
    {
        await _end.CancelAsync();
        await _running;
        await _checkpointing;
        await _group.DisposeAsync();
        _failed.TrySetException(new ObjectDisposedException(nameof(ReplicatedTable<,>)));
        // Nobody may have asked.
        _ = _failed.Task.Exception;
    }

    private async Task<SequenceNumber> SendAsync(ReadOnlyMemory<byte> operation, CancellationToken cancellation)
    {
        if (_failed.Task.IsFaulted)
        {
            await _failed.Task;
        }

        SentMessage sent = await _group.SendAsync(operation, cancellation);
        await WaitAsync(sent.Number, cancellation);
        return sent.Number;
    }

    /// <summary>The table's loop. It never throws: whatever ends it, who waits for the table is told.</summary>
    private async Task RunAsync()
    {
        try
        {
            await FollowAndReloadAsync();
        }
        catch (OperationCanceledException) when (_end.IsCancellationRequested)
        {
            // The table is left, or has failed already.
        }
        catch (Exception fault)
        {
            // The servers' last word, or what a codec or a handler threw.
            Fail(fault);
        }
    }

    private async Task FollowAndReloadAsync()
    {
        CarillonException? tooOld = null;
        while (true)
        {
            try
            {
                if (tooOld is not null && !await LoadAsync(_end.Token))
                {
                    Fail(tooOld);
                    return;
                }

                tooOld = null;
                await FollowAsync();
            }
            catch (CarillonException fault) when (fault.Problem?.Code == "feed-too-old")
            {
                // What is next is gone; a checkpoint behind it may be there.
                tooOld = fault;
            }
            catch (CarillonException fault) when (IsPassing(fault))
            {
                // A table lives longer than its servers' troubles.
                _options.Observer?.Invoke($"no server goes on with the table, trying again: {fault.Message}");
                await Task.Delay(Pause, _end.Token);
            }
        }
    }

    private static bool IsPassing(CarillonException fault) =>
        fault.Failure is Failure.Unreachable or Failure.TimedOut or Failure.NoQuorum || fault.Problem is { Status: 0 or >= 500 };

    private async Task FollowAsync()
    {
        using Delivery delivery = _group.Deliver(FeedStart.At(Applied.Next), _groupId);
        while (true)
        {
            await delivery.NextAsync(_end.Token);
            _groupId = delivery.GroupId;
            for (int i = 0; i < delivery.Run.Count; i++)
            {
                Step(delivery.Run[i]);
            }

            Release();
        }
    }

    /// <summary>Applies a message, and takes the checkpoint that stands before or behind it.</summary>
    private void Step(in DeliveredMessage message)
    {
        ulong every = _options.CheckpointEvery;
        ulong number = message.Number.Value;
        ulong due = number / every * every;
        if (due < number && due > Applied.Value)
        {
            // The number itself was filled with nothing: the state at it is the state here.
            Checkpoint(new SequenceNumber(due));
        }

        Apply(message);
        if (due == number)
        {
            Checkpoint(message.Number);
        }
    }

    private void Apply(in DeliveredMessage message)
    {
        TableChange<TKey, TValue>? change = Read(message);
        lock (_gate)
        {
            _applied = message.Number;
            if (change is { Removed: true } removal)
            {
                _entries.TryRemove(removal.Key, out _);
            }
            else if (change is { } set)
            {
                _entries[set.Key] = set.Value!;
            }
        }

        if (change is { } told)
        {
            Tell(told);
        }
    }

    /// <summary>What a message says; null where it is no operation, which every member finds alike.</summary>
    private TableChange<TKey, TValue>? Read(in DeliveredMessage message)
    {
        try
        {
            if (TableOperation.TryRead(message.Payload.Span, out byte kind, out ReadOnlySpan<byte> key, out ReadOnlySpan<byte> value))
            {
                bool removed = kind == TableOperation.Remove;
                return new TableChange<TKey, TValue>(message.Number, _keys.Read(key), removed ? default : _values.Read(value), removed);
            }
        }
        catch (Exception fault) when (fault is not OutOfMemoryException)
        {
            // The codec says that it is none.
            Interlocked.Increment(ref _ignored);
            return null;
        }

        Interlocked.Increment(ref _ignored);
        return null;
    }

    /// <summary>Lets those go on who wait for what is applied now.</summary>
    private void Release()
    {
        lock (_gate)
        {
            while (_waiters.TryPeek(out TaskCompletionSource? waiter, out ulong number) && number <= _applied.Value)
            {
                _waiters.Dequeue();
                waiter.SetResult();
            }
        }
    }

    private void Checkpoint(SequenceNumber number)
    {
        if (_checkpoints is null || !_options.TakesCheckpoints)
        {
            return;
        }

        KeyValuePair<TKey, TValue>[] entries = _entries.ToArray();
        lock (_gate)
        {
            // One is on its way and one waits. Where they come faster than they are kept, the one whose place is divisible by more twos
            // stays: so members of different speed still keep, and compare, the same ones.
            if (_due is { } waiting && Twos(waiting.Number) > Twos(number))
            {
                return;
            }

            _due = (number, entries);
            if (!_isKeeping)
            {
                _isKeeping = true;
                _checkpointing = Task.Run(() => KeepAllAsync(_checkpoints));
            }
        }
    }

    private int Twos(SequenceNumber number) => BitOperations.TrailingZeroCount(number.Value / _options.CheckpointEvery);

    /// <summary>Keeps checkpoints for as long as one is due. It never throws: what no server is to blame for ends the table.</summary>
    private async Task KeepAllAsync(CheckpointStore checkpoints)
    {
        try
        {
            while (TakeDue() is var (number, entries))
            {
                await KeepAsync(checkpoints, number, entries);
            }
        }
        catch (Exception fault)
        {
            // A codec that can't write what it read, or an observer. No other checkpoint is begun: the table ends.
            Fail(fault);
            await _end.CancelAsync();
        }
    }

    private (SequenceNumber Number, KeyValuePair<TKey, TValue>[] Entries)? TakeDue()
    {
        lock (_gate)
        {
            (SequenceNumber Number, KeyValuePair<TKey, TValue>[] Entries)? due = _due;
            _isKeeping = due is not null;
            _due = null;
            return due;
        }
    }

    private async Task KeepAsync(CheckpointStore checkpoints, SequenceNumber number, KeyValuePair<TKey, TValue>[] entries)
    {
        try
        {
            byte[] bytes = TableCheckpoint.Encode(
                number, entries.Select(e => KeyValuePair.Create(Bytes(_keys, e.Key), Bytes(_values, e.Value))));
            if (!await checkpoints.KeepAsync(number, bytes, _end.Token))
            {
                Fail(new CarillonException(
                    Failure.Integrity, $"the table at message {number} is not what another member has there: its state is not a function of the messages"));
                await _end.CancelAsync();
            }
        }
        catch (Exception fault) when (fault is CarillonException or OperationCanceledException)
        {
            _options.Observer?.Invoke($"the checkpoint at {number} is not kept: {fault.Message}");
        }
    }

    private static byte[] Bytes<T>(ITableCodec<T> codec, T value)
    {
        var bytes = new ArrayBufferWriter<byte>();
        codec.Write(value, bytes);
        return bytes.WrittenSpan.ToArray();
    }

    /// <summary>Takes over the newest checkpoint, if there is one behind what is applied.</summary>
    private async Task<bool> LoadAsync(CancellationToken cancellation)
    {
        if (_checkpoints is null || await _checkpoints.ReadNewestAsync(Applied, cancellation) is not var (number, read))
        {
            return false;
        }

        var fresh = new Dictionary<TKey, TValue>(TableCodec.ComparerOf<TKey>());
        foreach ((byte[] key, byte[] value) in read)
        {
            fresh[_keys.Read(key)] = _values.Read(value);
        }

        TKey[] gone;
        lock (_gate)
        {
            gone = [.. _entries.Keys.Where(key => !fresh.ContainsKey(key))];
            foreach (TKey key in gone)
            {
                _entries.TryRemove(key, out _);
            }

            foreach ((TKey key, TValue value) in fresh)
            {
                _entries[key] = value;
            }

            _applied = number;
        }

        _options.Observer?.Invoke($"the table is read from the checkpoint at {number}: {fresh.Count} entries");
        Tell(gone, fresh);
        Release();
        return true;
    }

    private void Tell(TKey[] gone, Dictionary<TKey, TValue> fresh)
    {
        foreach (TKey key in gone)
        {
            Tell(new TableChange<TKey, TValue>(default, key, default, true));
        }

        foreach ((TKey key, TValue value) in fresh)
        {
            Tell(new TableChange<TKey, TValue>(default, key, value, false));
        }
    }

    private void Tell(in TableChange<TKey, TValue> change)
    {
        try
        {
            _options.Changed?.Invoke(change);
        }
        catch (Exception fault) when (fault is CarillonException or OperationCanceledException)
        {
            // Not to be taken for what befell the table itself: it would go on although its owner missed a change.
            throw new InvalidOperationException($"the table's handler of changes failed: {fault.Message}", fault);
        }
    }

    private void Fail(Exception fault)
    {
        _failed.TrySetException(fault);
        // Nobody may be looking.
        _ = _failed.Task.Exception;
    }
}
