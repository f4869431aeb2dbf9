using System.Collections.Immutable;
using System.Globalization;
using Carillon.Gateway.Json;
using Carillon.Gateway.Problems;
using Carillon.Gateway.Routing;
using Carillon.Protocols;
using Carillon.Protocols.Primacy;
using Carillon.Runtime.Services;
using Microsoft.AspNetCore.Http;

namespace Carillon.Gateway.Services;

/// <summary><c>/v1/services</c>, <c>/v1/services/{name}</c> and what is below: services with exactly one primary.</summary>
internal static class ServiceRoutes
{
    /// <summary>A definition with the longest command stays far below.</summary>
    private const int MaxBodyBytes = 1 << 20;

    private static readonly TimeSpan LongestWait = TimeSpan.FromSeconds(60);
    private static readonly string[] PutParameters = ["replace"];
    private static readonly string[] WaitParameters = ["wait"];

    public static Task AnswerAsync(Exchange exchange)
    {
        if (exchange.Gateway.Services is not { } services)
        {
            return exchange.FailAsync(ProblemTypes.NoSuchRoute, "This server takes no part in services.");
        }

        if (exchange.Kind == RouteKind.Services)
        {
            return Methods.IsRead(exchange.Request) ? ListAsync(exchange, services) : Methods.RefuseAsync(exchange, "GET, HEAD");
        }

        if (!PercentCoding.TryDecode(exchange.Route.Bucket, plusIsSpace: false, out string text, out _)
            || !ServiceName.TryParse(text, out ServiceName service))
        {
            return exchange.FailAsync(
                ProblemTypes.BadServiceName,
                $"'{Shown.Text(text)}' is not a service's name: 1-{ServiceName.MaxLength} of a-z 0-9 - . that begin with a letter or digit.");
        }

        return exchange.Kind == RouteKind.Service
            ? OneAsync(exchange, services, service) : PartAsync(exchange, services, service);
    }

    private static Task OneAsync(Exchange exchange, IServiceGate services, ServiceName service) =>
        Methods.IsRead(exchange.Request) ? ShowAsync(exchange, services, service)
        : HttpMethods.IsPut(exchange.Request.Method) ? PutAsync(exchange, services, service)
        : HttpMethods.IsDelete(exchange.Request.Method)
            ? RunAsync(exchange, services, new ServiceRequest.Remove(service))
        : Methods.RefuseAsync(exchange, "GET, HEAD, PUT, DELETE");

    private static Task PartAsync(Exchange exchange, IServiceGate services, ServiceName service)
    {
        string part = exchange.Route.Name.ToString();
        bool post = HttpMethods.IsPost(exchange.Request.Method);
        if (part == "move")
        {
            return post ? MoveAsync(exchange, services, service) : Methods.RefuseAsync(exchange, "POST");
        }

        if (part == "primary")
        {
            return Methods.IsRead(exchange.Request)
                ? FindPrimaryAsync(exchange, services, service) : Methods.RefuseAsync(exchange, "GET, HEAD");
        }

        if (part == "sessions" || part.StartsWith("sessions/", StringComparison.Ordinal))
        {
            return post ? SessionRoutes.AnswerAsync(exchange, services, service, part) : Methods.RefuseAsync(exchange, "POST");
        }

        if (part.StartsWith("providers/", StringComparison.Ordinal) && NodeId.TryParse(part.AsSpan("providers/".Length), out NodeId node))
        {
            return HttpMethods.IsPut(exchange.Request.Method)
                    ? RunAsync(exchange, services, new ServiceRequest.Register(service, node))
                : HttpMethods.IsDelete(exchange.Request.Method)
                    ? RunAsync(exchange, services, new ServiceRequest.Unregister(service, node))
                : Methods.RefuseAsync(exchange, "PUT, DELETE");
        }

        return exchange.FailAsync(ProblemTypes.NoSuchRoute, "There is nothing at this path; docs/formats/http.md lists the paths.");
    }

    private static async Task ListAsync(Exchange exchange, IServiceGate services)
    {
        if (!exchange.TryQuery([], out _, out Problem? problem))
        {
            await exchange.FailAsync(problem!);
            return;
        }

        ImmutableArray<ServiceStatus> all = await services.ListAsync();
        await using var stream = new JsonStream(exchange.Response, exchange.Aborted);
        stream.Writer.WriteStartObject();
        stream.Writer.WriteStartArray("services");
        foreach (ServiceStatus status in all)
        {
            ServiceJson.Write(stream.Writer, status);
            await stream.PieceAsync();
        }

        stream.Writer.WriteEndArray();
        stream.Writer.WriteEndObject();
    }

    private static async Task ShowAsync(Exchange exchange, IServiceGate services, ServiceName service)
    {
        if (!exchange.TryQuery([], out _, out Problem? problem))
        {
            await exchange.FailAsync(problem!);
            return;
        }

        if ((await services.ListAsync()).FirstOrDefault(status => status.Definition.Name == service) is not { } found)
        {
            await exchange.FailAsync(ProblemTypes.ServiceNotFound, $"There is no service '{service}'.");
            return;
        }

        JsonBody body = JsonBody.Rent();
        ServiceJson.Write(body.Writer, found);
        await body.SendAsync(exchange.Response, StatusCodes.Status200OK);
    }

