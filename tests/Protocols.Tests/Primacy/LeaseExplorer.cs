namespace Carillon.Protocols.Tests.Primacy;

/// <summary>The rules on which it rests that no two nodes act at once; each may be left out.</summary>
[Flags]
internal enum LeaseRules
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>A bit is the first lease.</summary>
    BitIsLease = 1,

    /// <summary>A voter gives its bit only for an epoch above every one that it promised.</summary>
    AbovePromises = 2,

    /// <summary>A candidate's own bit obeys the rules of the others.</summary>
    OwnBitObeys = 4,

    /// <summary>A primary's own renewal obeys the rules of the others.</summary>
    OwnRenewalObeys = 8,

    /// <summary>Who bids or holds gives its bit to nobody else.</summary>
    HolderGivesNoBit = 16,

    /// <summary>A refused renewal is none.</summary>
    RefusalsDoNotCount = 32,

    /// <summary>A voter that restarts gives no bit for a whole lease.</summary>
    QuietAfterRestart = 64,

    /// <summary>All of them.</summary>
    All = 127,
}

/// <summary>
/// Visits every state that two candidates and their voters can come to in three epochs, in the terms of <c>EpochVoter</c> and
/// <c>Tenure</c> and with whole ticks for time: each question is answered or lost, voters restart, candidates give up and bid anew, and
/// time passes, in every order. Voters that are no candidates are alike, so states that differ by their order are one.
/// </summary>
/// <param name="voters">How many; the first two are the candidates.</param>
/// <param name="rules">Those that hold.</param>
/// <param name="isLate">True: begins when the second candidate has just given up its first epoch, and the first one's voter has not
/// heard of it; nobody restarts or gives up again. From the very beginning five voters have too many states.</param>
internal sealed class LeaseExplorer(int voters, LeaseRules rules, bool isLate = false)
{
    private const int Lease = 2;
    private const int MaxEpoch = 3;
    private const int Candidates = 2;
    private const int Quiet = 3;

    private readonly HashSet<UInt128> _seen = [];
    private readonly Stack<UInt128> _open = new();

    private int QuorumSize => (voters / 2) + 1;

    /// <summary>States visited.</summary>
    public int States => _seen.Count;

    /// <summary>A state that breaks a rule as text, or null if there is none.</summary>
    public string? Explore()
    {
        Push(Begin());
        while (_open.TryPop(out UInt128 key))
        {
            var state = State.Unpack(voters, key);
            if (FaultOf(state) is { } fault)
            {
                return fault;
            }

            Expand(state);
        }

        return null;
    }

    private State Begin()
    {
        var state = new State(voters);
        if (isLate)
        {
            Array.Fill(state.Promised, (byte)1);
            state.Tenure[1] = 1;
            state.Acted = 1;
            state.SetLease(0, 1, Lease);
        }

        return state;
    }

    private void Expand(State state)
    {
        Next(state, Tick);
        for (int who = 0; who < Candidates; who++)
        {
            int candidate = who;
            Expand(state, candidate);
            for (int i = 0; i < voters; i++)
            {
                int voter = i;
                Next(state, s => Ask(s, candidate, voter));
                Next(state, s => Renew(s, candidate, voter));
                Next(state, s => Withdrawn(s, candidate, voter));
            }
        }

        for (int i = Candidates; i < voters && !isLate; i++)
        {
            int voter = i;
            Next(state, s => Restart(s, voter));
        }
    }

    private void Expand(State state, int candidate)
    {
        if (state.Phase[candidate] == Phase.None)
        {
            // Above what it bid for, and above what its own voter promised.
            for (byte epoch = (byte)(Math.Max(state.Tenure[candidate], state.Promised[candidate]) + 1); epoch <= MaxEpoch; epoch++)
            {
                byte bid = epoch;
                Next(state, s =>
                {
                    s.Phase[candidate] = Phase.Bidding;
                    s.Tenure[candidate] = bid;
                    return true;
                });
            }
        }
        else if (!isLate)
        {
            Next(state, s => End(s, candidate));
        }
    }

    private void Next(State state, Func<State, bool> step)
    {
        State next = state.Fork();
        if (step(next))
        {
            Push(next);
        }
    }

    private void Push(State state)
    {
        state.Order();
        UInt128 key = state.Pack();
        if (_seen.Add(key))
        {
            _open.Push(key);
        }
    }

