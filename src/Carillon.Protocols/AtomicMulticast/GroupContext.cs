using Carillon.Protocols.Cluster;
using Carillon.Protocols.Primacy;

namespace Carillon.Protocols.AtomicMulticast;

/// <summary>What the roles of one member share.</summary>
internal sealed class GroupContext
{
    // What this member sent to itself, until what it rests on is durable.
    private readonly Queue<(ulong After, IGroupMessage Message)> _toSelf = new();

    public required GroupName Group { get; init; }

    public required GroupSettings Settings { get; init; }

    public required GroupOptions Options { get; init; }

    public required IMessageStore Store { get; init; }

    public required IGroupHost Host { get; init; }

    public required RandomSource Random { get; init; }

    public required NodeId Self { get; init; }

    public required GroupRoles Roles { get; set; }

    public required NumberLog Numbers { get; init; }

    public required SessionTable Sessions { get; set; }

    public GroupFigures Figures { get; } = new();

    public int Bit => Roles.BitOf(Self);

    public bool IsData => Roles.Data.Contains(Bit);

    public bool IsCommit => Roles.Commit.Contains(Bit);

    public bool IsCheckpoint => Roles.Checkpoint.Contains(Bit);

    /// <summary>True unless this is a server that only orders: it delivers numbers without their payloads.</summary>
    public required bool KeepsPayloads { get; init; }

    /// <summary>True where an application keeps state that checkpoints carry; otherwise they carry the sessions only.</summary>
    public required bool HasApplication { get; init; }

    /// <summary>The group of accepted submissions: payloads are not sent, and no session is retired.</summary>
    public bool IsCatalog => Group == GroupName.Catalog;

    /// <summary>
    /// How far above what a sequencer has applied it gives numbers. Not further than a lifetime: what was settled in front of a number
    /// still is when that number is applied. And a message that nobody may number any more stands nowhere beyond as many numbers from
    /// then on.
    /// </summary>
    public ulong MostAhead => Math.Min(2 * (ulong)Options.AssignWindow, Math.Min(Settings.Lifetime, SessionTable.MaxSessions));

    /// <summary>Who sequences, as far as was heard.</summary>
    public NodeId Sequencer { get; private set; }

    /// <summary>In which epoch.</summary>
    public Epoch SequencerEpoch { get; private set; }

    /// <summary>How often a sequencer's word was heard.</summary>
    public ulong SequencerWords { get; private set; }

    /// <summary>The newest checkpoint that is advertised.</summary>
    public CheckpointMark Advertised { get; set; }

    /// <summary>A number, beside the usual ones, at which the sequencer wants a checkpoint; 0: none.</summary>
    public ulong CheckpointDue { get; set; }

    /// <summary>The number at which deliveries stand still, since the store can't read it any more and it has not come from another
    /// server; 0: none.</summary>
    public ulong DamagedAt { get; set; }

    /// <summary>Someone acts as the sequencer of an epoch.</summary>
    /// <returns>False: a newer one is known.</returns>
    public bool HearSequencer(NodeId node, Epoch epoch)
    {
        if (epoch < SequencerEpoch)
        {
            return false;
        }

        Sequencer = node;
        SequencerEpoch = epoch;
        SequencerWords++;
        return true;
    }

    public void Send<T>(NodeId peer, in T message, ulong after = 0)
        where T : IGroupMessage
    {
        if (peer == Self)
        {
            _toSelf.Enqueue((after, message));
            return;
        }

        Figures.Datagrams++;
        Host.Send(peer, GroupCodec.Encode(Group, message), after);
    }

    public void Multicast<T>(GroupChannel channel, in T message)
        where T : IGroupMessage
    {
        Figures.Datagrams++;
        Figures.Multicasts++;
        Host.Multicast(channel, GroupCodec.Encode(Group, message));
    }

    /// <summary>The next message to this member itself that may be taken.</summary>
    public bool TryTakeOwn(out IGroupMessage message)
    {
        if (_toSelf.TryPeek(out (ulong After, IGroupMessage Message) next) && next.After <= Host.Durable)
        {
            message = next.Message;
            _toSelf.Dequeue();
            return true;
        }

        message = null!;
        return false;
    }

    /// <summary>
    /// How a message stands whose id has a number: it is the one there, or another content is (<see cref="SendVerdict.Conflict"/>), as far
    /// as what stands there is still kept. Null: that is being read; ask again.
    /// </summary>
    public SendVerdict? VerdictAt(ulong number, Digest hash)
    {
        if (number == 0)
        {
            return SendVerdict.Numbered;
        }

        return Store.Find(new SequenceNumber(number), out Assignment there, out _) switch
        {
            StoreAnswer.Found => there.Hash == hash ? SendVerdict.Numbered : SendVerdict.Conflict,
            StoreAnswer.Reading => null,
            _ => SendVerdict.Numbered,
        };
    }

    /// <summary>True if this very content is held under its id.</summary>
    public bool HoldsExactly(in Assignment assignment) =>
        Store.Holds(assignment.Id, out Digest hash) && hash == assignment.Hash;

    /// <summary>
    /// A connected server of a set, other than this one: the <paramref name="turn"/>-th, counted from a place of this member's own, so that
    /// members spread over the servers (SAM-46). None: there is none.
    /// </summary>
    public NodeId Pick(VoterSet among, int turn)
    {
        int count = 0;
        Span<int> bits = stackalloc int[ClusterConfiguration.MaxServers];
        for (int bit = 0; bit < Roles.Servers.Length; bit++)
        {
            if (among.Contains(bit) && bit != Bit && Host.IsConnected(Roles.Servers[bit]))
            {
                bits[count++] = bit;
            }
        }

        return count == 0 ? default : Roles.Servers[bits[(int)(((uint)turn + Place) % (uint)count)]];
    }

    /// <summary>A wait before something missing is asked for: not less than a quarter of the longest, since it may only be
    /// overtaken.</summary>
    public TimeSpan DrawQueryDelay() => (Options.QueryDelay / 4) + Random.Below(Options.QueryDelay * 0.75);

    /// <summary>Drawn once.</summary>
    public required uint Place { get; init; }
}
