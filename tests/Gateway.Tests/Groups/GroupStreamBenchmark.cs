using System.Diagnostics;
using System.Runtime.CompilerServices;
using Carillon.Client;
using Carillon.Client.Groups;
using Carillon.Gateway.Tests.Serving;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Runtime.Groups;
using Xunit;
using ClientServer = global::Gateway.Tests.Client.FakeServer;
using DeliveredMessage = Carillon.Client.Groups.DeliveredMessage;


namespace Carillon.Gateway.Tests.Groups;

/// <summary>
/// What gateway and client library cost a message, both in one process, over loopback, with a group that costs next to nothing. Run by
/// hand: <c>--explicit only --filter-class *GroupStreamBenchmark --show-live-output on</c>.
/// </summary>
public sealed class GroupStreamBenchmark(ITestOutputHelper output)
{
    private const int Size = 1000;
    private static readonly GroupName Group = GroupName.Parse("g");

    [Fact(Explicit = true)]
    public async Task Replay_of_messages_of_1_KB()
    {
        const int Count = 2_000_000;
        var gate = new FakeGroupGate(new FakeGroups("g")) { OnSubscribe = MessagesAsync };
        await using GatewayHouse house = await GatewayHouse.StartAsync(groups: gate);
        using CarillonClient client = ClientServer.ClientOf(house.Gateway.Address);
        await using AtomicGroup group = client.Groups.Open(Group);
        foreach (int count in (int[])[100_000, Count])
        {
            long start = Stopwatch.GetTimestamp();
            long allocated = GC.GetTotalAllocatedBytes();
            TimeSpan busy = Environment.CpuUsage.TotalTime;
            await foreach (DeliveredMessage message in group.DeliverAsync(FeedStart.At(new SequenceNumber(1))))
            {
                if (message.Number.Value == (ulong)count)
                {
                    break;
                }
            }

            double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
            long each = (GC.GetTotalAllocatedBytes() - allocated) / count;
            double cost = (Environment.CpuUsage.TotalTime - busy).TotalMicroseconds / count;
            Tell($"replay of {Size} B: {count / seconds:0} messages/s, {cost:0.00} µs of processor and {each} B allocated a message");
        }
    }

    [Theory(Explicit = true)]
    [InlineData(1, 1)]
    [InlineData(1, 64)]
    [InlineData(3, 64)]
    [InlineData(3, 512)]
    public async Task Messages_of_1_KB_a_second(int senders, int inFlight)
    {
        var gate = new DrainGate();
        await using GatewayHouse house = await GatewayHouse.StartAsync(groups: gate);
        using CarillonClient client = ClientServer.ClientOf(house.Gateway.Address);
        AtomicGroup[] groups = [.. Enumerable.Range(0, senders).Select(_ => client.Groups.Open(Group))];
        byte[] payload = new byte[Size];
        long sent = 0;
        TimeSpan busy = default;
        foreach (int milliseconds in (int[])[500, 3000])
        {
            sent = 0;
            busy = Environment.CpuUsage.TotalTime;
            long end = Environment.TickCount64 + milliseconds;
            await Task.WhenAll(groups.SelectMany(g => Enumerable.Range(0, inFlight).Select(_ => Task.Run(async () =>
            {
                while (Environment.TickCount64 < end)
                {
                    await g.SendAsync(payload);
                    Interlocked.Increment(ref sent);
                }
            }))));
        }

        double cost = (Environment.CpuUsage.TotalTime - busy).TotalMicroseconds / sent;
        Tell($"publish of {Size} B, {senders} senders, {inFlight} in flight: {sent / 3.0:0} messages/s, {cost:0.00} µs of processor a message");
        foreach (AtomicGroup group in groups)
        {
            await group.DisposeAsync();
        }
    }

    private void Tell(FormattableString line) => output.WriteLine(FormattableString.Invariant(line));

    private static async IAsyncEnumerable<ReadOnlyMemory<GroupMessage>> MessagesAsync(
        SequenceNumber from, [EnumeratorCancellation] CancellationToken cancellation)
    {
        byte[] payload = new byte[Size];
        var run = new GroupMessage[256];
        while (!cancellation.IsCancellationRequested)
        {
            for (int i = 0; i < run.Length; i++, from = from.Next)
            {
                run[i] = new GroupMessage(from, new MessageId(new SessionId(1, 1), from.Value), payload);
            }

            await Task.CompletedTask;
            yield return run;
        }
    }

    /// <summary>Numbers everything and keeps nothing.</summary>
    private sealed class DrainGate : IGroupGate
    {
        private ulong _number;

        public Task<IReadOnlyList<GroupStatus>> ListAsync() => throw new NotSupportedException();

        public Task<GroupStatus?> FindAsync(GroupName group) =>
            Task.FromResult<GroupStatus?>(
                new GroupStatus(group, new GroupSettings(), default, 1, default, new SequenceNumber(1)) { Id = 1 });

        public Task<Protocols.VectorExchange.SubmitOutcome> CreateAsync(GroupName group, GroupSettings settings, string key) =>
            throw new NotSupportedException();

        public Task<Protocols.VectorExchange.SubmitOutcome> RemoveAsync(GroupName group, string key) => throw new NotSupportedException();

        public async Task<PublishOutcome> PublishAsync(
            GroupName group, MessageId id, ulong settled, ulong? timestamp, ReadOnlyMemory<byte> payload, CancellationToken cancellation)
        {
            await Task.Yield();
            return new PublishOutcome.Committed(new SequenceNumber(Interlocked.Increment(ref _number)));
        }

        public void Send()
        {
        }

        public IAsyncEnumerable<ReadOnlyMemory<GroupMessage>> SubscribeAsync(
            GroupName group, SequenceNumber from, CancellationToken cancellation) => throw new NotSupportedException();
    }
}
