using System.Collections.Immutable;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Carillon.Node.Feeds;
using Carillon.Node.Groups;
using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Primacy;
using Carillon.Protocols.Submissions;
using Carillon.Storage.Catalogs;

namespace Carillon.Node;

/// <content>Groups: which there are, their messages, and who sequences each.</content>
public sealed partial class ServerNode
{
    /// <summary>Fewer others than this are sent a message each: that costs no more, and is not lost.</summary>
    private const int WorthMulticast = 3;

    // Version, type and length of the group's name, in front of each message of a group.
    private const int GroupHeadBytes = 3;

    private static readonly TimeSpan FreshnessTime = TimeSpan.FromSeconds(1);

    private readonly HashSet<ServiceName> _sequencing = [];
    private readonly GroupSet _groups;
    private int _groupsVersion;

    /// <summary>The groups that are here, and what other threads may know of them. Any thread may ask.</summary>
    public ImmutableSortedDictionary<GroupName, GroupFeed> Groups => _groups.Feeds;

    /// <summary>Why this server votes in no group, or not in some; empty where nothing is wrong.</summary>
    public string GroupsTrouble => _groups.Trouble.Length > 0 ? _groups.Trouble : string.Join(
        "; ",
        _groups.All.Where(g => g.Trouble.Length > 0 || g.IsForgotten).Select(
            g => $"group '{g.Name}': {(g.IsForgotten ? "its promises were lost with a disk" : g.Trouble)}"));

    /// <summary>Groups whose messages nobody numbers, as far as this server knows; empty where there are none.</summary>
    public string GroupsSilence => string.Join(
        "; ", _groups.All.Where(g => g.Silence.Length > 0).Select(g => $"group '{g.Name}': {g.Silence}"));

    /// <summary>How a group is here, in a line.</summary>
    public string DescribeGroup(GroupName name) => _groups.TryGet(name, out GroupHost? host) ? host.ToString() : "it is not here";

    internal bool IsStopping => _stopping;

    internal bool IsRebuilding => _identity.IsRebuilding;

    /// <summary>Sends a message of a client's to a group.</summary>
    /// <param name="group">The group.</param>
    /// <param name="id">The message's identity, given by its sender.</param>
    /// <param name="settled">All counters of its session up to this are known to the sender as committed or given up.</param>
    /// <param name="timestamp">The greatest number that its sender knew when it sent it first; null: now.</param>
    /// <param name="payload">Its bytes, the node's own from now on.</param>
    /// <param name="call">Told how it ends, once.</param>
    /// <param name="now">The time.</param>
    public void Publish(
        GroupName group, MessageId id, ulong settled, ulong? timestamp, ReadOnlyMemory<byte> payload, IPublishCall call, Moment now)
    {
        _now = now;
        if (_stopping)
        {
            call.Ended(PublishEnd.Refused, default, "this server is stopping; use another");
        }
        else if (_groups.TryGet(group, out GroupHost? host))
        {
            host.Publish(id, settled, timestamp, payload, call, now.Now);
        }
        else
        {
            call.Ended(PublishEnd.Refused, default, $"group '{group}' is not known here");
        }
    }

    /// <summary>Somebody does not wait any longer for a message.</summary>
    public void AbandonPublish(GroupName group, MessageId id, IPublishCall call, Moment now)
    {
        _now = now;
        if (_groups.TryGet(group, out GroupHost? host))
        {
            host.Abandon(id, call);
        }
    }

    /// <summary>Everything up to a position of the groups' log is durable.</summary>
    internal void GroupsDurable(ulong position) => _postbox.ReleaseGroups(position);

    internal void MulticastGroup(GroupChannel channel, ReadOnlyMemory<byte> message)
    {
        if (Members.Transport.Multicast && message.Length <= NodeDatagram.MaxPayload && Configuration.Servers.Length > WorthMulticast)
        {
            _world.SendDatagramToAll(NodeDatagram.Of(Protocol.Groups, message.Span), multicast: true);
            return;
        }

        foreach (Protocols.Cluster.ServerRecord server in Configuration.Servers)
        {
            bool isMeant = channel == GroupChannel.Global || Configuration.BitOf(server.Name) >= 0;
            if (isMeant && server.Name != Self.Name && Members.IsConnected(server.Name))
            {
                Post(server.Name, TrafficKind.Groups, Protocol.Groups, message, 0, mayBeLost: true);
            }
        }
    }

