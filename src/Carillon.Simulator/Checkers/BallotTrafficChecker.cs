using Carillon.Protocols;
using Carillon.Protocols.Cluster;
using Carillon.Protocols.VectorExchange;
using Carillon.Protocols.Wire;

namespace Carillon.Simulator.Checkers;

/// <summary>
/// A server keeps its word, as its messages show it (docs/protocols/vector-exchange.md, "A ballot"): after a promise no bit of a lower
/// round than promised, but for the one that the promise showed; a promise shows the bit of the greatest round; a round has one bit of a
/// server; an answer to a read counts the server's own yes; and no two tags of one key have its yes at once.
/// </summary>
/// <remarks>Of a tag that somebody called rejected nothing is asked any more: its ballot may have been forgotten, and be begun
/// anew.</remarks>
internal sealed class BallotTrafficChecker(Func<NodeId, int> bitOf, SubmissionRegistry registry)
{
    private readonly Dictionary<(NodeId Server, Tag Tag), Word> _words = [];
    private readonly HashSet<Tag> _rejected = [];
    private readonly Dictionary<NodeId, ulong> _versions = [];

    /// <summary>The version that is in force at a server, or null while it is down: bits of another one count no more, and may
    /// differ.</summary>
    public void SetVersion(NodeId server, ulong? version)
    {
        if (version is { } present && (!_versions.TryGetValue(server, out ulong known) || known != present))
        {
            _versions[server] = present;
            foreach ((NodeId Server, Tag Tag) word in _words.Keys.Where(w => w.Server == server).ToArray())
            {
                _words.Remove(word);
            }
        }
    }

    /// <summary>A server sends a message of vector exchange.</summary>
    /// <param name="from">The sender.</param>
    /// <param name="type">The message's type.</param>
    /// <param name="payload">The message.</param>
    /// <param name="now">When.</param>
    /// <param name="hasYesBit">Whether the sender's greatest own bit for a tag is a yes, and the tag not decided there.</param>
    /// <param name="stateAtSender">What the sender knows of a tag.</param>
    public void OnMessage(
        NodeId from, MessageType type, ReadOnlySpan<byte> payload, Instant now, Func<Tag, bool> hasYesBit,
            Func<Tag, TagState> stateAtSender)
    {
        var reader = new WireReader(payload);
        _ = MessageCodec.TryReadHead(ref reader, out _);
        switch (type)
        {
            case MessageType.Promise when Promise.TryRead(ref reader, out Promise promise):
                OnPromise(from, promise);
                break;
            case MessageType.Vector when Vector.TryRead(ref reader, out Vector vector)
                && new VoterSet(vector.Bits).Contains(bitOf(from)):
                OnBit(from, vector, now, hasYesBit, stateAtSender);
                break;
            case MessageType.ReadAnswer when ReadAnswer.TryRead(ref reader, out ReadAnswer answer):
                OnReadAnswer(from, answer, now);
                break;
            case MessageType.Decided when Decided.TryRead(ref reader, out Decided decided)
                && decided.State == TagState.Rejected:
                _rejected.Add(decided.Tag);
                break;
            case MessageType.Abort when Abort.TryRead(ref reader, out Abort abort):
                _rejected.Add(abort.Tag);
                break;
            default:
                break;
        }
    }

    // Messages of one batch leave peer by peer, so nothing here depends on the order in which they are met: a bit that was set before a
    // promise is of the shown round at most, and one that was set behind it of the promised round at least.
    private void OnPromise(NodeId from, Promise promise)
    {
        if (_rejected.Contains(promise.Tag))
        {
            return;
        }

        Word word = WordOf(from, promise.Tag);
        word.Promises.Add(promise);
        foreach ((uint round, (bool value, Instant _)) in word.Bits)
        {
            Compare(from, promise, round, value);
        }
    }

    private void OnBit(NodeId from, Vector vector, Instant now, Func<Tag, bool> hasYesBit, Func<Tag, TagState> stateAtSender)
    {
        // What left late is of the version before.
        bool isOld = _versions.TryGetValue(from, out ulong version) && vector.Configuration != version;
        if (_rejected.Contains(vector.Tag) || isOld)
        {
            return;
        }

        Word word = WordOf(from, vector.Tag);
        if (word.Bits.TryGetValue(vector.Round, out (bool Value, Instant At) known))
        {
            if (known.Value != vector.Value)
            {
                throw Violation.Of("promise", $"{from} sets yes and no in round {vector.Round} of {vector.Tag}");
            }

            return;
        }

        word.Bits.Add(vector.Round, (vector.Value, now));
        foreach (Promise promise in word.Promises)
        {
            Compare(from, promise, vector.Round, vector.Value);
        }

        CheckKey(from, vector, hasYesBit, stateAtSender);
    }

    private static void Compare(NodeId from, Promise promise, uint round, bool value)
    {
        bool isBehindTheShown = !promise.HasBit || round > promise.BitRound;
        if ((isBehindTheShown && round < promise.Round)
            || (promise.HasBit && round == promise.BitRound && value != promise.BitValue))
        {
            string shown = promise.HasBit ? $"{(promise.BitValue ? "yes" : "no")} in round {promise.BitRound}" : "no bit";
            throw Violation.Of(
                "promise", $"{from} promised round {promise.Round} of {promise.Tag} showing {shown}, and set {(value ? "yes" : "no")} in round {round}");
        }
    }

    // A late vector of a tag that is rejected meanwhile says nothing. One that is open, or was accepted while its bit was on its way to the
    // disk, got the bit behind the open rival's, or the rival its own behind this one's: neither may be.
    private void CheckKey(NodeId from, Vector vector, Func<Tag, bool> hasYesBit, Func<Tag, TagState> stateAtSender)
    {
        if (!vector.Value || stateAtSender(vector.Tag) is not (TagState.Open or TagState.Accepted))
        {
            return;
        }

        foreach (Tag rival in registry.RivalsOf(vector.Tag))
        {
            if (hasYesBit(rival))
            {
                throw Violation.Of("key", $"{from} has set yes for {vector.Tag} and for {rival}, which are of one key, and the second is not decided there");
            }
        }
    }

    // A bit that left at an earlier instant was durable then, and is counted since.
    private void OnReadAnswer(NodeId from, ReadAnswer answer, Instant now)
    {
        int own = bitOf(from);
        foreach (HeldTag held in answer.Held)
        {
            if (!_rejected.Contains(held.Tag) && !new VoterSet(held.YesBits).Contains(own)
                && _words.TryGetValue((from, held.Tag), out Word? word) && word.Bits.Count > 0
                && word.Bits.Last() is { Value: { Value: true } bit } last && bit.At < now)
            {
                throw Violation.Of("read", $"{from} answers a read with {held.Tag}, and leaves its own yes of round {last.Key} out");
            }
        }
    }

    private Word WordOf(NodeId server, Tag tag)
    {
        if (!_words.TryGetValue((server, tag), out Word? word))
        {
            _words.Add((server, tag), word = new Word());
        }

        return word;
    }

    /// <summary>What a server has said of a tag.</summary>
    private sealed class Word
    {
        /// <summary>What it promised to others.</summary>
        public List<Promise> Promises { get; } = [];

        /// <summary>Its own bits by round, and when each left first.</summary>
        public SortedDictionary<uint, (bool Value, Instant At)> Bits { get; } = [];
    }
}
