using System.Diagnostics.Metrics;
using System.Globalization;
using System.Text;

namespace Carillon.Gateway.Metrics;

/// <summary>What an instrument's values mean.</summary>
internal enum MetricKind
{
    /// <summary>Each measurement is added; never less than before.</summary>
    Counter,

    /// <summary>Each measurement is the whole sum so far.</summary>
    ObservedCounter,

    /// <summary>Each measurement is added, up or down.</summary>
    Sum,

    /// <summary>Each measurement is the value.</summary>
    Gauge,

    /// <summary>Each measurement is counted under its bound.</summary>
    Histogram,
}

/// <summary>One instrument's series. Finding one takes no lock: the array of them is replaced when one is added.</summary>
internal sealed class MetricInstrument
{
    /// <summary>More than this is somebody using a tag for what has no end of values; further ones are left out.</summary>
    private const int MaxSeries = 1000;

    private static readonly double[] SecondBounds =
        [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

    private static readonly double[] ByteBounds = [256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216, 67_108_864];

    private static readonly double[] CountBounds = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000];

    private readonly Lock _adding = new();
    private readonly double[] _bounds;
    private volatile MetricSeries[] _series = [];

    public MetricInstrument(Instrument instrument)
    {
        Instrument = instrument;
        Kind = KindOf(instrument);
        Name = PrometheusNames.Of(instrument.Name, instrument.Unit, Kind is MetricKind.Counter or MetricKind.ObservedCounter);
        _bounds = Kind == MetricKind.Histogram ? BoundsOf(instrument) : [];
    }

    public Instrument Instrument { get; }

    public MetricKind Kind { get; }

    /// <summary>Its metric's name.</summary>
    public string Name { get; }

    /// <summary>Takes a measurement.</summary>
    public void Measure(double value, ReadOnlySpan<KeyValuePair<string, object?>> tags, long scrape)
    {
        if (Find(tags) is not { } series)
        {
            return;
        }

        switch (Kind)
        {
            case MetricKind.Counter or MetricKind.Sum:
                series.Add(value);
                break;
            case MetricKind.Histogram:
                series.Record(value);
                break;
            default:
                series.Set(value);
                break;
        }

        series.LastScrape = scrape;
    }

    /// <summary>Writes the metric; of observed values only those that this scrape saw.</summary>
    public void Write(StringBuilder text, long scrape)
    {
        if (Instrument.Description is { Length: > 0 } description)
        {
            text.Append("# HELP ").Append(Name).Append(' ').Append(description.Replace("\\", "\\\\", StringComparison.Ordinal)
                .Replace("\n", "\\n", StringComparison.Ordinal)).Append('\n');
        }

        string type = Kind switch
        {
            MetricKind.Counter or MetricKind.ObservedCounter => "counter",
            MetricKind.Histogram => "histogram",
            _ => "gauge",
        };
        text.Append("# TYPE ").Append(Name).Append(' ').Append(type).Append('\n');
        foreach (MetricSeries series in _series)
        {
            if (Kind == MetricKind.Histogram)
            {
                WriteHistogram(text, series);
            }
            else if (!Instrument.IsObservable || series.LastScrape == scrape)
            {
                WriteSample(text, "", series.Labels, series.Value);
            }
        }
    }

    private MetricSeries? Find(ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        MetricSeries[] known = _series;
        foreach (MetricSeries series in known)
        {
            if (series.Has(tags))
            {
                return series;
            }
        }

        lock (_adding)
        {
            foreach (MetricSeries series in _series.AsSpan(known.Length))
            {
                if (series.Has(tags))
                {
                    return series;
                }
            }

            if (_series.Length == MaxSeries)
            {
                return null;
            }

            var added = new MetricSeries(tags, _bounds);
            _series = [.. _series, added];
            return added;
        }
    }

    private void WriteHistogram(StringBuilder text, MetricSeries series)
    {
        string labels = series.Labels.Length > 0 ? series.Labels + "," : "";
        long count = 0;
        ReadOnlySpan<long> buckets = series.Buckets;
        for (int i = 0; i < buckets.Length; i++)
        {
            count += Volatile.Read(in buckets[i]);
            string bound = i < _bounds.Length ? Number(_bounds[i]) : "+Inf";
            WriteSample(text, "_bucket", $"{labels}le=\"{bound}\"", count);
        }

        WriteSample(text, "_sum", series.Labels, series.Value);
        WriteSample(text, "_count", series.Labels, count);
    }

    private void WriteSample(StringBuilder text, string suffix, string labels, double value)
    {
        text.Append(Name).Append(suffix);
        if (labels.Length > 0)
        {
            text.Append('{').Append(labels).Append('}');
        }

        text.Append(' ').Append(Number(value)).Append('\n');
    }

    private static string Number(double value) => double.IsPositiveInfinity(value) ? "+Inf"
        : double.IsNegativeInfinity(value) ? "-Inf" : value.ToString(CultureInfo.InvariantCulture);

    private static MetricKind KindOf(Instrument instrument)
    {
        Type type = instrument.GetType();
        Type generic = type.IsGenericType ? type.GetGenericTypeDefinition() : type;
        return generic == typeof(Counter<>) ? MetricKind.Counter
            : generic == typeof(ObservableCounter<>) ? MetricKind.ObservedCounter
            : generic == typeof(UpDownCounter<>) ? MetricKind.Sum
            : generic == typeof(Histogram<>) ? MetricKind.Histogram
            : MetricKind.Gauge;
    }

    private static double[] BoundsOf(Instrument instrument)
    {
        double[]? advised = instrument switch
        {
            Histogram<double> histogram => histogram.Advice?.HistogramBucketBoundaries?.ToArray(),
            Histogram<long> histogram => histogram.Advice?.HistogramBucketBoundaries?.Select(bound => (double)bound).ToArray(),
            Histogram<int> histogram => histogram.Advice?.HistogramBucketBoundaries?.Select(bound => (double)bound).ToArray(),
            _ => null,
        };
        return advised is { Length: > 0 } ? advised : instrument.Unit switch
        {
            "s" => SecondBounds,
            "By" => ByteBounds,
            _ => CountBounds,
        };
    }
}
