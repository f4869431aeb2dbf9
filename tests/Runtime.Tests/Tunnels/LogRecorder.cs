using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;

namespace Carillon.Runtime.Tests.Tunnels;

/// <summary>Keeps the lines that a component logs.</summary>
internal sealed class LogRecorder : ILoggerFactory, ILogger
{
    private readonly ConcurrentQueue<string> _lines = new();

    public IReadOnlyCollection<string> Lines => _lines;

    public IReadOnlyList<string> Refusals => [.. _lines.Where(line => line.StartsWith("Refused ", StringComparison.Ordinal))];

    public IReadOnlyList<string> Failures => [.. _lines.Where(line => line.StartsWith("No tunnel ", StringComparison.Ordinal))];

    public ILogger CreateLogger(string categoryName) => this;

    public void AddProvider(ILoggerProvider provider) => throw new NotSupportedException();

    public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Information;

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public void Log<TState>(
        LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        if (IsEnabled(logLevel))
        {
            _lines.Enqueue(formatter(state, exception));
        }
    }

    public void Dispose()
    {
    }
}
