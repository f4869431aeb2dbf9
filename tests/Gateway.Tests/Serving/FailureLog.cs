using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;

namespace Carillon.Gateway.Tests.Serving;

/// <summary>Keeps the exceptions that a gateway logs, for tests that expect one and for the others, that expect none.</summary>
internal sealed class FailureLog : ILoggerFactory, ILogger
{
    /// <summary>Exceptions logged as errors, in order.</summary>
    public ConcurrentQueue<Exception> Failures { get; } = new();

    public ILogger CreateLogger(string categoryName) => this;

    public void AddProvider(ILoggerProvider provider)
    {
    }

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Error;

    public void Log<TState>(
        LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        if (exception is not null && IsEnabled(logLevel))
        {
            Failures.Enqueue(exception);
        }
    }

    public void Dispose()
    {
    }
}
