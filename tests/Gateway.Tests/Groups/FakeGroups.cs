using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.VectorExchange;
using Carillon.Runtime.Groups;

namespace Carillon.Gateway.Tests.Groups;

/// <summary>
/// Groups in memory that number messages as they come; gates of several gateways may share them, as servers share a cluster's.
/// </summary>
internal sealed class FakeGroups
{
    private readonly Lock _lock = new();
    private readonly SortedDictionary<GroupName, FakeGroup> _groups = [];

    public FakeGroups(params string[] names)
    {
        foreach (string name in names)
        {
            _groups[GroupName.Parse(name)] = new FakeGroup(GroupName.Parse(name), new GroupSettings());
        }
    }

    public FakeGroup this[string name] => Find(GroupName.Parse(name))!;

    public FakeGroup? Find(GroupName name)
    {
        lock (_lock)
        {
            return _groups.GetValueOrDefault(name);
        }
    }

    public FakeGroup[] All()
    {
        lock (_lock)
        {
            return [.. _groups.Values];
        }
    }

    public bool Create(GroupName name, GroupSettings settings)
    {
        lock (_lock)
        {
            if (_groups.TryGetValue(name, out FakeGroup? known))
            {
                return known.Settings == settings;
            }

            _groups[name] = new FakeGroup(name, settings);
            return true;
        }
    }

    public void Remove(GroupName name)
    {
        lock (_lock)
        {
            _groups.Remove(name);
        }
    }
}

/// <summary>One group.</summary>
internal sealed class FakeGroup(GroupName name, GroupSettings settings)
{
    private readonly Lock _lock = new();
    private readonly List<GroupMessage> _messages = [];
    private readonly Dictionary<MessageId, SequenceNumber> _numbers = [];
    private TaskCompletionSource _changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private ulong _next = 1;
    private static ulong _lastId;

    public GroupName Name { get; } = name;

    public GroupSettings Settings { get; } = settings;

    public SequenceNumber First { get; private set; } = new(1);

    /// <summary>Each that is made has another.</summary>
    public ulong Id { get; } = Interlocked.Increment(ref _lastId);

    /// <summary>Why it is lost.</summary>
    public string Trouble { get; set; } = "";

    /// <summary>Created, and not open at this server yet.</summary>
    public bool IsOpening { get; set; }

    public SequenceNumber Committed
    {
        get
        {
            lock (_lock)
            {
                return new SequenceNumber(_next - 1);
            }
        }
    }

    /// <summary>All that is committed.</summary>
    public GroupMessage[] Messages()
    {
        lock (_lock)
        {
            return [.. _messages];
        }
    }

    /// <summary>Numbers a message, or says which number it has.</summary>
    public SequenceNumber Add(MessageId id, ReadOnlyMemory<byte> payload)
    {
        lock (_lock)
        {
            if (_numbers.TryGetValue(id, out SequenceNumber known))
            {
                return known;
            }

            var number = new SequenceNumber(_next++);
            _numbers[id] = number;
            _messages.Add(new GroupMessage(number, id, payload));
            Tell();
            return number;
        }
    }

    /// <summary>A message of a sender of its own.</summary>
    public SequenceNumber Add(string text) => Add(
        new MessageId(new SessionId(7, 7), Committed.Value + 1), System.Text.Encoding.UTF8.GetBytes(text));

    /// <summary>A number that is filled with nothing.</summary>
    public void Skip()
    {
        lock (_lock)
        {
            _next++;
            Tell();
        }
    }

    /// <summary>Messages before this number are forgotten.</summary>
    public void Trim(ulong first)
    {
        lock (_lock)
        {
            First = new SequenceNumber(first);
            _messages.RemoveAll(m => m.Number < First);
        }
    }

    public async IAsyncEnumerable<ReadOnlyMemory<GroupMessage>> ReadAsync(
        SequenceNumber from, int most, [EnumeratorCancellation] CancellationToken cancellation)
    {
        while (true)
        {
            GroupMessage[] run;
            Task changed;
            lock (_lock)
            {
                if (from < First)
                {
                    throw new FeedTooOldException(First);
                }

                run = [.. _messages.SkipWhile(m => m.Number < from).Take(most)];
                changed = _changed.Task;
            }

            if (run.Length > 0)
            {
                from = run[^1].Number.Next;
                yield return run;
            }
            else
            {
                await changed.WaitAsync(cancellation);
            }
        }
    }

