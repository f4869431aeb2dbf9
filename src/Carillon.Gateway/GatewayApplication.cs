using Carillon.Gateway.Buckets;
using Carillon.Gateway.Changesets;
using Carillon.Gateway.Feeds;
using Carillon.Gateway.Groups;
using Carillon.Gateway.Metrics;
using Carillon.Gateway.Objects;
using Carillon.Gateway.Problems;
using Carillon.Gateway.Routing;
using Carillon.Gateway.Security;
using Carillon.Gateway.Services;
using Carillon.Runtime.Serving;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Abstractions;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace Carillon.Gateway;

/// <summary>What Kestrel runs for each request: who may come in, which route answers, and what an exception means to the client.</summary>
internal sealed class GatewayApplication(GatewayServices services) : IHttpApplication<Exchange>
{
    /// <inheritdoc/>
    public Exchange CreateContext(IFeatureCollection contextFeatures)
    {
        Exchange exchange;
        if (contextFeatures is IHostContextContainer<Exchange> connection)
        {
            exchange = connection.HostContext ??= new Exchange();
        }
        else
        {
            exchange = new Exchange();
        }

        exchange.Begin(services, contextFeatures);
        GatewayMeter.Began();
        return exchange;
    }

    /// <inheritdoc/>
    public void DisposeContext(Exchange context, Exception? exception)
    {
        GatewayMeter.Ended(context);
        context.End();
    }

    /// <inheritdoc/>
    public async Task ProcessRequestAsync(Exchange context)
    {
        try
        {
            await AnswerAsync(context);
        }
        catch (BadHttpRequestException bad)
        {
            await FailAsync(context, new Problem(TypeOf(bad.StatusCode), Sentence(bad.Message)));
        }
        catch (ContentUnavailableException unavailable)
        {
            if (context.Response.HasStarted)
            {
                services.Log.ContentUnavailable(context.RequestId, unavailable.Message);
            }

            await FailAsync(context, new Problem(ProblemTypes.ReadUnavailable, Sentence(unavailable.Message)));
        }
        catch (TimeoutException late)
        {
            await FailAsync(context, new Problem(ProblemTypes.ReadUnavailable, Sentence(late.Message)));
        }
        catch (Exception) when (context.Aborted.IsCancellationRequested)
        {
            // The client has gone: there is nobody to answer, and what it had sent was given up where it was being stored.
            context.Abort();
        }
        catch (OperationCanceledException)
        {
            // The node takes no more work.
            await FailAsync(context, new Problem(ProblemTypes.Stopping, "This server is stopping; ask another one."));
        }
        catch (Exception exception)
        {
            services.Log.RequestFailed(exception, context.RequestId);
            await FailAsync(context, new Problem(ProblemTypes.Internal, "The server failed; its log tells more under the request id."));
        }
    }

    private Task AnswerAsync(Exchange exchange)
    {
        if (exchange.Kind == RouteKind.Live)
        {
            return ClusterRoutes.AnswerAsync(exchange);
        }

        if (services.Tokens is { } tokens)
        {
            if (BearerHeader.Find(exchange.Request.Headers.Authorization, tokens) is null)
            {
                return RefuseTokenAsync(exchange);
            }
        }
        else if (LoopbackGuard.FaultOf(exchange.Request) is { } foreign)
        {
            return exchange.FailAsync(ProblemTypes.ForeignOrigin, foreign);
        }

        if (services.Stopping && exchange.Kind is not (RouteKind.Ready or RouteKind.Metrics))
        {
            return exchange.FailAsync(ProblemTypes.Stopping, "This server is stopping; ask another one.");
        }

        return RouteAsync(exchange);
    }

    private static Task RefuseTokenAsync(Exchange exchange)
    {
        bool given = exchange.Request.Headers.Authorization.Count > 0;
        string detail = given ? "The token is not valid here." : "A token is needed: Authorization: Bearer TOKEN.";
        string challenge = given ? "Bearer realm=\"carillon\", error=\"invalid_token\"" : "Bearer realm=\"carillon\"";
        return exchange.FailAsync(new Problem(ProblemTypes.Unauthorized, detail), "WWW-Authenticate", challenge);
    }

    private static Task RouteAsync(Exchange exchange) => exchange.Kind switch
    {
        RouteKind.Object => ObjectRoutes.AnswerAsync(exchange),
        RouteKind.Listing => ListingRoute.AnswerAsync(exchange),
        RouteKind.Buckets or RouteKind.Bucket => BucketRoutes.AnswerAsync(exchange),
        RouteKind.Changesets => ChangesetRoute.AnswerAsync(exchange),
        RouteKind.Submission or RouteKind.SubmissionByKey or RouteKind.Explain => SubmissionRoutes.AnswerAsync(exchange),
        RouteKind.Services or RouteKind.Service or RouteKind.ServicePart => ServiceRoutes.AnswerAsync(exchange),
        RouteKind.Groups or RouteKind.Group or RouteKind.GroupMessages => GroupRoutes.AnswerAsync(exchange),
        RouteKind.Feed => FeedRoute.AnswerAsync(exchange),
        RouteKind.Configuration or RouteKind.ClusterChanges => ConfigurationRoutes.AnswerAsync(exchange),
        RouteKind.Backup or RouteKind.Chunk => BackupRoutes.AnswerAsync(exchange),
        RouteKind.Cluster or RouteKind.Ready or RouteKind.ClusterHealth or RouteKind.Metrics => ClusterRoutes.AnswerAsync(exchange),
        _ => exchange.FailAsync(ProblemTypes.NoSuchRoute, "There is nothing at this path; docs/formats/http.md lists the paths."),
    };

    /// <summary>Tells of a failure, if there is still somebody to tell.</summary>
    private static async Task FailAsync(Exchange exchange, Problem problem)
    {
        try
        {
            await exchange.FailAsync(problem);
        }
        catch (Exception)
        {
            exchange.Abort();
        }
    }

    private static ProblemType TypeOf(int status) => status switch
    {
        StatusCodes.Status413PayloadTooLarge => ProblemTypes.TooLarge,
        StatusCodes.Status408RequestTimeout => ProblemTypes.RequestTimeout,
        _ => ProblemTypes.Incomplete,
    };

    private static string Sentence(string message) => message.EndsWith('.') ? message : message + ".";
}
