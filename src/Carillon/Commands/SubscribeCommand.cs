using System.Buffers;
using System.CommandLine;
using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Unicode;
using Carillon.Client;
using Carillon.Client.Groups;
using Carillon.CommandLine;
using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Runtime;

using DeliveredMessage = Carillon.Client.Groups.DeliveredMessage;

namespace Carillon.Commands;

/// <summary><c>carillon subscribe</c>: prints a group's messages in their order, for as long as it runs.</summary>
internal static class SubscribeCommand
{
    /// <summary>Lines that gather while more messages are here already.</summary>
    private const int PieceBytes = 64 << 10;

    private static readonly JsonWriterOptions Json = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static Command Create(CommandRunner runner)
    {
        Argument<string> name = GroupCommand.NameArgument();
        var from = new Option<string>("--from")
        {
            Description = "The first number; or begin, for the first that is kept; or now", HelpName = "N", DefaultValueFactory = _ => "now",
        };
        var count = new Option<ulong?>("--count") { Description = "End after so many messages", HelpName = "N" };
        var command = new DocumentedCommand("subscribe", "Print a group's messages in their order, none missing, none twice")
        {
            Examples = ["carillon subscribe prices", "carillon subscribe prices --from begin --count 10 -o jsonl"],
        };
        command.Add(name);
        command.Add(from);
        command.Add(count);
        runner.Run(command, async context =>
        {
            GroupName group = GroupCommand.Checked(context, name);
            string start = context.Parse.GetValue(from)!;
            if (!FeedStart.TryParse(start, out FeedStart first))
            {
                throw new UsageException($"--from {Shown.Text(start)}: use a number from 1 on, begin or now");
            }

            ulong most = context.Parse.GetValue(count) ?? ulong.MaxValue;
            if (most == 0)
            {
                throw new UsageException("--count: use 1 or more");
            }

            using CarillonClient client = context.CreateClient();
            await using AtomicGroup subscriber = client.Groups.Open(group);
            using var ended = CancellationTokenSource.CreateLinkedTokenSource(context.Cancellation);
            Task printing = RunAsync(context, subscriber, first, most, ended.Token);
            bool isPipe = ReferenceEquals(context.Out, Console.Out) && Console.IsOutputRedirected;
            Task gone = isPipe ? StandardOutput.ReaderGoneAsync() : printing;
            if (await Task.WhenAny(printing, gone) != printing)
            {
                // As in `subscribe … | head`: there is nobody to print for.
                await ended.CancelAsync();
                await printing.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                return ExitCode.Ok;
            }

            await printing;
            return ExitCode.Ok;
        });
        return command;
    }

    private static async Task RunAsync(
        CommandContext context, AtomicGroup subscriber, FeedStart first, ulong most, CancellationToken ended)
    {
        var lines = new ArrayBufferWriter<byte>();
        await using var writer = new Utf8JsonWriter(lines, Json);
        await using IAsyncEnumerator<DeliveredMessage> enumerator = subscriber.DeliverAsync(first, ended).GetAsyncEnumerator(ended);
        for (ulong i = 0; i < most; i++)
        {
            ValueTask<bool> next = enumerator.MoveNextAsync();
            if (!next.IsCompleted || lines.WrittenCount > PieceBytes)
            {
                Flush(context, lines);
            }

            if (!await next)
            {
                break;
            }

            Append(lines, writer, enumerator.Current, context.Format);
        }

        Flush(context, lines);
    }

    private static void Flush(CommandContext context, ArrayBufferWriter<byte> lines)
    {
        if (lines.WrittenCount > 0)
        {
            context.Out.Write(Encoding.UTF8.GetString(lines.WrittenSpan));
            context.Out.Flush();
            lines.ResetWrittenCount();
        }
    }

    private static void Append(ArrayBufferWriter<byte> lines, Utf8JsonWriter writer, in DeliveredMessage message, OutputFormat format)
    {
        ReadOnlySpan<byte> payload = message.Payload.Span;
        bool isText = Utf8.IsValid(payload);
        switch (format)
        {
            case OutputFormat.Json or OutputFormat.JsonLines:
                writer.Reset();
                writer.WriteStartObject();
                writer.WriteNumber("sequence", message.Number.Value);
                writer.WriteString("messageId", message.Id.ToString());
                writer.WriteString("sender", message.Id.Session.ToString());
                if (isText)
                {
                    writer.WriteString("payload", payload);
                }
                else
                {
                    writer.WriteBase64String("payloadBase64", payload);
                }

                writer.WriteEndObject();
                writer.Flush();
                break;
            case OutputFormat.Name:
                lines.Write(Encoding.ASCII.GetBytes(message.Number.ToString()));
                break;
            default:
                string shown = isText
                    ? Shown.Text(Encoding.UTF8.GetString(payload))
                    : string.Create(CultureInfo.InvariantCulture, $"({payload.Length} bytes)");
                lines.Write(Encoding.UTF8.GetBytes(
                    string.Create(CultureInfo.InvariantCulture, $"{message.Number.Value}  {message.Id.Session.ToString()[..8]}  {shown}")));
                break;
        }

        lines.Write("\n"u8);
    }
}