    private void Tell()
    {
        _changed.SetResult();
        _changed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}

/// <summary>One server's door to them; can be told to answer otherwise.</summary>
internal sealed class FakeGroupGate(FakeGroups groups) : IGroupGate
{
    // Who forgets to send waits for ever.
    private readonly ConcurrentQueue<TaskCompletionSource> _unsent = new();

    private ulong _stamp = 1_700_000_000_000UL << 16;

    /// <summary>Ends a message otherwise; null: as usual. The message is committed only where it asks for it.</summary>
    public Func<MessageId, Func<SequenceNumber>, Task<PublishOutcome?>>? OnPublish { get; set; }

    /// <summary>What came: id and settled.</summary>
    public ConcurrentQueue<(MessageId Id, ulong Settled)> Published { get; } = new();

    public ConcurrentQueue<ulong?> Timestamps { get; } = new();

    public Func<SequenceNumber, CancellationToken, IAsyncEnumerable<ReadOnlyMemory<GroupMessage>>>? OnSubscribe { get; set; }

    public Task<IReadOnlyList<GroupStatus>> ListAsync() => Task.FromResult<IReadOnlyList<GroupStatus>>([.. groups.All().Select(Status)]);

    public Task<GroupStatus?> FindAsync(GroupName group) => Task.FromResult(groups.Find(group) is { } found ? Status(found) : null);

    public Task<SubmitOutcome> CreateAsync(GroupName group, GroupSettings settings, string key) => Task.FromResult<SubmitOutcome>(
        groups.Create(group, settings)
            ? Accepted() : new SubmitOutcome.Rejected(RejectionReason.BucketExists, "It exists with other settings."));

    public Task<SubmitOutcome> RemoveAsync(GroupName group, string key)
    {
        groups.Remove(group);
        return Task.FromResult<SubmitOutcome>(Accepted());
    }

    public async Task<PublishOutcome> PublishAsync(
        GroupName group, MessageId id, ulong settled, ulong? timestamp, ReadOnlyMemory<byte> payload, CancellationToken cancellation)
    {
        Published.Enqueue((id, settled));
        Timestamps.Enqueue(timestamp);
        var sent = new TaskCompletionSource(); // goes on in Send, message by message
        _unsent.Enqueue(sent);
        await sent.Task;
        if (groups.Find(group) is not { } found)
        {
            return new PublishOutcome.Refused("the group is not known here", TimeSpan.FromMilliseconds(20));
        }

        return (OnPublish is { } other ? await other(id, () => found.Add(id, payload)) : null)
            ?? new PublishOutcome.Committed(found.Add(id, payload));
    }

    public void Send()
    {
        while (_unsent.TryDequeue(out TaskCompletionSource? sent))
        {
            sent.SetResult();
        }
    }

    public IAsyncEnumerable<ReadOnlyMemory<GroupMessage>> SubscribeAsync(
        GroupName group, SequenceNumber from, CancellationToken cancellation) =>
        OnSubscribe?.Invoke(from, cancellation) ?? groups.Find(group)!.ReadAsync(from, 100, cancellation);

    private static GroupStatus Status(FakeGroup group) =>
        new(group.Name, group.Settings, NodeId.Parse("s1"), 3, group.Committed, group.First)
        {
            Id = group.Id, IsLost = group.Trouble.Length > 0, Trouble = group.Trouble, IsOpen = !group.IsOpening,
        };

    private SubmitOutcome.Accepted Accepted()
    {
        var uid = new Uid(new Timestamp(Interlocked.Increment(ref _stamp)), NodeId.Parse("s1"));
        return new SubmitOutcome.Accepted(new Tag(uid, 1), false)
        {
            Sequenced = new FeedOutcome(new SequenceNumber(1), FeedVerdict.Applied),
        };
    }
}