    /// <summary>The stores are open: the groups' log is read, and what the catalog says of groups.</summary>
    private void OpenGroups()
    {
        _groups.OpenLog();
        LearnAllGroups();
        _groups.FindLeftovers();
    }

    /// <summary>Learns of all groups that there are, and of those here whether they still are: a list has nothing of what was
    /// removed.</summary>
    private void LearnAllGroups()
    {
        foreach (GroupName name in _groups.Names)
        {
            LearnGroup(GroupRecord.TargetOf(name));
        }

        var query = new ListQuery(ObjectName.SystemBucket, GroupRecord.Prefix);
        while (true)
        {
            ListPage page = Reader.List(query);
            foreach (ListedVersion listed in page.Objects)
            {
                LearnGroup(listed.Target);
            }

            if (page.Next.Length == 0)
            {
                break;
            }

            query = query with { After = page.Next };
        }
    }

    /// <summary>A submission is applied: records of groups, if it has such.</summary>
    private void LearnGroups(Submission submission)
    {
        foreach (Operation operation in submission.Operations)
        {
            if (operation.Target.Bucket == ObjectName.SystemBucket)
            {
                LearnGroup(operation.Target);
            }
        }
    }

    // The newest that is applied counts; where nothing is, the log's word stands: what it knows was applied once, and comes again.
    private void LearnGroup(ObjectName target)
    {
        if (GroupRecord.IsTarget(target, out GroupName name) && Reader.Current(target) is { } entry)
        {
            if (entry.Manifest is null)
            {
                _groups.Learn(name, null);
            }
            else if (GroupRecord.TryRead(entry.Manifest.Inline.Span, out GroupRecord? record))
            {
                _groups.Learn(name, record);
            }
        }
    }

    private bool ReceiveGroup(ServerIdentity from, ReadOnlySpan<byte> payload)
    {
        if (!Members.Accepts(from))
        {
            // Another disk under that name, or a restored backup, has not made that voter's promises.
            return true;
        }

        if (payload.Length < GroupHeadBytes + GroupRecord.IdDigits || payload[GroupHeadBytes - 1] != GroupRecord.IdDigits)
        {
            return false;
        }

        ReadOnlySpan<byte> digits = payload.Slice(GroupHeadBytes, GroupRecord.IdDigits);
        if (!ulong.TryParse(digits, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ulong id))
        {
            return false;
        }

        if (!_groups.TryGet(id, out GroupHost? host))
        {
            // Its record has not come here yet, or it is gone.
            return true;
        }

        host.IsDirty = true;
        // Payloads are slices of it; nothing else of a message is kept.
        bool hasPayloads = payload[1] == (byte)GroupMessageType.Data;
        Memory<byte> own = hasPayloads ? MessageMemory.Take(payload.Length) : GC.AllocateUninitializedArray<byte>(payload.Length);
        payload.CopyTo(own.Span);
        return host.Member.Receive(from.Name, own, _now.Now);
    }

    private void SettleGroups()
    {
        do
        {
            if (_feed.IsDirty)
            {
                _feed.Flush(_now.Now);
                ApplyConfigurations();
                EndForgotten();
            }

            _groups.Flush(_now.Now);
            TellService(_feed);
            VoteIfRebuilt();
            foreach (GroupHost host in _groups.All)
            {
                TellService(host);
            }

            if (_groupsVersion != _groups.Version)
            {
                _groupsVersion = _groups.Version;
                SetTable();
            }

            DrainPrimacy();
        }
        while (_groups.IsDirty || _feed.IsDirty);
    }

    /// <summary>The table of services as selection is to see it: with the groups' sequencers, which no table names.</summary>
    private void SetTable() => Selection.SetTable(
        [.. _serviceTable.Entries.Where(e => !e.Definition.Name.IsOwn), EntryOf(_feed), .. _groups.All.Select(EntryOf)], _now);

    private ServiceEntry EntryOf(ISequencedGroup host)
    {
        // Sequencers of many groups spread over the servers: each group has an order of its own (highest random weight).
        ImmutableArray<NodeId> order =
        [
            .. Configuration.Voters.OrderByDescending(
                v => Convert.ToHexString(SHA256.HashData(Encoding.UTF8.GetBytes($"{host.Service}\n{v}"))), StringComparer.Ordinal),
        ];
        return new ServiceEntry
        {
            Definition = new ServiceDefinition
            {
                Name = host.Service, Providers = order, Command = new ServiceCommand { Grace = TimeSpan.Zero },
            },
            Eligible = order,
        };
    }

