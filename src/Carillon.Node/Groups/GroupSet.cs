using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using Carillon.Node.Works;
using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Storage;
using Carillon.Storage.Groups;

namespace Carillon.Node.Groups;

/// <summary>All groups of one server: which there are, their common log, their archives.</summary>
internal sealed partial class GroupSet : IDisposable
{
    /// <summary>Where the groups' log is.</summary>
    public const string LogFolder = "groups-log";

    /// <summary>Where the archives of all groups are.</summary>
    public const string ArchiveFolder = "groups";

    private readonly ServerNode _node;
    private readonly IStorageDevice _device;
    private readonly Action<StorageWork> _run;
    private readonly Func<Moment> _clock;
    private readonly Func<RandomSource> _fork;
    private readonly SortedDictionary<GroupName, GroupHost> _byName = [];
    private readonly Dictionary<ulong, GroupHost> _byId = [];

    private ImmutableSortedDictionary<GroupName, GroupFeed> _feeds = ImmutableSortedDictionary<GroupName, GroupFeed>.Empty;

    // What the records say that there shall be, where that is not so yet.
    private readonly SortedDictionary<GroupName, GroupRecord> _wanted = [];

    // Names under which a group is being opened, and what the newest record says by now that there shall be; null: none.
    private readonly SortedDictionary<GroupName, GroupRecord?> _opening = [];

    /// <summary>Nothing is done before <see cref="OpenLog"/>.</summary>
    public GroupSet(ServerNode node, IStorageDevice device, GroupsOptions options, Action<StorageWork> run, Func<Moment> clock,
        Func<RandomSource> fork)
    {
        (_node, _device, Options, _run, _clock, _fork) = (node, device, options, run, clock, fork);
    }

    public GroupsOptions Options { get; }

    /// <summary>The time of the input that is being handled.</summary>
    public Moment Clock => _clock();

    /// <summary>The groups that are here, in order of their names.</summary>
    public IReadOnlyCollection<GroupHost> All => _byName.Values;

    /// <summary>All names under which there is one, is to be one, or is one on its way.</summary>
    public IEnumerable<GroupName> Names => [.. _byName.Keys, .. _wanted.Keys, .. _opening.Keys];

    /// <summary>As other threads may read it.</summary>
    public ImmutableSortedDictionary<GroupName, GroupFeed> Feeds => Volatile.Read(ref _feeds);

    /// <summary>Grows when groups come or go.</summary>
    public int Version { get; private set; }

    /// <summary>Why this server votes in no group, or empty.</summary>
    public string Trouble { get; private set; } = "";

    /// <summary>True once all groups that there are according to the catalog are open here, durably, with the word whether their promises
    /// were lost with a disk; or never are, since the log is damaged, which every start finds again.</summary>
    public bool AreOpen => _isDamaged || (_wanted.Count == 0 && _opening.Count == 0 && _openedAt <= Durable);

    /// <summary>When <see cref="Advance"/> or <see cref="Pump"/> is due.</summary>
    public Instant NextDeadline
    {
        get
        {
            Instant due = _pump is null ? _retryAt : Instant.Min(_pump.NextDeadline, Instant.Min(_quietAt, _retryAt));
            foreach (GroupHost host in _byName.Values)
            {
                due = Instant.Min(due, host.NextDeadline);
            }

            return due;
        }
    }

    public bool TryGet(GroupName name, [NotNullWhen(true)] out GroupHost? host) => _byName.TryGetValue(name, out host);

    public bool TryGet(ulong id, [NotNullWhen(true)] out GroupHost? host) => _byId.TryGetValue(id, out host);

    /// <summary>True if something was handed to a core and not flushed.</summary>
    public bool IsDirty
    {
        get
        {
            foreach (GroupHost host in _byName.Values)
            {
                if (host.IsDirty)
                {
                    return true;
                }
            }

            return false;
        }
    }

    /// <summary>Reads the log, where there is one. Blocking: called before the loop runs.</summary>
    public void OpenLog()
    {
        if (_device.List(LogFolder).Count > 0)
        {
            ReadLog();
        }
    }

    /// <summary>What a removal left, or an opening that came no further, is removed. Blocking, like <see cref="OpenLog"/>.</summary>
    public void FindLeftovers()
    {
        foreach (GroupName wire in MessageArchive.GroupsIn(_device, ArchiveFolder))
        {
            if (!GroupRecord.TryParseId(wire, out ulong id) || !_byId.ContainsKey(id))
            {
                _removals.Enqueue(wire);
            }
        }

        Publish();
    }

