using Carillon.Protocols;
using Carillon.Protocols.Submissions;

namespace Carillon.Simulator.Checkers;

/// <summary>Every submission that was seen between servers: its key, and the tag that it replaces. No UID is used twice.</summary>
internal sealed class SubmissionRegistry
{
    private readonly Dictionary<Tag, (string Key, Tag Replaces, ObjectName First)> _submissions = [];
    private readonly Dictionary<Uid, (Tag Tag, Digest Hash)> _uids = [];
    private readonly Dictionary<string, List<Tag>> _byKey = new(StringComparer.Ordinal);
    private readonly List<Tag> _inOrder = [];
    private readonly Dictionary<(Uid Uid, ObjectName Name), Digest?> _contents = [];

    /// <summary>All tags, in the order in which they were first seen.</summary>
    public IReadOnlyList<Tag> Tags => _inOrder;

    /// <summary>A submission travels between servers.</summary>
    public void Add(Submission submission)
    {
        Tag tag = submission.Tag;
        if (!_uids.TryAdd(tag.Uid, (tag, submission.Hash)) && _uids[tag.Uid] != (tag, submission.Hash))
        {
            throw Violation.Of("uid", $"{tag.Uid} is used twice: by {_uids[tag.Uid].Tag} and {tag} (key {submission.Key})");
        }

        foreach (Operation operation in submission.Operations)
        {
            _contents.TryAdd((tag.Uid, operation.Target), operation.Manifest?.Sha256);
        }

        if (_submissions.TryAdd(tag, (submission.Key, submission.Replaces, submission.Operations[0].Target)))
        {
            _inOrder.Add(tag);
            if (!_byKey.TryGetValue(submission.Key, out List<Tag>? ofKey))
            {
                _byKey.Add(submission.Key, ofKey = []);
            }

            ofKey.Add(tag);
        }
    }

    /// <summary>What a version of a name says, if its submission was seen; null content for a tombstone.</summary>
    public bool TryGetContent(Uid uid, ObjectName name, out Digest? content) => _contents.TryGetValue((uid, name), out content);

    /// <summary>The first name of a submission, or null if it was never seen.</summary>
    public ObjectName? FirstNameOf(Tag tag) =>
        _submissions.TryGetValue(tag, out (string Key, Tag Replaces, ObjectName First) found) ? found.First : null;

    /// <summary>The key of a submission, or null if it was never seen.</summary>
    public string? KeyOf(Tag tag) =>
        _submissions.TryGetValue(tag, out (string Key, Tag Replaces, ObjectName First) found) ? found.Key : null;

    /// <summary>The other tags of a tag's key.</summary>
    public IEnumerable<Tag> RivalsOf(Tag tag) =>
        _submissions.TryGetValue(tag, out (string Key, Tag Replaces, ObjectName First) found)
            ? _byKey[found.Key].Where(other => other != tag)
            : [];

    /// <summary>The tags that a tag took the place of, one after the other.</summary>
    public IEnumerable<Tag> ReplacedBy(Tag tag)
    {
        while (_submissions.TryGetValue(tag, out (string Key, Tag Replaces, ObjectName First) found) && !found.Replaces.IsNone)
        {
            tag = found.Replaces;
            yield return tag;
        }
    }
}
