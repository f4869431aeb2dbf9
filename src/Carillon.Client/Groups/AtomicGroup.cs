using System.Runtime.CompilerServices;
using Carillon.Protocols.AtomicMulticast;

namespace Carillon.Client.Groups;

/// <summary>
/// One program's part in a group: every message sent to it gets a number, 1, 2, 3, …, and all who listen get all messages in that order,
/// none missing, none twice, whichever servers die meanwhile. Who sends need not listen, nor the other way round. All methods may be called
/// from any thread, many at once; messages that are in flight together are numbered in any order.
/// </summary>
public sealed class AtomicGroup : IAsyncDisposable
{
    private readonly Transport _transport;
    private readonly AtomicGroupOptions _options;
    private readonly MessageSender _sender;

    internal AtomicGroup(Transport transport, GroupName name, AtomicGroupOptions options)
    {
        if (options.Validate().FirstOrDefault() is { } fault)
        {
            throw new CarillonException(Failure.Usage, fault);
        }

        Name = name;
        _transport = transport;
        _options = options;
        _sender = new MessageSender(transport, name, options);
    }

    /// <summary>The group.</summary>
    public GroupName Name { get; }

    /// <summary>
    /// Sends a message, and waits until it is committed. The same message goes to the next server where one fails, under the same id, so
    /// it is never there twice.
    /// </summary>
    /// <param name="payload">At most <see cref="GroupSettings.MaxPayloadBytes"/>; not to be changed before the end.</param>
    /// <param name="cancellation">The caller waits no longer; the message may be committed all the same.</param>
    /// <exception cref="CarillonException">It was refused to the end, or its outcome is not known (<see cref="Failure.OutcomeUnknown"/>:
    /// the problem has its id).</exception>
    public Task<SentMessage> SendAsync(ReadOnlyMemory<byte> payload, CancellationToken cancellation = default) =>
        payload.Length <= GroupSettings.MaxPayloadBytes
            ? _sender.SendAsync(payload, cancellation)
            : throw new CarillonException(Failure.Usage, $"a message has at most {GroupSettings.MaxPayloadBytes} bytes, not {payload.Length}");

    /// <summary>
    /// The group's messages from a number on, and then each as it is committed, in order, none missing and none twice. Goes on at another
    /// server where one dies; ends only by cancellation or an exception.
    /// </summary>
    /// <exception cref="CarillonException">No server answers, there is no such group, or (code <c>feed-too-old</c>, with the first number
    /// that is kept) the messages from there on are gone.</exception>
    public async IAsyncEnumerable<DeliveredMessage> DeliverAsync(
        FeedStart from, [EnumeratorCancellation] CancellationToken cancellation = default)
    {
        using var delivery = new Delivery(_transport, Name, _options, from);
        while (true)
        {
            await delivery.NextAsync(cancellation);
            for (int i = 0; i < delivery.Run.Count; i++)
            {
                yield return delivery.Run[i];
            }
        }
    }

    /// <summary>Ends sending; what has no answer yet ends with its outcome unknown.</summary>
    public ValueTask DisposeAsync() => _sender.DisposeAsync();

    /// <summary>A subscription that gives whole runs of messages, of the group with this identity; of any where it is empty.</summary>
    internal Delivery Deliver(FeedStart from, string groupId) => new(_transport, Name, _options, from, groupId);
}
