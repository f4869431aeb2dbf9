using Carillon.Protocols;
using System.Diagnostics.Metrics;
using System.Text;
using Microsoft.AspNetCore.Http;

namespace Carillon.Gateway.Metrics;

/// <summary>
/// Every instrument of every meter whose name starts with <c>Carillon</c>, as Prometheus text (exposition format 0.0.4). Written here since
/// the exporter package of OpenTelemetry is not to be had; it listens as that would.
/// </summary>
internal sealed class PrometheusExporter : IDisposable
{
    private const string MeterPrefix = "Carillon";

    private const string ContentType = "text/plain; version=0.0.4; charset=utf-8";

    private readonly MeterListener _listener = new();

    // Held while observers run, which may do anything; the other is held for the table only, and never while anything else runs.
    private readonly Lock _scraping = new();
    private readonly Lock _lock = new();
    private readonly SortedDictionary<string, MetricInstrument> _instruments = new(StringComparer.Ordinal);
    private long _scrape;

    public PrometheusExporter()
    {
        _listener.InstrumentPublished = Publish;
        _listener.MeasurementsCompleted = Forget;
        _listener.SetMeasurementEventCallback<double>((_, value, tags, state) => Measure(state, value, tags));
        _listener.SetMeasurementEventCallback<float>((_, value, tags, state) => Measure(state, value, tags));
        _listener.SetMeasurementEventCallback<long>((_, value, tags, state) => Measure(state, value, tags));
        _listener.SetMeasurementEventCallback<int>((_, value, tags, state) => Measure(state, value, tags));
        _listener.SetMeasurementEventCallback<short>((_, value, tags, state) => Measure(state, value, tags));
        _listener.SetMeasurementEventCallback<byte>((_, value, tags, state) => Measure(state, value, tags));
        _listener.SetMeasurementEventCallback<decimal>((_, value, tags, state) => Measure(state, (double)value, tags));
        _listener.Start();
    }

    /// <summary>Answers a scrape.</summary>
    public async Task SendAsync(HttpResponse response)
    {
        byte[] text = Encoding.UTF8.GetBytes(Scrape());
        response.ContentType = ContentType;
        response.ContentLength = text.Length;
        await response.BodyWriter.WriteAsync(text);
    }

    /// <summary>All metrics as they are now.</summary>
    public string Scrape()
    {
        lock (_scraping)
        {
            Interlocked.Increment(ref _scrape);
            var text = new StringBuilder(16 << 10);
            try
            {
                _listener.RecordObservableInstruments();
            }
            catch (AggregateException exception)
            {
                // Some component could not tell its figures now; the others' are there all the same.
                text.Append("# ").Append(Shown.Text(exception.Message)).Append('\n');
            }

            MetricInstrument[] instruments;
            lock (_lock)
            {
                instruments = [.. _instruments.Values];
            }

            foreach (MetricInstrument instrument in instruments)
            {
                instrument.Write(text, _scrape);
            }

            return text.ToString();
        }
    }

    public void Dispose() => _listener.Dispose();

    private void Publish(Instrument instrument, MeterListener listener)
    {
        if (!instrument.Meter.Name.StartsWith(MeterPrefix, StringComparison.Ordinal))
        {
            return;
        }

        var exported = new MetricInstrument(instrument);
        lock (_lock)
        {
            // Two instruments of one name would make a text that no scraper takes; the first one stays.
            if (!_instruments.TryAdd(exported.Name, exported))
            {
                return;
            }
        }

        listener.EnableMeasurementEvents(instrument, exported);
    }

    private void Forget(Instrument instrument, object? state)
    {
        lock (_lock)
        {
            if (state is MetricInstrument gone && _instruments.TryGetValue(gone.Name, out MetricInstrument? known) && known == gone)
            {
                _instruments.Remove(gone.Name);
            }
        }
    }

    private void Measure(object? state, double value, ReadOnlySpan<KeyValuePair<string, object?>> tags) =>
        ((MetricInstrument)state!).Measure(value, tags, Volatile.Read(ref _scrape));
}