    private bool Tick(State state)
    {
        for (int v = 0; v < voters; v++)
        {
            state.Left[v] = (byte)Math.Max(0, state.Left[v] - 1);
            for (int c = 0; c < Candidates; c++)
            {
                state.Answered[c, v] = (byte)Math.Max(0, state.Answered[c, v] - 1);
            }
        }

        for (int c = 0; c < Candidates; c++)
        {
            if (state.Phase[c] == Phase.Acting && !IsLeased(state, c))
            {
                // An epoch whose lease has lapsed is not taken up again.
                End(state, c);
            }
        }

        return true;
    }

    private bool Ask(State state, int candidate, int voter)
    {
        if (state.Phase[candidate] != Phase.Bidding || state.Granted[candidate, voter])
        {
            return false;
        }

        bool isOwn = voter == candidate;
        byte epoch = state.Tenure[candidate];
        if (isOwn && state.GrantedBy(candidate) < QuorumSize - 1)
        {
            return false;
        }

        if (!isOwn || rules.HasFlag(LeaseRules.OwnBitObeys))
        {
            bool isBusy = !isOwn && voter < Candidates && state.Phase[voter] != Phase.None && rules.HasFlag(LeaseRules.HolderGivesNoBit);
            bool isLeased = state.Left[voter] > 0 && state.Holder[voter] != candidate + 1;
            bool isPromised = epoch <= state.Promised[voter] && rules.HasFlag(LeaseRules.AbovePromises);
            if (isBusy || isLeased || isPromised)
            {
                return false;
            }

            state.Promised[voter] = Math.Max(epoch, state.Promised[voter]);
            if (rules.HasFlag(LeaseRules.BitIsLease))
            {
                state.SetLease(voter, candidate, Lease);
            }
        }

        state.Granted[candidate, voter] = true;
        state.Answered[candidate, voter] = Lease;
        if (state.GrantedBy(candidate) >= QuorumSize)
        {
            state.Phase[candidate] = Phase.Holding;
            ActIfLeased(state, candidate);
        }

        return true;
    }

    // A quorum of bits may have come together of which the first are over.
    private void ActIfLeased(State state, int candidate)
    {
        if (state.Phase[candidate] == Phase.Holding && IsLeased(state, candidate))
        {
            state.Phase[candidate] = Phase.Acting;
            state.IsBroken |= state.Tenure[candidate] <= state.Acted;
            state.Acted = Math.Max(state.Tenure[candidate], state.Acted);
        }
    }

    private bool Renew(State state, int candidate, int voter)
    {
        if (state.Phase[candidate] < Phase.Holding)
        {
            return false;
        }

        bool isLeased = state.Left[voter] > 0 && state.Holder[voter] != candidate + 1 && state.Holder[voter] != Quiet;
        bool isRefused = isLeased || state.Promised[voter] > state.Tenure[candidate];
        if (!isRefused)
        {
            state.SetLease(voter, candidate, Lease);
        }
        else if (rules.HasFlag(voter == candidate ? LeaseRules.OwnRenewalObeys : LeaseRules.RefusalsDoNotCount))
        {
            return false;
        }

        state.Granted[candidate, voter] = true;
        state.Answered[candidate, voter] = Lease;
        ActIfLeased(state, candidate);
        return true;
    }

    // A voter hears that a node which acts no more has given up.
    private bool Withdrawn(State state, int candidate, int voter)
    {
        if (isLate || state.Phase[candidate] != Phase.None || state.Holder[voter] != candidate + 1 || state.Left[voter] == 0)
        {
            return false;
        }

        state.Left[voter] = 0;
        return true;
    }

    private bool Restart(State state, int voter)
    {
        if (state.Left[voter] == 0)
        {
            return false;
        }

        state.Left[voter] = 0;
        if (rules.HasFlag(LeaseRules.QuietAfterRestart))
        {
            state.Holder[voter] = Quiet;
            state.Left[voter] = Lease;
        }

        return true;
    }

    private bool End(State state, int candidate)
    {
        state.Phase[candidate] = Phase.None;
        for (int v = 0; v < voters; v++)
        {
            state.Granted[candidate, v] = false;
            state.Answered[candidate, v] = 0;
        }

        return true;
    }

