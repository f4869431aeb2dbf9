using System.Globalization;
using System.Text.Json;
using Carillon.Gateway.Json;
using Carillon.Gateway.Problems;
using Carillon.Protocols.Primacy;
using Carillon.Runtime.Services;
using Microsoft.AspNetCore.Http;

namespace Carillon.Gateway.Services;

/// <summary>
/// <c>/v1/services/{name}/sessions</c>: a program of a user's own provides a service by a session with this server. The answer to the first
/// request stays open and carries orders, one JSON object a line; news go to <c>…/sessions/{id}/news</c>, and <c>…/sessions/{id}/lease</c>
/// asks how long the program may go on as primary.
/// </summary>
internal static class SessionRoutes
{
    /// <summary>A checkpoint as base64, and a little more.</summary>
    private const int MaxNewsBytes = (ServiceNews.MaxCheckpointBytes / 3 * 4) + (64 << 10);

    public static Task AnswerAsync(Exchange exchange, IServiceGate services, ServiceName service, string part)
    {
        string[] words = part.Split('/');
        if (words.Length == 1)
        {
            return OpenAsync(exchange, services, service);
        }

        if (words.Length != 3 || words[2] is not ("news" or "lease"))
        {
            return exchange.FailAsync(ProblemTypes.NoSuchRoute, "There is nothing at this path; docs/formats/http.md lists the paths.");
        }

        if (services.FindSession(words[1]) is not { } session || session.Service != service)
        {
            return exchange.FailAsync(ProblemTypes.SessionLost, "There is no such session here: it is lost, and the role with it.");
        }

        return words[2] == "lease" ? RenewAsync(exchange, session) : HearAsync(exchange, session);
    }

    private static async Task OpenAsync(Exchange exchange, IServiceGate services, ServiceName service)
    {
        byte[]? json = await BodyBytes.ReadAsync(exchange.Request.BodyReader, MaxNewsBytes, exchange.Aborted);
        string fault = "it is too long";
        if (json is null || SessionJson.ReadHello(json, out fault) is not { } hello)
        {
            await exchange.FailAsync(ProblemTypes.BadService, $"The session's beginning is not right: {fault}.");
            return;
        }

        (ProviderSession? session, fault) = await services.OpenSessionAsync(service, hello.State);
        if (session is null)
        {
            await exchange.FailAsync(ProblemTypes.ServiceRefused, $"No session for '{service}' here: {fault}.");
            return;
        }

        try
        {
            await StreamAsync(exchange, session);
        }
        finally
        {
            session.End();
        }
    }

    private static async Task StreamAsync(Exchange exchange, ProviderSession session)
    {
        HttpResponse response = exchange.Response;
        response.StatusCode = StatusCodes.Status200OK;
        response.ContentType = "application/jsonl";
        await SendAsync(exchange, writer => SessionJson.WriteHello(writer, session, exchange.Server.Name));
        await foreach (ServiceOrder order in session.Orders.ReadAllAsync(exchange.Aborted))
        {
            await SendAsync(exchange, writer => SessionJson.Write(writer, order));
        }
    }

    private static async Task SendAsync(Exchange exchange, Action<Utf8JsonWriter> write)
    {
        await using (var writer = new Utf8JsonWriter(exchange.Response.BodyWriter, JsonBody.Options))
        {
            write(writer);
        }

        await exchange.Response.BodyWriter.WriteAsync("\n"u8.ToArray(), exchange.Aborted);
        await exchange.Response.BodyWriter.FlushAsync(exchange.Aborted);
    }

    private static Task RenewAsync(Exchange exchange, ProviderSession session)
    {
        LeaseLeft left = session.Renew();
        JsonBody body = JsonBody.Rent();
        body.Writer.WriteStartObject();
        body.Writer.WriteNumber("epoch", left.Epoch.Value);
        // Cut off, never rounded up.
        body.Writer.WriteNumber("remainingMs", (long)left.Remaining.TotalMilliseconds);
        body.Writer.WriteEndObject();
        return body.SendAsync(exchange.Response, StatusCodes.Status200OK);
    }

    private static async Task HearAsync(Exchange exchange, ProviderSession session)
    {
        byte[]? json = await BodyBytes.ReadAsync(exchange.Request.BodyReader, MaxNewsBytes, exchange.Aborted);
        if (json is null)
        {
            string limit = ServiceNews.MaxCheckpointBytes.ToString(CultureInfo.InvariantCulture);
            await exchange.FailAsync(ProblemTypes.TooLarge, $"A checkpoint has at most {limit} bytes.");
            return;
        }

        if (SessionJson.ReadNews(json, session.Service, out string fault) is not { } news)
        {
            await exchange.FailAsync(ProblemTypes.BadService, $"The news are not right: {fault}.");
            return;
        }

        session.Tell(news);
        exchange.Response.StatusCode = StatusCodes.Status204NoContent;
    }
}