    /// <summary>The newest record of a group, as it is applied: null where it was removed.</summary>
    public void Learn(GroupName name, GroupRecord? record)
    {
        if (_opening.ContainsKey(name))
        {
            // Looked at once that one is open.
            _opening[name] = record;
            return;
        }

        if (_byName.TryGetValue(name, out GroupHost? host) && host.Record.Id != record?.Id)
        {
            Remove(host);
        }

        _wanted.Remove(name);
        if (record is not null && name != GroupName.Catalog && !_byName.ContainsKey(name))
        {
            _wanted[name] = record;
        }
    }

    /// <summary>Deadlines have come.</summary>
    public void Advance(Instant now)
    {
        foreach (GroupHost host in _byName.Values)
        {
            if (now >= host.NextDeadline)
            {
                host.Advance(now);
            }
        }
    }

    /// <summary>What was handed to the cores goes on.</summary>
    public void Flush(Instant now)
    {
        foreach (GroupHost host in _byName.Values)
        {
            if (host.IsDirty)
            {
                host.Flush(now);
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (GroupHost host in _byName.Values)
        {
            host.End("this server stops");
            host.Close();
        }

        _log?.Dispose();
    }

    private void OpenWanted()
    {
        if (_wanted.Count == 0 || _logIsOpening || _retryAt != Instant.Never || _node.IsStopping || Trouble.Length > 0)
        {
            return;
        }

        if (_log is null)
        {
            _logIsOpening = true;
            _run(new GroupLogOpenWork(_device, _node.Self.Disk, Options.Log, LogOpened));
            return;
        }

        foreach ((GroupName name, GroupRecord record) in _wanted.ToArray())
        {
            if (_opening.TryAdd(name, record))
            {
                _wanted.Remove(name);
                BeginOpen(name, record);
            }
        }
    }

    private void BeginOpen(GroupName name, GroupRecord record)
    {
        if (record.Settings.Durability == GroupDurability.Memory)
        {
            Opened(name, record, null, null);
            return;
        }

        GroupName wire = GroupRecord.NameOf(record.Id);
        MessageArchiveOptions options = MessageArchiveOptions.For(record.Settings);
        _run(new ArchiveOpenWork(_device, _node.Self.Disk, wire, options, (archive, failure) => Opened(name, record, archive, failure)));
    }

    private void Opened(GroupName name, GroupRecord record, MessageArchive? archive, StorageException? failure)
    {
        _opening.Remove(name, out GroupRecord? newest);
        if (newest?.Id != record.Id)
        {
            // It was removed meanwhile, or another one of that name made.
            archive?.Dispose();
            _removals.Enqueue(GroupRecord.NameOf(record.Id));
            Learn(name, newest);
            return;
        }

        if (failure is not null)
        {
            _node.Tell(NodeEventKind.StorageTrouble, _node.Self.Name, $"group '{name}' can't be opened here: {failure.Message}");
            _wanted.TryAdd(name, record);
            _retryAt = _clock().Now + RetryTime;
            return;
        }

        GroupHost host = Add(new OpenedGroup(name, record, _node.IsRebuilding, 0), archive);
        AppendOpened(host);
        host.Start(_clock().Now);
        Publish();
    }

    private GroupHost Add(OpenedGroup group, MessageArchive? archive)
    {
        var host = new GroupHost(_node, this, group.Name, group.Record, archive, _fork())
        {
            IsForgotten = group.IsForgotten,
            HasListeners = _node.Configuration.Servers.Length > _node.Configuration.Voters.Length,
        };
        _byName.Add(group.Name, host);
        _byId.Add(group.Record.Id, host);
        return host;
    }

    private void Remove(GroupHost host)
    {
        _byName.Remove(host.Name);
        _byId.Remove(host.Record.Id);
        host.End("the group was removed");
        CloseUnlessBusy(host);
        if (_log is not null)
        {
            ulong position = Append(host, [(byte)GroupLogType.Removed]);
            if (host.Disk is not null)
            {
                _removed.Enqueue((position, host));
            }
        }

        Publish();
    }

    private void Publish()
    {
        Version++;
        Volatile.Write(ref _feeds, _byName.ToImmutableSortedDictionary(pair => pair.Key, pair => pair.Value.Feed));
    }
}