    private static async Task PutAsync(Exchange exchange, IServiceGate services, ServiceName service)
    {
        if (!exchange.TryQuery(PutParameters, out QueryText query, out Problem? problem))
        {
            await exchange.FailAsync(problem!);
            return;
        }

        if (query["replace"] is not (null or "true" or "false"))
        {
            await exchange.FailAsync(ProblemTypes.BadRequest, $"replace is 'true' or 'false', not '{Shown.Text(query["replace"]!)}'.");
            return;
        }

        if (await BodyBytes.ReadAsync(exchange.Request.BodyReader, MaxBodyBytes, exchange.Aborted) is not { } json)
        {
            await exchange.FailAsync(ProblemTypes.TooLarge, $"A service's definition has at most {MaxBodyBytes} bytes.");
            return;
        }

        if (ServiceJson.Read(json, service, out string fault) is not { } definition)
        {
            await exchange.FailAsync(ProblemTypes.BadService, $"The definition is not right: {fault}.");
            return;
        }

        await SendAsync(exchange, await services.RequestAsync(new ServiceRequest.Add(definition, query["replace"] == "true")));
    }

    private static async Task MoveAsync(Exchange exchange, IServiceGate services, ServiceName service)
    {
        byte[]? json = await BodyBytes.ReadAsync(exchange.Request.BodyReader, MaxBodyBytes, exchange.Aborted);
        string fault = "it is too long";
        if (json is null || ServiceJson.ReadTarget(json, out fault) is not { } target)
        {
            await exchange.FailAsync(ProblemTypes.BadService, $"The target is not right: {fault}.");
            return;
        }

        await SendAsync(exchange, await services.RequestAsync(new ServiceRequest.Move(service, target.Node)));
    }

    private static async Task RunAsync(Exchange exchange, IServiceGate services, ServiceRequest request)
    {
        if (!exchange.TryQuery([], out _, out Problem? problem))
        {
            await exchange.FailAsync(problem!);
            return;
        }

        await SendAsync(exchange, await services.RequestAsync(request));
    }

    private static async Task FindPrimaryAsync(Exchange exchange, IServiceGate services, ServiceName service)
    {
        if (!exchange.TryQuery(WaitParameters, out QueryText query, out Problem? problem))
        {
            await exchange.FailAsync(problem!);
            return;
        }

        double seconds = 0;
        if (query["wait"] is { } wait
            && (!double.TryParse(wait, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out seconds)
                || seconds > LongestWait.TotalSeconds))
        {
            await exchange.FailAsync(
                ProblemTypes.BadRequest, $"wait is a number of seconds from 0 to {LongestWait.TotalSeconds}, not '{Shown.Text(wait)}'.");
            return;
        }

        PrimaryPlace? found = await services.FindPrimaryAsync(service, TimeSpan.FromSeconds(seconds), exchange.Aborted);
        if (found is not { Primary.IsNone: false } place)
        {
            await exchange.FailAsync(ProblemTypes.NoPrimary, $"No primary of '{service}' is known here now.");
            return;
        }

        JsonBody body = JsonBody.Rent();
        body.Writer.WriteStartObject();
        body.Writer.WriteString("service", service.Name);
        body.Writer.WriteString("primary", place.Primary.Name);
        body.Writer.WriteNumber("epoch", place.Epoch.Value);
        string address = exchange.Server.Status().Servers.FirstOrDefault(s => s.Name == place.Primary)?.HttpAddress ?? "";
        body.Writer.WriteString("http", address);
        body.Writer.WriteEndObject();
        await body.SendAsync(exchange.Response, StatusCodes.Status200OK);
    }

    private static Task SendAsync(Exchange exchange, ServiceAnswer answer)
    {
        string detail = answer.Detail.Length == 0 || answer.Detail.EndsWith('.') ? answer.Detail : answer.Detail + ".";
        switch (answer.Result)
        {
            case ServiceResult.Refused:
                return exchange.FailAsync(ProblemTypes.ServiceRefused, detail);
            case ServiceResult.NotFound:
                return exchange.FailAsync(ProblemTypes.ServiceNotFound, detail.Length > 0 ? detail : "There is no such service.");
            case ServiceResult.Unavailable:
                return exchange.FailAsync(
                    ProblemTypes.NoReplicaManager, detail.Length > 0 ? detail : "No replica manager answered in time; ask again.");
        }

        JsonBody body = JsonBody.Rent();
        body.Writer.WriteStartObject();
        body.Writer.WriteString("result", "done");
        body.Writer.WriteString("detail", answer.Detail);
        body.Writer.WriteEndObject();
        return body.SendAsync(exchange.Response, StatusCodes.Status200OK);
    }
}
