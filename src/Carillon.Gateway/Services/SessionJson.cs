using System.Text.Json;
using Carillon.Gateway.Json;
using Carillon.Protocols;
using Carillon.Protocols.Primacy;
using Carillon.Runtime.Services;

namespace Carillon.Gateway.Services;

/// <summary>The beginning of a session: what the program has kept.</summary>
internal sealed record SessionHello(Freshness State);

/// <summary>Orders and news of a provider's session as JSON.</summary>
internal static class SessionJson
{
    /// <summary>Reads <c>{"state":{"epoch":4,"number":2}}</c>; nothing at all is no state.</summary>
    public static SessionHello? ReadHello(ReadOnlySpan<byte> json, out string fault)
    {
        fault = "";
        return json.IsEmpty ? new SessionHello(default) : JsonInput.Read(json, ParseHello, out fault);
    }

    /// <summary>Reads news; null with the reason where they are not right.</summary>
    public static ServiceNews? ReadNews(ReadOnlySpan<byte> json, ServiceName service, out string fault) =>
        JsonInput.Read(json, (ref Utf8JsonReader reader) => ParseNews(ref reader, service), out fault);

    /// <summary>The first line of a session.</summary>
    public static void WriteHello(Utf8JsonWriter writer, ProviderSession session, NodeId node)
    {
        writer.WriteStartObject();
        writer.WriteString("order", "session");
        writer.WriteString("id", session.Id);
        writer.WriteString("node", node.Name);
        writer.WriteEndObject();
    }

    /// <summary>An order.</summary>
    public static void Write(Utf8JsonWriter writer, ServiceOrder order)
    {
        writer.WriteStartObject();
        switch (order)
        {
            case ServiceOrder.BecomePrimary primary:
                writer.WriteString("order", "become-primary");
                writer.WriteNumber("epoch", primary.Epoch.Value);
                Write(writer, primary.State);
                break;
            case ServiceOrder.Demote demotion:
                writer.WriteString("order", "demote");
                writer.WriteNumber("epoch", demotion.Epoch.Value);
                writer.WriteString("reason", NameOf(demotion.Reason));
                break;
            case ServiceOrder.BecomeStandby standby:
                writer.WriteString("order", "become-standby");
                writer.WriteString("role", ServiceJson.NameOf(standby.Role));
                break;
            case ServiceOrder.ApplyCheckpoint checkpoint:
                writer.WriteString("order", "apply-checkpoint");
                Write(writer, checkpoint.State);
                writer.WriteBase64String("content", checkpoint.Content.Span);
                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(order), order, "an order that no program is given");
        }

        writer.WriteEndObject();
    }

    private static void Write(Utf8JsonWriter writer, Freshness state)
    {
        writer.WriteStartObject("state");
        writer.WriteNumber("epoch", state.Epoch.Value);
        writer.WriteNumber("number", state.Number);
        writer.WriteEndObject();
    }

    private static string NameOf(DemotionReason reason) => reason switch
    {
        DemotionReason.LeaseEnding => "lease-ending",
        DemotionReason.Moved => "moved",
        DemotionReason.Removed => "removed",
        DemotionReason.Stopping => "stopping",
        _ => "companion",
    };

    private static SessionHello ParseHello(ref Utf8JsonReader reader)
    {
        JsonInput.Expect(ref reader, JsonTokenType.StartObject, "it");
        Freshness state = default;
        while (JsonInput.NextField(ref reader, out string field))
        {
            state = field == "state" ? State(ref reader) : throw JsonInput.Unknown(field, "state");
        }

        return new SessionHello(state);
    }

    private static ServiceNews ParseNews(ref Utf8JsonReader reader, ServiceName service)
    {
        JsonInput.Expect(ref reader, JsonTokenType.StartObject, "it");
        string kind = "";
        string reason = "";
        Epoch epoch = default;
        Freshness state = default;
        byte[] content = [];
        while (JsonInput.NextField(ref reader, out string field))
        {
            switch (field)
            {
                case "news":
                    kind = JsonInput.Text(ref reader, field);
                    break;
                case "reason":
                    reason = JsonInput.Text(ref reader, field);
                    break;
                case "epoch":
                    epoch = new Epoch(Count(ref reader, field));
                    break;
                case "state":
                    state = State(ref reader);
                    break;
                case "content":
                    content = Bytes(ref reader);
                    break;
                default:
                    throw JsonInput.Unknown(field, "news, reason, epoch, state, content");
            }
        }

        return kind switch
        {
            "started" => new ServiceNews.Started(service, epoch),
            "drained" => new ServiceNews.Drained(service, epoch),
            "failed" => new ServiceNews.ProviderDown(service, reason, IsFailure: true),
            "checkpoint-taken" => new ServiceNews.CheckpointTaken(service, state, content),
            "checkpoint-applied" => new ServiceNews.CheckpointApplied(service, state),
            _ => throw new JsonInputException(
                $"'news' is started, drained, failed, checkpoint-taken or checkpoint-applied, not '{Shown.Text(kind)}'"),
        };
    }

    private static Freshness State(ref Utf8JsonReader reader)
    {
        JsonInput.Expect(ref reader, JsonTokenType.StartObject, "'state'");
        ulong epoch = 0;
        ulong number = 0;
        while (JsonInput.NextField(ref reader, out string field))
        {
            switch (field)
            {
                case "epoch":
                    epoch = Count(ref reader, field);
                    break;
                case "number":
                    number = Count(ref reader, field);
                    break;
                default:
                    throw JsonInput.Unknown(field, "epoch, number");
            }
        }

        return new Freshness(new Epoch(epoch), number);
    }

    private static byte[] Bytes(ref Utf8JsonReader reader) =>
        reader.TokenType == JsonTokenType.String && reader.TryGetBytesFromBase64(out byte[]? bytes)
            ? bytes.Length <= ServiceNews.MaxCheckpointBytes
                ? bytes : throw new JsonInputException($"a checkpoint has at most {ServiceNews.MaxCheckpointBytes} bytes")
            : throw new JsonInputException("'content' is not base64");

    private static ulong Count(ref Utf8JsonReader reader, string field) =>
        reader.TokenType == JsonTokenType.Number && reader.TryGetUInt64(out ulong value)
            ? value : throw new JsonInputException($"'{field}' is not a whole number from 0 on");
}
