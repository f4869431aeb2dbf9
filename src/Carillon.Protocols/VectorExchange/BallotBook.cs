using Carillon.Protocols.Submissions;

namespace Carillon.Protocols.VectorExchange;

/// <summary>The open tags of a server (and those agreed but not applied yet), found by tag, by name, by key and by bucket.</summary>
internal sealed class BallotBook(NodeId self)
{
    private readonly Dictionary<Tag, Ballot> _byTag = [];
    private readonly SortedSet<Tag> _own = [];
    private readonly Dictionary<ObjectName, List<Ballot>> _byName = [];
    private readonly Dictionary<string, List<Ballot>> _byKey = new(StringComparer.Ordinal);
    private readonly Dictionary<string, int> _namesInBucket = new(StringComparer.Ordinal);

    public int Count => _byTag.Count;

    /// <summary>The least of this server's own tags; none where there are none.</summary>
    public Tag LeastOwn => _own.Min;

    public Ballot? Find(Tag tag) => _byTag.GetValueOrDefault(tag);

    /// <summary>All ballots in order of their tags.</summary>
    public IEnumerable<Ballot> InOrder() => _byTag.Values.OrderBy(b => b.Tag).ToArray();

    public Ballot Add(Ballot ballot)
    {
        _byTag.Add(ballot.Tag, ballot);
        if (ballot.Tag.Uid.Server == self)
        {
            _own.Add(ballot.Tag);
        }

        return ballot;
    }

    /// <summary>The record of a ballot is known: from now on it is found by its names and its key.</summary>
    public void SetSubmission(Ballot ballot, Submission submission)
    {
        Invariant.That(ballot.Submission is null && submission.Tag == ballot.Tag);
        ballot.Submission = submission;
        ballot.Hash = submission.Hash;
        foreach (Operation operation in submission.Operations)
        {
            ListOf(_byName, operation.Target).Add(ballot);
            _namesInBucket[operation.Target.Bucket] = _namesInBucket.GetValueOrDefault(operation.Target.Bucket) + 1;
        }

        ListOf(_byKey, submission.Key).Add(ballot);
    }

    public void Remove(Ballot ballot)
    {
        _byTag.Remove(ballot.Tag);
        if (ballot.Tag.Uid.Server == self)
        {
            _own.Remove(ballot.Tag);
        }

        if (ballot.Submission is not { } submission)
        {
            return;
        }

        foreach (Operation operation in submission.Operations)
        {
            Unlist(_byName, operation.Target, ballot);
            int left = _namesInBucket[operation.Target.Bucket] - 1;
            if (left == 0)
            {
                _namesInBucket.Remove(operation.Target.Bucket);
            }
            else
            {
                _namesInBucket[operation.Target.Bucket] = left;
            }
        }

        Unlist(_byKey, submission.Key, ballot);
    }

    /// <summary>Held ballots of a name that are not rejected, in the order in which they came.</summary>
    public IReadOnlyList<Ballot> Of(ObjectName name) => _byName.TryGetValue(name, out List<Ballot>? list) ? list : [];

    /// <summary>Held ballots of a key that are not rejected, in the order in which they came.</summary>
    public IReadOnlyList<Ballot> OfKey(string key) => _byKey.TryGetValue(key, out List<Ballot>? list) ? list : [];

    /// <summary>How many tags of an earlier version have no record here yet.</summary>
    public int CountCarriedWithoutRecord() => _byTag.Values.Count(b => b is { IsCarried: true, IsOpen: true, Submission: null });

    /// <summary>The ballot whose key was asked after under this number, or null.</summary>
    public Ballot? Asking(ulong question) => _byTag.Values.FirstOrDefault(b => b.KeyQuestion == question);

    /// <summary>True if an open put or delete names something in the bucket.</summary>
    public bool NamesIn(string bucket) => _namesInBucket.ContainsKey(bucket);

    /// <summary>True if an open or agreed put or delete of the bucket may be answered without a number.</summary>
    public bool HasUnnumbered(string bucket) => NamesIn(bucket) && _byTag.Values.Any(
        b => b.Submission is { AwaitsNumber: false } submission && submission.Operations[0].Target.Bucket == bucket);

    public Uid GreatestHeld(ObjectName name)
    {
        Uid greatest = default;
        foreach (Ballot ballot in Of(name))
        {
            greatest = Uid.Max(greatest, ballot.Tag.Uid);
        }

        return greatest;
    }

    private static List<Ballot> ListOf<TKey>(Dictionary<TKey, List<Ballot>> index, TKey key)
        where TKey : notnull
    {
        if (!index.TryGetValue(key, out List<Ballot>? list))
        {
            index.Add(key, list = []);
        }

        return list;
    }

    private static void Unlist<TKey>(Dictionary<TKey, List<Ballot>> index, TKey key, Ballot ballot)
        where TKey : notnull
    {
        List<Ballot> list = index[key];
        list.Remove(ballot);
        if (list.Count == 0)
        {
            index.Remove(key);
        }
    }
}
