using System.Collections.Immutable;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Cluster;
using Carillon.Protocols.Primacy;

namespace Carillon.Protocols.Tests.AtomicMulticast;

/// <summary>Members of one group over a network that loses, doubles and reorders, with logs that lose what was not flushed, and elections
/// that leave the old sequencer alive. Every delivery is checked against all others.</summary>
internal sealed class GroupLab
{
    private readonly PriorityQueue<Action, (long At, long Order)> _events = new();
    private readonly Dictionary<ulong, (MessageId Id, Digest Hash, bool IsNoOp, NodeId By)> _delivered = [];
    private readonly Dictionary<MessageId, ulong> _numberOf = [];
    private long _order;

    public GroupLab(ulong seed, int servers, int clients = 0, GroupRoles? roles = null)
    {
        Random = new RandomSource(seed);
        ImmutableArray<NodeId> names = [.. Enumerable.Range(1, servers).Select(i => NodeId.Parse($"s{i}"))];
        VoterSet all = default;
        for (int bit = 0; bit < servers; bit++)
        {
            all = all.With(bit);
        }

        Roles = roles ?? new GroupRoles { Configuration = 1, Servers = names, Data = all, Commit = all, Checkpoint = all };
        Clients = [.. Enumerable.Range(1, clients).Select(i => NodeId.Parse($"c{i}"))];
        foreach (NodeId name in names.Concat(Clients))
        {
            Members.Add(name, new LabMember(this, name));
        }
    }

    public RandomSource Random { get; }

    public GroupRoles Roles { get; set; }

    public GroupOptions Options { get; set; } = new();

    public GroupSettings Settings { get; set; } = new();

    public ImmutableArray<NodeId> Clients { get; }

    public SortedDictionary<NodeId, LabMember> Members { get; } = [];

    public HashSet<(NodeId From, NodeId To)> Cut { get; } = [];

    /// <summary>Members that never come back.</summary>
    public HashSet<NodeId> Dead { get; } = [];

    public List<string> Faults { get; } = [];

    public List<string>? Effects { get; set; }

    public bool HasListeners => Clients.Length > 0;

    public bool HasApplication { get; set; }

    public bool IsMemory => Settings.Durability == GroupDurability.Memory;

    public TimeSpan Delay { get; set; } = TimeSpan.FromMilliseconds(1);

    public TimeSpan FlushTime { get; set; } = TimeSpan.FromMilliseconds(2);

    public double Loss { get; set; }

    public double Doubling { get; set; }

    /// <summary>Every message takes the same time.</summary>
    public bool IsExact { get; set; }

    /// <summary>Elects somebody when a sequencer gives up.</summary>
    public bool Reelects { get; set; } = true;

    /// <summary>A message that is lost, whatever <see cref="Loss"/> is.</summary>
    public Func<NodeId, NodeId, GroupMessageType, bool>? Drop { get; set; }

    /// <summary>Sees every message that is sent.</summary>
    public Action<ReadOnlyMemory<byte>>? Watch { get; set; }

    /// <summary>Datagrams by type; a multicast counts once, as on a network that has it.</summary>
    public SortedDictionary<GroupMessageType, int> Counted { get; } = [];

    /// <summary>Messages that change the configuration.</summary>
    public HashSet<MessageId> Changes { get; } = [];

    public Dictionary<MessageId, byte[]> Published { get; } = [];

    public Dictionary<MessageId, ulong> Acknowledged { get; } = [];

    public Dictionary<MessageId, SendVerdict> Ended { get; } = [];

    /// <summary>True for a message that its sender may have settled: it may stand at a second number, where it does nothing.</summary>
    public Func<MessageId, bool>? IsSettled { get; set; }

    public long Now { get; private set; }

    public Instant LocalNow => new(Now);

    public ulong LastEpoch { get; private set; }

    public LabMember this[string name] => Members[NodeId.Parse(name)];

    public void At(TimeSpan delay, Action action) => _events.Enqueue(action, (Now + delay.Ticks, _order++));

    public void Run(TimeSpan span)
    {
        long end = Now + span.Ticks;
        while (_events.TryPeek(out Action? action, out (long At, long Order) due) && due.At <= end)
        {
            _events.Dequeue();
            Now = Math.Max(Now, due.At);
            action();
        }

        Now = end;
    }

