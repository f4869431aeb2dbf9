using System.Text;

namespace Carillon.Gateway.Metrics;

/// <summary>One instrument's values under one set of tags. May be written by many threads at once; a scrape reads what it finds.</summary>
internal sealed class MetricSeries
{
    private readonly KeyValuePair<string, object?>[] _tags;
    private readonly double[] _bounds;
    private readonly long[] _buckets;
    private double _value;

    public MetricSeries(ReadOnlySpan<KeyValuePair<string, object?>> tags, double[] bounds)
    {
        _tags = tags.ToArray();
        _bounds = bounds;
        _buckets = bounds.Length == 0 ? [] : new long[bounds.Length + 1];
        Labels = LabelsOf(_tags);
    }

    /// <summary>The tags as Prometheus writes them, without braces.</summary>
    public string Labels { get; }

    /// <summary>The number of the last scrape in which an observed value was seen.</summary>
    public long LastScrape { get; set; }

    /// <summary>The sum, the last value, or the sum of a histogram's values.</summary>
    public double Value => Volatile.Read(ref _value);

    /// <summary>How many values fell under each bound, and beyond the last.</summary>
    public ReadOnlySpan<long> Buckets => _buckets;

    /// <summary>True if these are the tags.</summary>
    public bool Has(ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        if (tags.Length != _tags.Length)
        {
            return false;
        }

        for (int i = 0; i < tags.Length; i++)
        {
            if (!ReferenceEquals(tags[i].Key, _tags[i].Key) && tags[i].Key != _tags[i].Key)
            {
                return false;
            }

            if (!Equals(tags[i].Value, _tags[i].Value))
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>Sets the value.</summary>
    public void Set(double value) => Volatile.Write(ref _value, value);

    /// <summary>Adds to the value.</summary>
    public void Add(double value)
    {
        double before = Volatile.Read(ref _value);
        while (true)
        {
            double seen = Interlocked.CompareExchange(ref _value, before + value, before);
            if (seen.Equals(before))
            {
                return;
            }

            before = seen;
        }
    }

    /// <summary>Counts a value of a histogram.</summary>
    public void Record(double value)
    {
        int bucket = Array.BinarySearch(_bounds, value);
        Interlocked.Increment(ref _buckets[bucket < 0 ? ~bucket : bucket]);
        Add(value);
    }

    private static string LabelsOf(KeyValuePair<string, object?>[] tags)
    {
        var labels = new StringBuilder();
        foreach ((string key, object? value) in tags)
        {
            labels.Append(labels.Length > 0 ? "," : "").Append(PrometheusNames.Sanitized(key)).Append("=\"");
            string text = Convert.ToString(value, System.Globalization.CultureInfo.InvariantCulture) ?? "";
            labels.Append(text.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal)
                .Replace("\n", "\\n", StringComparison.Ordinal)).Append('"');
        }

        return labels.ToString();
    }
}
