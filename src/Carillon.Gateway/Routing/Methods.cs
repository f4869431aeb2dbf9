using Carillon.Protocols;
using Carillon.Gateway.Problems;
using Microsoft.AspNetCore.Http;

namespace Carillon.Gateway.Routing;

/// <summary>The methods of a path.</summary>
internal static class Methods
{
    /// <summary>True for GET, and for HEAD, which is a GET whose body Kestrel leaves out.</summary>
    public static bool IsRead(HttpRequest request) => HttpMethods.IsGet(request.Method) || HttpMethods.IsHead(request.Method);

    /// <summary>Answers 405.</summary>
    public static Task RefuseAsync(Exchange exchange, string allowed)
    {
        string method = Shown.Text(exchange.Request.Method);
        return exchange.FailAsync(new Problem(ProblemTypes.MethodNotAllowed, $"{method} is not one of {allowed}."), "Allow", allowed);
    }
}