    private bool IsLeased(State state, int candidate)
    {
        int count = 0;
        for (int v = 0; v < voters; v++)
        {
            count += state.Answered[candidate, v] > 0 ? 1 : 0;
        }

        return count >= QuorumSize;
    }

    private string? FaultOf(State state) =>
        state.IsBroken ? $"an epoch was used again, or a smaller one after it: {state}"
        : state.Phase[0] == Phase.Acting && state.Phase[1] == Phase.Acting
            ? $"both act, in epochs {state.Tenure[0]} and {state.Tenure[1]}: {state}"
        : null;

    private enum Phase : byte
    {
        None,
        Bidding,
        Holding,
        Acting,
    }

    private sealed class State(int voters)
    {
        public byte[] Promised { get; private init; } = new byte[voters];

        public byte[] Holder { get; private init; } = new byte[voters];

        public byte[] Left { get; private init; } = new byte[voters];

        public Phase[] Phase { get; private init; } = new Phase[Candidates];

        public byte[] Tenure { get; private init; } = new byte[Candidates];

        public bool[,] Granted { get; private init; } = new bool[Candidates, voters];

        public byte[,] Answered { get; private init; } = new byte[Candidates, voters];

        public byte Acted { get; set; }

        public bool IsBroken { get; set; }

        public State Fork() => Unpack(voters, Pack());

        public int GrantedBy(int candidate)
        {
            int count = 0;
            for (int v = 0; v < voters; v++)
            {
                count += Granted[candidate, v] ? 1 : 0;
            }

            return count;
        }

        public void SetLease(int voter, int candidate, int left)
        {
            Holder[voter] = (byte)(candidate + 1);
            Left[voter] = (byte)left;
        }

        /// <summary>Voters that are no candidates in the order of what they know.</summary>
        public void Order()
        {
            Span<uint> plain = stackalloc uint[voters - Candidates];
            for (int i = 0; i < plain.Length; i++)
            {
                plain[i] = PackVoter(Candidates + i);
            }

            plain.Sort();
            for (int i = 0; i < plain.Length; i++)
            {
                UnpackVoter(Candidates + i, plain[i]);
            }
        }

        public override string ToString() => string.Join("; ", Enumerable.Range(0, voters).Select(v =>
            $"voter {v} promised {Promised[v]}, leased to {Holder[v]} for {Left[v]}, answered {Answered[0, v]} {Answered[1, v]}"));

        public UInt128 Pack()
        {
            UInt128 key = Acted | (IsBroken ? 4u : 0);
            for (int c = 0; c < Candidates; c++)
            {
                key = (key << 4) | ((uint)Phase[c] << 2) | Tenure[c];
            }

            for (int v = 0; v < voters; v++)
            {
                key = (key << 12) | PackVoter(v);
            }

            return key;
        }

        public static State Unpack(int voters, UInt128 key)
        {
            var state = new State(voters);
            for (int v = voters - 1; v >= 0; v--)
            {
                state.UnpackVoter(v, (uint)(key & 0xFFF));
                key >>= 12;
            }

            for (int c = Candidates - 1; c >= 0; c--)
            {
                state.Tenure[c] = (byte)(key & 3);
                state.Phase[c] = (Phase)(byte)((key >> 2) & 3);
                key >>= 4;
            }

            state.Acted = (byte)(key & 3);
            state.IsBroken = (key & 4) != 0;
            return state;
        }

        private uint PackVoter(int v)
        {
            // Whose lease is over is nobody's.
            uint voter = Promised[v] | ((Left[v] == 0 ? 0u : Holder[v]) << 2) | ((uint)Left[v] << 4);
            for (int c = 0; c < Candidates; c++)
            {
                voter |= ((Granted[c, v] ? 1u : 0) | ((uint)Answered[c, v] << 1)) << (6 + (3 * c));
            }

            return voter;
        }

        private void UnpackVoter(int v, uint voter)
        {
            Promised[v] = (byte)(voter & 3);
            Holder[v] = (byte)((voter >> 2) & 3);
            Left[v] = (byte)((voter >> 4) & 3);
            for (int c = 0; c < Candidates; c++)
            {
                uint view = voter >> (6 + (3 * c));
                Granted[c, v] = (view & 1) != 0;
                Answered[c, v] = (byte)((view >> 1) & 3);
            }
        }
    }
}