    public bool RunUntil(Func<bool> condition, TimeSpan most)
    {
        long end = Now + most.Ticks;
        while (!condition() && Now < end)
        {
            Run(TimeSpan.FromMilliseconds(5));
        }

        return condition();
    }

    public void StartAll()
    {
        foreach (LabMember member in Members.Values.Where(m => !m.IsUp && !Dead.Contains(m.Name)))
        {
            member.Start();
        }
    }

    public void Elect(NodeId name) => Members[name].Elect(new Epoch(++LastEpoch));

    public void Elect(string name) => Elect(NodeId.Parse(name));

    public bool Reaches(NodeId from, NodeId to) => Members[to].IsUp && !Cut.Contains((from, to)) && !Cut.Contains((to, from));

    public void Isolate(NodeId name)
    {
        foreach (NodeId other in Members.Keys.Where(n => n != name))
        {
            Cut.Add((name, other));
            Cut.Add((other, name));
        }
    }

    public GroupMemberSettings SettingsOf(NodeId name) => new()
    {
        Group = GroupName.Parse("g"), Settings = Settings, Roles = Roles, Self = name, HasApplication = HasApplication,
        KeepsPayloads = Roles.Data.Contains(Roles.BitOf(name)) || Roles.BitOf(name) < 0 || HasApplication,
    };

    public void Carry(NodeId from, NodeId to, ReadOnlyMemory<byte> message)
    {
        Count(message);
        Transport(from, to, message);
    }

    public void CarryToAll(NodeId from, GroupChannel channel, ReadOnlyMemory<byte> message)
    {
        Count(message);
        VoterSet servers = channel switch
        {
            GroupChannel.Data => Roles.Data,
            GroupChannel.Commit => Roles.Commit,
            GroupChannel.Checkpoint => Roles.Checkpoint,
            _ => new VoterSet(ulong.MaxValue),
        };
        foreach (NodeId to in Members.Keys)
        {
            bool isOn = channel == GroupChannel.Global || servers.Contains(Roles.BitOf(to));
            if (to != from && isOn)
            {
                Transport(from, to, message);
            }
        }
    }

    public PublishAnswer Publish(NodeId at, MessageId id, ulong settled, ulong? timestamp = null, byte[]? payload = null)
    {
        byte[] bytes = payload ?? Published.GetValueOrDefault(id)
            ?? [(byte)id.Session.Low, (byte)id.Counter, .. new byte[Random.Below(40)]];
        Published.TryAdd(id, bytes);
        PublishAnswer answer = default;
        Members[at].Input(now =>
        {
            answer = Members[at].Core.Publish(id, settled, timestamp, bytes, now, out SequenceNumber number);
            if (answer == PublishAnswer.Numbered && !number.IsNone)
            {
                Acknowledge(id, number.Value);
            }
        });
        return answer;
    }

    public void Sent(LabMember member, MessageId id, SendVerdict verdict, SequenceNumber number)
    {
        Effects?.Add($"{member.Name} tells the sender of {id.Counter}: {verdict} {number}");
        Ended[id] = verdict;
        if (verdict == SendVerdict.Numbered && !number.IsNone)
        {
            Acknowledge(id, number.Value);
        }
    }

