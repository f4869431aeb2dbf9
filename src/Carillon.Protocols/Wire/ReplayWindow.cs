namespace Carillon.Protocols.Wire;

/// <summary>
/// Which of a sender's counters have been seen (as RFC 6479 keeps it, in a ring of words): everything above the greatest is
/// new, the last 1,024 are remembered, everything below is too old to tell and so refused.
/// </summary>
internal struct ReplayWindow
{
    /// <summary>Counters remembered: datagrams may overtake each other by this many.</summary>
    public const int Bits = 1024;

    private const int WordBits = 64;

    // One word more than the window: the word of the greatest counter is only partly in use.
    private const int Words = (Bits / WordBits) + 1;

    private readonly ulong[] _words = new ulong[Words];
    private ulong _greatest;

    public ReplayWindow()
    {
    }

    /// <summary>Whether a counter is new, seen, or too old to tell.</summary>
    public readonly DatagramVerdict Judge(ulong counter)
    {
        if (SeededBug.Is("datagram-replay-accepted"))
        {
            return DatagramVerdict.Opened;
        }

        if (counter > _greatest)
        {
            return DatagramVerdict.Opened;
        }

        if (counter == 0 || _greatest - counter >= Bits)
        {
            return DatagramVerdict.Old;
        }

        return (_words[WordOf(counter)] >> BitOf(counter) & 1) == 0 ? DatagramVerdict.Opened : DatagramVerdict.Replayed;
    }

    /// <summary>Marks a counter as seen; it was judged new before.</summary>
    public void Take(ulong counter)
    {
        if (counter > _greatest)
        {
            ulong steps = Math.Min((counter / WordBits) - (_greatest / WordBits), Words);
            for (ulong i = 0; i < steps; i++)
            {
                _words[(int)(((counter / WordBits) - i) % Words)] = 0;
            }

            _greatest = counter;
        }

        _words[WordOf(counter)] |= 1UL << BitOf(counter);
    }

    private static int WordOf(ulong counter) => (int)(counter / WordBits % Words);

    private static int BitOf(ulong counter) => (int)(counter % WordBits);
}
