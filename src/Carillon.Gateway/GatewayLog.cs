using Microsoft.Extensions.Logging;

namespace Carillon.Gateway;

/// <summary>What the gateway logs.</summary>
internal static partial class GatewayLog
{
    [LoggerMessage(1, LogLevel.Information, "HTTP listens on {Address}")]
    public static partial void Listening(this ILogger log, Uri address);

    [LoggerMessage(2, LogLevel.Information, "HTTP stops: requests in progress have {Seconds} s")]
    public static partial void Stopping(this ILogger log, double seconds);

    [LoggerMessage(3, LogLevel.Error, "Request {RequestId} failed")]
    public static partial void RequestFailed(this ILogger log, Exception exception, string requestId);

    [LoggerMessage(4, LogLevel.Warning, "Request {RequestId}: content can't be had, the connection is cut off: {Reason}")]
    public static partial void ContentUnavailable(this ILogger log, string requestId, string reason);

    [LoggerMessage(5, LogLevel.Warning, "HTTP is not guarded by TLS on {Address}: tokens and content can be read on the way")]
    public static partial void Insecure(this ILogger log, Uri address);

    [LoggerMessage(6, LogLevel.Error, "Request {RequestId}: a submission ended with an error, so its outcome is unknown")]
    public static partial void SubmissionFailed(this ILogger log, Exception exception, string requestId);

    [LoggerMessage(7, LogLevel.Error, "The feed can't be read for those who watch it")]
    public static partial void FeedUnreadable(this ILogger log, Exception exception);
}
