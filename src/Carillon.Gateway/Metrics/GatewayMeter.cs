using System.Diagnostics;
using System.Diagnostics.Metrics;
using Carillon.Gateway.Routing;
using Carillon.Runtime;

namespace Carillon.Gateway.Metrics;

/// <summary>The gateway's own figures; docs/formats/http.md lists them.</summary>
internal static class GatewayMeter
{
    private static readonly string[] RouteNames = [.. Enum.GetNames<RouteKind>().Select(name => name.ToLowerInvariant())];
    private static readonly string[] StatusNames =
        [.. Enumerable.Range(0, 600).Select(status => status.ToString(System.Globalization.CultureInfo.InvariantCulture))];

    private static readonly Counter<long> Requests = CarillonMeter.Instance.CreateCounter<long>(
        "carillon.http.requests", "{request}", "Requests answered.");

    private static readonly Histogram<double> Duration = CarillonMeter.Instance.CreateHistogram<double>(
        "carillon.http.request.duration", "s", "From a request's head to the end of its answer.");

    private static readonly UpDownCounter<long> Active = CarillonMeter.Instance.CreateUpDownCounter<long>(
        "carillon.http.requests.active", "{request}", "Requests in progress.");

    private static readonly Counter<long> ContentReceived = CarillonMeter.Instance.CreateCounter<long>(
        "carillon.http.content.received", "By", "Content of objects that was put.");

    private static readonly Counter<long> ContentSent = CarillonMeter.Instance.CreateCounter<long>(
        "carillon.http.content.sent", "By", "Content of objects that was sent.");

    /// <summary>A request has come.</summary>
    public static void Began() => Active.Add(1);

    /// <summary>It is over, answered or not.</summary>
    public static void Ended(Exchange exchange)
    {
        Active.Add(-1);
        var route = new KeyValuePair<string, object?>("route", RouteNames[(int)exchange.Kind]);
        var method = new KeyValuePair<string, object?>("method", MethodName(exchange.Request.Method));
        int status = exchange.Response.StatusCode;
        Requests.Add(1, route, method, new("status", status is >= 0 and < 600 ? StatusNames[status] : "other"));
        Duration.Record(Stopwatch.GetElapsedTime(exchange.Started).TotalSeconds, route, method);
    }

    /// <summary>Content of an object was put.</summary>
    public static void Received(long bytes) => ContentReceived.Add(bytes);

    /// <summary>Content of an object was sent.</summary>
    public static void Sent(long bytes) => ContentSent.Add(bytes);

    /// <summary>Clients may send any word as a method; there must not be a series for each.</summary>
    private static string MethodName(string method) => method is "GET" or "HEAD" or "PUT" or "POST" or "DELETE" ? method : "other";
}