    // What a group's core told is news of its sequencer's service.
    private void TellService(ISequencedGroup host)
    {
        while (host.TryTakeEvent(out GroupEvent what))
        {
            switch (what)
            {
                case GroupEvent.Recovered recovered:
                    Tell(NodeEventKind.PrimaryChanged, Self.Name,
                        $"sequences {host.Title} in epoch {recovered.Epoch}, behind {recovered.UpTo}");
                    Selection.Note(new ServiceNews.Started(host.Service, recovered.Epoch), _now);
                    break;
                case GroupEvent.CannotLead cannot:
                    Tell(NodeEventKind.PrimaryChanged, Self.Name,
                        $"can't sequence {host.Title} in epoch {cannot.Epoch}: {cannot.Why}");
                    if (cannot.IsLost && host is GroupHost forgotten)
                    {
                        Sometimes.Reached("memory-only-group-lost");
                        forgotten.Lose(cannot.Why);
                    }

                    StopSequencing(host, cannot.Why, isFailure: true);
                    break;
                case GroupEvent.Deposed deposed:
                    Sometimes.Reached("group-sequencer-deposed");
                    StopSequencing(host, $"epoch {deposed.By} was promised", isFailure: false);
                    break;
                case GroupEvent.Skipped skipped:
                    Sometimes.Reached("group-skipped-to-checkpoint");
                    Tell(NodeEventKind.Rebuilt, Self.Name, $"{host.Title}: goes on behind the checkpoint at {skipped.To}");
                    host.HasMore();
                    break;
                case GroupEvent.StateDiffers when host == _feed:
                    // What it would serve is not what the others have.
                    _notVotingBecause = $"its catalog differs from the others' checkpoint ({what}): give it an empty data directory under a new disk id (docs/operations/lost-server.md)";
                    Members.SetVotes(votes: false, _now);
                    Tell(NodeEventKind.StorageTrouble, Self.Name, _notVotingBecause);
                    break;
                case GroupEvent.CheckpointsDiffer or GroupEvent.StateDiffers or GroupEvent.Diverged:
                    Tell(NodeEventKind.StorageTrouble, Self.Name, $"{host.Title}: {what}");
                    break;
            }
        }

        if (_sequencing.Contains(host.Service) != host.CanLead)
        {
            Provide(host);
        }
        else if (host.CanLead && host.IsNews(_now.Now, FreshnessTime))
        {
            Selection.Note(new ServiceNews.ProviderUp(host.Service, FreshnessOf(host)), _now);
        }
    }

    private void StopSequencing(ISequencedGroup host, string why, bool isFailure)
    {
        Selection.Note(new ServiceNews.ProviderDown(host.Service, why, isFailure), _now);
        _sequencing.Remove(host.Service);
    }

    private void Provide(ISequencedGroup host)
    {
        if (host.CanLead)
        {
            _sequencing.Add(host.Service);
            Selection.Note(new ServiceNews.ProviderUp(host.Service, FreshnessOf(host)), _now);
        }
        else
        {
            host.Member.StepDown(_now.Now);
            StopSequencing(host, host.Trouble, isFailure: false);
        }
    }

    private static Freshness FreshnessOf(ISequencedGroup host) => new(default, host.Member.Committed.Value);

    /// <summary>What selection decided about a group's sequencer is carried out here, at once.</summary>
    private void CarryOutSequencing(ServiceOrder order)
    {
        ISequencedGroup? host = order.Service == _feed.Service
            ? _feed : _groups.All.FirstOrDefault(g => g.Service == order.Service);
        switch (order)
        {
            case ServiceOrder.Provide:
                // Told with the next settling, if it can.
                _sequencing.Remove(order.Service);
                break;
            case ServiceOrder.BecomePrimary become when host is not null:
                host.Member.BecomeSequencer(become.Epoch, become.LeaseEnd, _now.Now);
                host.IsDirty = true;
                break;
            case ServiceOrder.BecomePrimary:
                Selection.Note(new ServiceNews.ProviderDown(order.Service, "the group is not here", IsFailure: false), _now);
                break;
            case ServiceOrder.ExtendLease extend:
                host?.Member.ExtendLease(extend.Epoch, extend.LeaseEnd);
                break;
            case ServiceOrder.Demote demote:
                host?.Member.StepDown(_now.Now);
                Selection.Note(new ServiceNews.Drained(order.Service, demote.Epoch), _now);
                break;
        }

        if (host is not null)
        {
            host.IsDirty = true;
        }
    }
}
