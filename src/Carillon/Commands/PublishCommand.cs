using System.Buffers;
using System.CommandLine;
using System.Globalization;
using System.IO.Pipelines;
using System.Security.Cryptography;
using System.Text;
using Carillon.Client;
using Carillon.Client.Groups;
using Carillon.CommandLine;
using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;

namespace Carillon.Commands;

/// <summary><c>carillon publish</c>: sends messages to a group, and prints their numbers.</summary>
internal static class PublishCommand
{
    public static Command Create(CommandRunner runner)
    {
        Argument<string> name = GroupCommand.NameArgument();
        var source = new Argument<string?>("SOURCE")
        {
            Description = "'-': the standard input, as where nothing is said", Arity = ArgumentArity.ZeroOrOne,
        };
        var file = new Option<string?>("--file") { Description = "The message is this file", HelpName = "FILE" };
        var text = new Option<string?>("--text") { Description = "The message is this text", HelpName = "TEXT" };
        var lines = new Option<bool>("--lines") { Description = "Each line is a message; their numbers are printed in the order of the lines" };
        var id = new Option<string?>("--message-id")
        {
            Description = "Send under this id: a message whose outcome was unknown is not there twice then", HelpName = "SESSION.COUNTER",
        };
        var timestamp = new Option<ulong?>("--timestamp")
        {
            Description = "Goes with --message-id: what was told with it", HelpName = "N",
        };
        var command = new DocumentedCommand("publish", "Send a message to a group, and print its number")
        {
            Examples =
            [
                "carillon publish prices --text 'EUR 1.09'",
                "carillon publish prices --file quote.json -o json",
                "tail -f app.log | carillon publish log --lines",
            ],
        };
        command.Add(name);
        command.Add(source);
        foreach (Option option in new Option[] { file, text, lines, id, timestamp })
        {
            command.Add(option);
        }

        runner.Run(command, async context =>
        {
            GroupName group = GroupCommand.Checked(context, name);
            var given = new Given(
                context.Parse.GetValue(source), context.Parse.GetValue(file), context.Parse.GetValue(text), context.Parse.GetValue(lines),
                context.Parse.GetValue(id) is { } known ? Id(known) : null, context.Parse.GetValue(timestamp));
            given.Check();
            using CarillonClient client = context.CreateClient();
            return await RunAsync(context, client, group, given);
        });
        return command;
    }

    private static MessageId Id(string text) => MessageId.TryParse(text, out MessageId id)
        ? id : throw new UsageException($"--message-id {Shown.Text(text)}: use SESSION.COUNTER as it was told");

    private static MessageId Draw()
    {
        Span<byte> bytes = stackalloc byte[SessionId.Size];
        RandomNumberGenerator.Fill(bytes);
        return new MessageId(SessionId.From(bytes), 1);
    }

    private static async Task<int> RunAsync(CommandContext context, CarillonClient client, GroupName group, Given given)
    {
        if (given.Lines)
        {
            await using AtomicGroup sender = client.Groups.Open(group);
            await using Stream stream = given.Open();
            await SendLinesAsync(context, sender, stream);
            return ExitCode.Ok;
        }

        // Drawn here, so that it can be told whatever happens.
        MessageId id = given.Id ?? Draw();
        byte[] payload = await given.ReadAsync(context.Cancellation);
        var options = new AtomicGroupOptions { Session = id.Session, FirstCounter = id.Counter, FirstTimestamp = given.Timestamp };
        await using AtomicGroup once = client.Groups.Open(group, options);
        try
        {
            Write(context, await once.SendAsync(payload, context.Cancellation));
            return ExitCode.Ok;
        }
        catch (OperationCanceledException) when (context.Cancellation.IsCancellationRequested)
        {
            throw new CarillonException(
                Problem.Own("outcome-unknown", $"interrupted, outcome unknown, message {id}") with { MessageId = id.ToString() });
        }
    }

