using Carillon.Protocols;

namespace Carillon.Gateway.Routing;

/// <summary>
/// A query's parameters, each at most once and only those that its route knows: a mistyped one must not silently mean something
/// else (<c>?verison=</c> would read the current version). A plus sign is a space, as forms send it.
/// </summary>
internal readonly struct QueryText
{
    /// <summary>More than any route has, and few enough to look through one by one.</summary>
    private const int MaxParameters = 16;

    private readonly List<KeyValuePair<string, string>>? _parameters;

    private QueryText(List<KeyValuePair<string, string>>? parameters) => _parameters = parameters;

    /// <summary>The value of a parameter, or null where it was not given.</summary>
    public string? this[string name]
    {
        get
        {
            if (_parameters is not null)
            {
                foreach ((string key, string value) in _parameters)
                {
                    if (key == name)
                    {
                        return value;
                    }
                }
            }

            return null;
        }
    }

    /// <summary>Reads a query; false with the reason where it is not right.</summary>
    public static bool TryRead(ReadOnlySpan<char> query, ReadOnlySpan<string> known, out QueryText parameters, out string fault)
    {
        parameters = default;
        fault = "";
        if (query.IsEmpty)
        {
            return true;
        }

        var read = new List<KeyValuePair<string, string>>();
        foreach (Range part in query.Split('&'))
        {
            ReadOnlySpan<char> pair = query[part];
            if (pair.IsEmpty)
            {
                continue;
            }

            int equals = pair.IndexOf('=');
            if (!PercentCoding.TryDecode(equals < 0 ? pair : pair[..equals], plusIsSpace: true, out string name, out fault)
                || !PercentCoding.TryDecode(equals < 0 ? [] : pair[(equals + 1)..], plusIsSpace: true, out string value, out fault))
            {
                fault = $"the query is not well formed: {fault}";
                return false;
            }

            if (!known.Contains(name))
            {
                fault = known.IsEmpty
                    ? $"no query parameter is known here, '{Shown.Text(name)}' is given"
                    : $"the query parameter '{Shown.Text(name)}' is not known here: {string.Join(", ", known!)}";
                return false;
            }

            if (read.Count == MaxParameters || read.Exists(pair => pair.Key == name))
            {
                fault = $"the query parameter '{name}' is given twice";
                return false;
            }

            read.Add(new(name, value));
        }

        parameters = new QueryText(read);
        return true;
    }
}
