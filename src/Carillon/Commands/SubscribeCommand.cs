using System.Buffers;
using System.CommandLine;
using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Unicode;
using Carillon.Client;
using Carillon.Client.Groups;
using Carillon.CommandLine;
using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;

using DeliveredMessage = Carillon.Client.Groups.DeliveredMessage;

namespace Carillon.Commands;

/// <summary><c>carillon subscribe</c>: prints a group's messages in their order, for as long as it runs.</summary>
internal static class SubscribeCommand
{
    public static Command Create(CommandRunner runner)
    {
        Argument<string> name = GroupCommand.NameArgument();
        Option<string> from = StreamOptions.From();
        Option<ulong?> count = StreamOptions.Count("messages");
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
            FeedStart first = StreamOptions.Start(context.Parse.GetValue(from)!);
            ulong most = StreamOptions.Most(context.Parse.GetValue(count));
            using CarillonClient client = context.CreateClient();
            await using AtomicGroup subscriber = client.Groups.Open(group);
            OutputFormat format = context.Format;
            await LinePrinter.RunAsync(
                context, subscriber.DeliverAsync(first, context.Cancellation), most,
                (ArrayBufferWriter<byte> lines, Utf8JsonWriter json, in DeliveredMessage message) => Append(lines, json, message, format));
            return ExitCode.Ok;
        });
        return command;
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