    /// <summary>F1, F3, F4: one message a number, one number a message, with what was published.</summary>
    public void Check(LabMember member, DeliveredMessage message)
    {
        Effects?.Add($"{member.Name} delivers {message.Number}: {(message.IsNoOp ? "nothing" : message.Id.Counter)}");
        bool hasPayload = member.Core is null || SettingsOf(member.Name).KeepsPayloads;
        var seen = (message.Id, hasPayload ? Digest.Of(message.Payload.Span) : default, message.IsNoOp, member.Name);
        if (_delivered.TryGetValue(message.Number.Value, out var other))
        {
            bool isSame = other.Id == seen.Id && other.IsNoOp == seen.IsNoOp
                && (other.Hash == seen.Item2 || seen.Item2 == default || other.Hash == default);
            if (!isSame)
            {
                Faults.Add($"{message.Number} is {other.Id} at {other.By} and {seen.Id} at {member.Name} (F1)");
            }
        }
        else
        {
            _delivered.Add(message.Number.Value, seen);
        }

        if (message.IsNoOp)
        {
            bool isOvertaken = Settings.Fifo && !_numberOf.ContainsKey(message.Id) && IsBehindLater(message);
            if (!message.Id.IsNone && !Roles.Servers.IsEmpty && IsSettled is { } isSettled && !isSettled(message.Id) && !isOvertaken)
            {
                Faults.Add($"{message.Id} stands at {message.Number} too (F3)");
            }

            return;
        }

        if (!_numberOf.TryAdd(message.Id, message.Number.Value) && _numberOf[message.Id] != message.Number.Value)
        {
            Faults.Add($"{message.Id} is at {_numberOf[message.Id]} and {message.Number} (F3)");
        }

        if (Settings.Fifo && (IsBehindLater(message) || Ended.GetValueOrDefault(message.Id) == SendVerdict.Overtaken))
        {
            Faults.Add($"{message.Id} stands at {message.Number}, behind a later one of its sender (FIFO)");
        }

        if (!Published.TryGetValue(message.Id, out byte[]? published) || (hasPayload && !message.Payload.Span.SequenceEqual(published)))
        {
            Faults.Add($"{message.Number} has bytes that nobody published (F4)");
        }
    }

    private bool IsBehindLater(DeliveredMessage message) => _numberOf.Any(
        n => n.Value < message.Number.Value && n.Key.Session == message.Id.Session && n.Key.Counter > message.Id.Counter);

    /// <summary>All that was acknowledged is at its number.</summary>
    public void CheckAcknowledged()
    {
        foreach ((MessageId id, ulong number) in Acknowledged)
        {
            if (!_delivered.TryGetValue(number, out var delivered) || delivered.Id != id || delivered.IsNoOp)
            {
                Faults.Add($"{id} was acknowledged at {number}, where {delivered.Id} is");
            }
        }
    }

    public void Noted(LabMember member, GroupEvent what)
    {
        if (what is GroupEvent.Diverged diverged)
        {
            Faults.Add($"{member.Name}: two messages were committed at {diverged.Number} (F1)");
        }

        if (what is GroupEvent.CheckpointsDiffer or GroupEvent.StateDiffers && Members.Values.All(m => !m.IsBroken))
        {
            Faults.Add($"{member.Name}: {what} (F8)");
        }

        if (what is GroupEvent.CannotLead or GroupEvent.Deposed && Reelects)
        {
            At(new TimeSpan(Random.Below(300 * TimeSpan.TicksPerMillisecond)), ElectSomebody);
        }
    }

    public void ElectSomebody()
    {
        NodeId[] able = [.. Members.Values.Where(m => m.IsUp && Roles.Commit.Contains(Roles.BitOf(m.Name))).Select(m => m.Name)];
        if (able.Length > 0)
        {
            Elect(able[Random.Below(able.Length)]);
        }
    }

    private void Acknowledge(MessageId id, ulong number)
    {
        if (!Acknowledged.TryAdd(id, number) && Acknowledged[id] != number)
        {
            Faults.Add($"{id} was acknowledged at {Acknowledged[id]} and {number} (F3)");
        }
    }

    private void Count(ReadOnlyMemory<byte> message)
    {
        var type = (GroupMessageType)message.Span[1];
        Counted[type] = Counted.GetValueOrDefault(type) + 1;
        Watch?.Invoke(message);
    }

    private void Transport(NodeId from, NodeId to, ReadOnlyMemory<byte> message)
    {
        var type = (GroupMessageType)message.Span[1];
        if (Drop?.Invoke(from, to, type) == true || Random.Chance(Loss))
        {
            return;
        }

        int copies = Random.Chance(Doubling) ? 2 : 1;
        for (int i = 0; i < copies; i++)
        {
            int life = Members[to].Life;
            TimeSpan delay = IsExact ? Delay
                : Random.Chance(0.05 * Math.Sign(Loss)) ? Delay * (1 + (30 * Random.Fraction()))
                : Delay * (0.5 + Random.Fraction());
            At(delay, () =>
            {
                if (Reaches(from, to))
                {
                    Members[to].Input(now =>
                    {
                        Effects?.Add($"{to} gets {type} of {from}");
                        if (!Members[to].Core.Receive(from, message, now))
                        {
                            Faults.Add($"{to} can't read {type} of {from}");
                        }
                    });
                }
            });
        }
    }
}
