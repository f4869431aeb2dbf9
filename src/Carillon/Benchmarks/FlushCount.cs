using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using Carillon.Client;

namespace Carillon.Benchmarks;

/// <summary>Flushes to disk of all servers together, from their metrics: every counter of theirs that counts flushes.</summary>
internal sealed class FlushCount : IDisposable
{
    private readonly ImmutableArray<CarillonClient> _servers;

    private FlushCount(ImmutableArray<CarillonClient> servers) => _servers = servers;

    /// <summary>Finds the cluster's servers; those that are given, where the cluster does not tell of others.</summary>
    public static FlushCount Create(CarillonClientOptions options, ClusterStatus status)
    {
        string scheme = options.Servers[0].Scheme;
        Uri[] told = [.. status.Servers.Select(s => s.Http).Where(h => !string.IsNullOrEmpty(h))
            .Select(h => h!.Contains("://", StringComparison.Ordinal) ? new Uri(h) : new Uri($"{scheme}://{h}"))];
        Uri[] all = told.Length > 0 ? told : [.. options.Servers];
        CarillonClientOptions one = options with { LearnServers = false, Timeout = TimeSpan.FromSeconds(2) };
        return new FlushCount([.. all.Select(a => new CarillonClient(one with { Servers = [a] }))]);
    }

    /// <summary>The sum, or null where no server counts any.</summary>
    public async Task<double?> ReadAsync(CancellationToken cancellation)
    {
        double? sum = null;
        foreach (CarillonClient server in _servers)
        {
            try
            {
                byte[] page = await server.ReadBytesAsync("/metrics", cancellation);
                sum = Sum(Encoding.UTF8.GetString(page)) is { } found ? (sum ?? 0) + found : sum;
            }
            catch (CarillonException)
            {
                // A server that is down flushes nothing.
            }
        }

        return sum;
    }

    /// <summary>The sum over one page of metrics in Prometheus' text form.</summary>
    internal static double? Sum(string page)
    {
        double? sum = null;
        foreach (ReadOnlySpan<char> line in page.AsSpan().EnumerateLines())
        {
            int end = line.IndexOfAny('{', ' ');
            int value = line.LastIndexOf(' ');
            if (end <= 0 || line[0] == '#' || !line[..end].StartsWith("carillon_", StringComparison.Ordinal)
                || !line[..end].Contains("flushes", StringComparison.Ordinal) || line[..end].EndsWith("_bucket", StringComparison.Ordinal))
            {
                continue;
            }

            if (double.TryParse(line[(value + 1)..], NumberStyles.Float, CultureInfo.InvariantCulture, out double number))
            {
                sum = (sum ?? 0) + number;
            }
        }

        return sum;
    }

    public void Dispose()
    {
        foreach (CarillonClient server in _servers)
        {
            server.Dispose();
        }
    }
}
