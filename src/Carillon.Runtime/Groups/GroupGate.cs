using System.Buffers;
using System.Runtime.CompilerServices;
using Carillon.Node.Groups;
using Carillon.Node.Requests;
using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.VectorExchange;
using Carillon.Runtime.Serving;
using Carillon.Storage.Groups;

namespace Carillon.Runtime.Groups;

/// <summary>Groups as the gateway asks for them: messages go to the node's loop, subscribers read beside it.</summary>
internal sealed class GroupGate(
    EntryServer server, RealWorld world, Func<IReadOnlyDictionary<GroupName, GroupFeed>> feeds, TimeSpan retryAfter) : IGroupGate
{
    // Messages that a subscriber takes at once.
    private const int RunMessages = 256;

    private const int MaxRivalTries = 20;

    private static readonly TimeSpan RivalWait = TimeSpan.FromMilliseconds(100);

    private readonly ConditionalWeakTable<GroupFeed, GroupWatch> _watches = [];
    private readonly PublishQueue _queue = new(world, retryAfter);

    public Task<IReadOnlyList<GroupStatus>> ListAsync() =>
        Task.FromResult<IReadOnlyList<GroupStatus>>([.. feeds().Values.Select(StatusOf)]);

    public async Task<GroupStatus?> FindAsync(GroupName group)
    {
        if (feeds().TryGetValue(group, out GroupFeed? feed))
        {
            return StatusOf(feed);
        }

        // Created a moment ago, at another server perhaps.
        return await RecordAsync(group) is { } found
            ? new GroupStatus(group, found.Record.Settings, default, 0, default, new SequenceNumber(1))
            {
                Id = found.Record.Id, IsOpen = false,
            }
            : null;
    }

    public async Task<SubmitOutcome> CreateAsync(GroupName group, GroupSettings settings, string key)
    {
        SubmitRequest request = GroupRecords.Put(group, settings, key);
        for (int tries = 0; ; tries++)
        {
            SubmitOutcome outcome = await server.SubmitAsync(request);
            if (outcome is not SubmitOutcome.Rejected { Reason: RejectionReason.BucketExists })
            {
                return outcome;
            }

            // Refused by a record that is there, or by a rival that may still fail. With the settings that were asked for it will do.
            if (await RecordAsync(group) is { } found)
            {
                return found.Record.Settings == settings ? new SubmitOutcome.Accepted(found.Tag, Replayed: true) : outcome;
            }

            if (tries == MaxRivalTries)
            {
                return outcome;
            }

            await Task.Delay(RivalWait * (0.5 + Random.Shared.NextDouble()));
        }
    }

    public Task<SubmitOutcome> RemoveAsync(GroupName group, string key) => server.SubmitAsync(GroupRecords.Delete(group, key));

    public Task<PublishOutcome> PublishAsync(
        GroupName group, MessageId id, ulong settled, ulong? timestamp, ReadOnlyMemory<byte> payload, CancellationToken cancellation)
    {
        var call = new PublishCall(_queue, group, id, settled, timestamp, payload);
        _queue.Add(call);
        return cancellation.CanBeCanceled ? WaitAsync(call, cancellation) : call.Outcome;
    }

    public void Send() => _queue.Send();

    public async IAsyncEnumerable<ReadOnlyMemory<GroupMessage>> SubscribeAsync(
        GroupName group, SequenceNumber from, [EnumeratorCancellation] CancellationToken cancellation)
    {
        GroupFeed feed = await FeedAsync(group, cancellation);
        GroupWatch watch = GroupWatch.Of(feed, _watches);
        GroupReader reader = feed.NewReader();
        SequenceNumber next = from.IsNone ? new SequenceNumber(1) : from;
        while (!feed.IsOver)
        {
            cancellation.ThrowIfCancellationRequested();
            Task changed = watch.Changed;
            if (!TryRead(feed, reader, ref next, out GroupMessage[] run, out int count))
            {
                // Nothing to read: it holds no buffer while it waits.
                reader.Rest();
                await changed.WaitAsync(cancellation);
                continue;
            }

            if (count > 0)
            {
                yield return run.AsMemory(0, count);
            }
        }
    }

    private static GroupStatus StatusOf(GroupFeed feed)
    {
        (SequenceNumber committed, SequenceNumber first, NodeId sequencer, ulong epoch) = feed.State;
        return new GroupStatus(
            feed.Name, feed.Record.Settings, sequencer, epoch, committed, first.IsNone ? new SequenceNumber(1) : first)
        {
            Id = feed.Record.Id, Trouble = feed.Trouble.Why, IsLost = feed.Trouble.IsLost, Memory = feed.Memory,
        };
    }

    /// <summary>Reads what is at hand; false if there is nothing now.</summary>
    private static bool TryRead(GroupFeed feed, GroupReader reader, ref SequenceNumber next, out GroupMessage[] run, out int count)
    {
        CommittedMessage[] messages = ArrayPool<CommittedMessage>.Shared.Rent(RunMessages);
        count = 0;
        run = [];
        try
        {
            switch (reader.Read(next, messages.AsSpan(0, RunMessages), out int found))
            {
                case GroupRead.Ok:
                    run = new GroupMessage[found];
                    for (int i = 0; i < found; i++)
                    {
                        if (messages[i].Kind == CommittedKind.Message)
                        {
                            run[count++] = new GroupMessage(
                                new SequenceNumber(next.Value + (ulong)i), messages[i].Id, messages[i].Payload);
                        }
                    }

                    next = new SequenceNumber(next.Value + (ulong)found);
                    return true;
                case GroupRead.Absent when feed.IsStuck:
                    throw new IOException($"A message before {next} can't be read here.");
                case GroupRead.Absent:
                    return false;
                case GroupRead.Trimmed:
                    throw new FeedTooOldException(feed.State.First);
                default:
                    throw new IOException($"Messages from {next} on can't be read here.");
            }
        }
        finally
        {
            ArrayPool<CommittedMessage>.Shared.Return(messages, clearArray: true);
        }
    }

    private async Task<GroupFeed> FeedAsync(GroupName group, CancellationToken cancellation)
    {
        for (int tries = 0; tries < MaxRivalTries; tries++)
        {
            if (feeds().TryGetValue(group, out GroupFeed? feed))
            {
                return feed;
            }

            await Task.Delay(RivalWait, cancellation);
        }

        throw new IOException($"Group '{group}' is not here yet.");
    }

    private async Task<PublishOutcome> WaitAsync(PublishCall call, CancellationToken cancellation)
    {
        await using CancellationTokenRegistration registration = cancellation.UnsafeRegister(
            (state, token) =>
            {
                var abandoned = (PublishCall)state!;
                world.Loop.TryPost(LoopWork.Call(abandoned.Abandon));
                abandoned.Cancel(token);
            },
            call);
        return await call.Outcome;
    }

    private async Task<(GroupRecord Record, Tag Tag)?> RecordAsync(GroupName group) =>
        await server.ReadAsync(GroupRecord.TargetOf(group), null, Consistency.Linearizable) switch
        {
            ReadOutcome.Found found when GroupRecord.TryRead(found.Manifest.Inline.Span, out GroupRecord? record) => (record, found.Tag),
            ReadOutcome.Unavailable fault => throw new TimeoutException(fault.Why),
            _ => null,
        };
}
