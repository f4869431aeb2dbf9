using Carillon.Protocols;
using System.Net;
using Microsoft.AspNetCore.Http;

namespace Carillon.Gateway.Security;

/// <summary>
/// Where no token is asked for, whoever runs programs on this machine is trusted; the web pages in their browsers are not. A page
/// of another site can send forms here (a changeset is one), and by a name that it makes point to 127.0.0.1 it can do anything
/// (DNS rebinding). So the host asked for must be loopback, and a browser's request must come from this very origin.
/// </summary>
internal static class LoopbackGuard
{
    /// <summary>Why the request is refused, or null if it is not.</summary>
    public static string? FaultOf(HttpRequest request)
    {
        string host = request.Host.Host;
        if (!IsLoopback(host))
        {
            return $"The request asks for the host '{Shown.Text(host)}'; without tokens only localhost, 127.0.0.1 and [::1] are served.";
        }

        string? origin = request.Headers.Origin;
        if (!string.IsNullOrEmpty(origin) && !IsOwn(origin, request.Host.Value!))
        {
            return $"The request comes from a page of '{Shown.Text(origin)}'.";
        }

        string? site = request.Headers["Sec-Fetch-Site"];
        return site is "cross-site" or "same-site" ? "The request comes from a page of another site." : null;
    }

    private static bool IsLoopback(string host) =>
        host is "127.0.0.1" or "localhost" or "[::1]"
        || string.Equals(host, "localhost", StringComparison.OrdinalIgnoreCase)
        || (IPAddress.TryParse(host, out IPAddress? address) && IPAddress.IsLoopback(address));

    private static bool IsOwn(string origin, string host)
    {
        int scheme = origin.IndexOf("://", StringComparison.Ordinal);
        return scheme > 0 && origin.AsSpan(scheme + 3).Equals(host, StringComparison.OrdinalIgnoreCase);
    }
}
