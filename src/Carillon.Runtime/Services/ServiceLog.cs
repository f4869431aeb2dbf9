using Microsoft.Extensions.Logging;

namespace Carillon.Runtime.Services;

/// <summary>What is logged of services; a command's own lines among it.</summary>
internal static partial class ServiceLog
{
    [LoggerMessage(1, LogLevel.Information, "service {Service}: {Line}")]
    public static partial void Output(ILogger logger, string service, string line);

    [LoggerMessage(2, LogLevel.Information, "service {Service} starts here as {Role} of epoch {Epoch}")]
    public static partial void Starts(ILogger logger, string service, string role, ulong epoch);

    [LoggerMessage(3, LogLevel.Information, "service {Service} is to stop here: {Reason}")]
    public static partial void Stops(ILogger logger, string service, string reason);

    [LoggerMessage(4, LogLevel.Warning, "service {Service} ended by itself, status {Status}; it starts again in {Seconds:F1} s")]
    public static partial void Ended(ILogger logger, string service, string status, double seconds);

    [LoggerMessage(5, LogLevel.Warning, "service {Service}: {Reason}")]
    public static partial void Trouble(ILogger logger, string service, string reason);

    [LoggerMessage(6, LogLevel.Error, "service {Service}: a defect: {Message}")]
    public static partial void Defect(ILogger logger, string service, string message, Exception exception);

    [LoggerMessage(7, LogLevel.Information, "service {Service} has stopped here")]
    public static partial void Stopped(ILogger logger, string service);

    [LoggerMessage(8, LogLevel.Information, "service {Service}: {Occurrence}")]
    public static partial void Session(ILogger logger, string service, string occurrence);
}
