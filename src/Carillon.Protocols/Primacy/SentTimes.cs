namespace Carillon.Protocols.Primacy;

/// <summary>
/// When the last questions were sent, by their counter: a lease counts from the sending of the question, never from the answer. Counters
/// begin with the incarnation, so that a late answer to a former life is nobody's.
/// </summary>
internal sealed class SentTimes(Incarnation incarnation)
{
    private const int Kept = 64;

    private readonly Instant[] _sent = new Instant[Kept];
    private readonly ulong _first = incarnation.Value << 32;
    private ulong _count;

    /// <summary>The counter of a question that is sent now.</summary>
    public ulong Next(Instant now)
    {
        _sent[_count % Kept] = now;
        return _first + _count++;
    }

    /// <summary>When the question of this counter was sent; false if that is none of ours, or too long ago.</summary>
    public bool TryFind(ulong counter, out Instant sent)
    {
        ulong index = counter - _first;
        sent = default;
        if (index >= _count || _count - index > Kept)
        {
            return false;
        }

        sent = _sent[index % Kept];
        return true;
    }
}
