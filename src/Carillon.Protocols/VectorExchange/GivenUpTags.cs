namespace Carillon.Protocols.VectorExchange;

/// <summary>
/// Tags of which this server had a record, a bit or a promise and has it no longer: given up as too old, or decided *no*, which may be
/// forgotten before its time where there are too many. To take part again without that bit or promise could decide them twice ◆. Kept up
/// to the horizon, below which nobody takes part in what it does not hold.
/// </summary>
internal sealed class GivenUpTags
{
    private readonly SortedDictionary<Tag, string> _tags = [];
    private readonly SortedSet<Tag> _undecided = [];
    private readonly Dictionary<string, Tag> _ofKey = new(StringComparer.Ordinal);

    public bool Contains(Tag tag) => _tags.ContainsKey(tag);

    /// <summary>Those whose record was here and whose outcome is not known, in order.</summary>
    public IReadOnlyCollection<Tag> Undecided => _undecided;

    /// <summary>The newest tag of a key that may still be accepted elsewhere: this server held its record, and must not fence the
    /// key.</summary>
    public Tag OfKey(string key) => _ofKey.GetValueOrDefault(key);

    /// <summary>The key is empty where the record was not here or the tag is decided.</summary>
    public void Add(Tag tag, string key)
    {
        Remove(tag);
        _tags.Add(tag, key);
        if (key.Length > 0)
        {
            _undecided.Add(tag);
            _ofKey[key] = OfKey(key) < tag ? tag : OfKey(key);
        }
    }

    /// <summary>Forgets those below the horizon; what is left, in order.</summary>
    public IEnumerable<KeyValuePair<Tag, string>> Since(Timestamp horizon)
    {
        foreach ((Tag tag, _) in _tags.TakeWhile(t => t.Key.Uid.Stamp < horizon).ToArray())
        {
            Remove(tag);
        }

        return _tags;
    }

    private void Remove(Tag tag)
    {
        if (_tags.TryGetValue(tag, out string? key))
        {
            _tags.Remove(tag);
            _undecided.Remove(tag);
            if (OfKey(key) == tag)
            {
                _ofKey.Remove(key);
            }
        }
    }
}
