using System.IO.Pipelines;
using Carillon.Gateway.Groups;
using Carillon.Gateway.Streams;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Runtime.Groups;
using Xunit;

namespace Carillon.Gateway.Tests.Streams;

public sealed class EntryStreamTests
{
    private const int Messages = 256;
    private const int PayloadBytes = 100_000;

    [Fact]
    public async Task Stop_ends_a_stream_within_a_run_that_its_client_is_slow_to_take_at_the_end_of_a_message()
    {
        var client = new Pipe(new PipeOptions(pauseWriterThreshold: 64 << 10, resumeWriterThreshold: 32 << 10));
        using var streams = new OpenStreams(TimeSpan.FromMinutes(1));
        var stream = new EntryStream<GroupMessage>(
            new OneRun(), client.Writer, MessageFormat.Of(GroupStream.MessagesType, "0"), streams, TestContext.Current.CancellationToken);
        Task run = stream.RunAsync();
        Assert.False(run.IsCompleted);
        streams.Stop();
        await run.WaitAsync(TimeSpan.FromSeconds(10), TestContext.Current.CancellationToken);

        await client.Writer.CompleteAsync();
        using var sent = new MemoryStream();
        await client.Reader.CopyToAsync(sent, TestContext.Current.CancellationToken);
        long entries = sent.Length - GroupStream.PreambleBytes;
        Assert.InRange(entries, 1, Messages * PayloadBytes / 2);
        Assert.Equal(0, entries % (GroupStreamHeader.Size + PayloadBytes));
    }

    private sealed class OneRun : IStreamSource<GroupMessage>
    {
        public SequenceNumber Position => new(Messages);

        public StreamRead Read(OpenStream stream, out ReadOnlyMemory<GroupMessage> run)
        {
            byte[] payload = new byte[PayloadBytes];
            run = Enumerable.Range(1, Messages)
                .Select(i => new GroupMessage(new SequenceNumber((ulong)i), new MessageId(new SessionId(1, 1), (ulong)i), payload))
                .ToArray();
            return StreamRead.Entries;
        }

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }
}