    private static async Task SendLinesAsync(CommandContext context, AtomicGroup sender, Stream stream)
    {
        var sending = new Queue<Task<SentMessage>>();
        Exception? fault = null;
        PipeReader reader = PipeReader.Create(stream);
        await foreach (byte[] line in LinesAsync(reader, context.Cancellation))
        {
            sending.Enqueue(sender.SendAsync(line, context.Cancellation));
            while (fault is null && sending.TryPeek(out Task<SentMessage>? first)
                && (first.IsCompleted || sending.Count >= new AtomicGroupOptions().Window))
            {
                fault = await EndAsync(context, sending.Dequeue());
            }

            if (fault is not null)
            {
                break;
            }
        }

        // Those behind one that failed may be committed all the same, and are told.
        while (sending.TryDequeue(out Task<SentMessage>? next))
        {
            Exception? other = await EndAsync(context, next);
            fault ??= other;
        }

        if (fault is not null)
        {
            throw fault;
        }
    }

    private static async Task<Exception?> EndAsync(CommandContext context, Task<SentMessage> sending)
    {
        try
        {
            Write(context, await sending);
            return null;
        }
        catch (Exception fault) when (fault is CarillonException or OperationCanceledException)
        {
            return fault;
        }
    }

    /// <summary>Lines as bytes, without their ends; what stands behind the last end is a line if it is not empty.</summary>
    private static async IAsyncEnumerable<byte[]> LinesAsync(
        PipeReader reader, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellation)
    {
        while (true)
        {
            ReadResult read = await reader.ReadAsync(cancellation);
            ReadOnlySequence<byte> left = read.Buffer;
            while (left.PositionOf((byte)'\n') is { } end)
            {
                yield return left.Slice(0, end).ToArray();
                left = left.Slice(left.GetPosition(1, end));
            }

            if (left.Length > GroupSettings.MaxPayloadBytes)
            {
                throw new UsageException($"a line has more than {GroupSettings.MaxPayloadBytes} bytes: a message has no more");
            }

            if (read.IsCompleted)
            {
                if (!left.IsEmpty)
                {
                    yield return left.ToArray();
                }

                yield break;
            }

            reader.AdvanceTo(left.Start, left.End);
        }
    }

    private static void Write(CommandContext context, SentMessage sent)
    {
        if (!context.IsJson)
        {
            context.Out.WriteLine(sent.Number.Value.ToString(CultureInfo.InvariantCulture));
            return;
        }

        context.WriteJson(writer =>
        {
            writer.WriteStartObject();
            writer.WriteNumber("sequence", sent.Number.Value);
            writer.WriteString("messageId", sent.Id.ToString());
            writer.WriteEndObject();
        });
    }

    /// <summary>Where the message comes from.</summary>
    private sealed record Given(string? Source, string? File, string? Text, bool Lines, MessageId? Id, ulong? Timestamp)
    {
        public void Check()
        {
            if (Source is not (null or "-"))
            {
                throw new UsageException($"'{Shown.Text(Source)}': use --file FILE or --text TEXT, or '-' for the standard input");
            }

            if (new[] { Source, File, Text }.Count(given => given is not null) > 1)
            {
                throw new UsageException("a message is one of: '-', --file, --text");
            }

            if (Timestamp is not null && Id is null)
            {
                throw new UsageException("--timestamp goes with --message-id");
            }

            if (Lines && Id is not null)
            {
                throw new UsageException("--message-id goes with a single message");
            }
        }

        public Stream Open() =>
            Text is not null ? new MemoryStream(Encoding.UTF8.GetBytes(Text))
            : File is null or "-" ? new StandardInput() : Existing(File);

        private static FileStream Existing(string file) => System.IO.File.Exists(file)
            ? System.IO.File.OpenRead(file)
            : throw new ExitException(ExitCode.Failed, $"{file}: there is no such file");

        public async Task<byte[]> ReadAsync(CancellationToken cancellation)
        {
            await using Stream stream = Open();
            var bytes = new MemoryStream();
            byte[] buffer = new byte[64 << 10];
            while (await stream.ReadAsync(buffer, cancellation) is > 0 and int read)
            {
                bytes.Write(buffer, 0, read);
                if (bytes.Length > GroupSettings.MaxPayloadBytes)
                {
                    throw new UsageException($"a message has at most {GroupSettings.MaxPayloadBytes} bytes; put larger things as objects");
                }
            }

            return bytes.ToArray();
        }
    }
}
