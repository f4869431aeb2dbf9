using Carillon.Gateway.Problems;
using Carillon.Gateway.Routing;
using Microsoft.AspNetCore.Http;

namespace Carillon.Gateway.Objects;

/// <summary><c>/v1/buckets/{bucket}/objects/{name…}</c></summary>
internal static class ObjectRoutes
{
    public static Task AnswerAsync(Exchange exchange)
    {
        if (!exchange.TryTarget(out var target, out Problem? problem))
        {
            return exchange.FailAsync(problem!);
        }

        string method = exchange.Request.Method;
        if (HttpMethods.IsGet(method) || HttpMethods.IsHead(method))
        {
            return ObjectReads.ReadAsync(exchange, target);
        }

        return HttpMethods.IsPut(method) ? ObjectWrites.PutAsync(exchange, target)
            : HttpMethods.IsDelete(method) ? ObjectWrites.DeleteAsync(exchange, target)
            : Methods.RefuseAsync(exchange, "GET, HEAD, PUT, DELETE");
    }
}
