using System.Collections.Immutable;
using Carillon.Node.Identity;
using Carillon.Node.Requests;
using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Cluster;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.VectorExchange;
using Carillon.Storage;

namespace Carillon.Node;

/// <summary>What became of a change of the configuration.</summary>
/// <param name="Version">The version that it made; 0 if it did not, or nobody knows.</param>
/// <param name="IsUnknown">True if it may still come to be.</param>
/// <param name="Fault">Why not, in plain words; empty for one that is made.</param>
/// <param name="MayRetry">True if the same change may be made a little later, or at another server.</param>
public readonly record struct ClusterChangeOutcome(ulong Version, bool IsUnknown, string Fault, bool MayRetry = true);

/// <content>
/// The cluster's configuration: its next version is an entry of the feed, and in force here once that is durable in the catalog ◆: where a
/// crash took the feed back, it would stand before the version that is in force, and who is in that one gets no numbers under the one
/// before. Before one is proposed, a quorum closes the present one (3-vector-exchange, "Configuration changes").
/// </content>
public sealed partial class ServerNode
{
    private static readonly TimeSpan LookForVersions = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan CloseAgain = TimeSpan.FromMilliseconds(200);
    private static readonly TimeSpan ClosingPatience = TimeSpan.FromSeconds(10);

    private const string OtherFirst = "another change was made before it; try again";

    /// <summary>A version that is closed so long without a next one gets one that changes nothing: who closed it may be gone.</summary>
    private static readonly TimeSpan RenewAfter = TimeSpan.FromSeconds(3);

    private readonly ConfigurationStore _configurations;
    private readonly Queue<(SequenceNumber Number, ConfigurationEntry Entry)> _delivered = new();
    private ulong _deliveredVersion;
    private ulong _changeNumber;
    private PendingChange? _change;
    private Instant _renewAt = Instant.Never;
    private Instant _lookAt;
    private bool _isJoining;

    private Instant ConfigurationDeadline =>
        Instant.Min(_lookAt, Instant.Min(_change?.AskAt ?? Instant.Never, _change is null ? _renewAt : Instant.Never));

    /// <summary>True while this server sets no bits, because a quorum is closing the version in force.</summary>
    public bool IsClosed => Exchange.IsClosed;

    /// <summary>Changes one server of the configuration. One change at a time: another one meanwhile is refused.</summary>
    public void ChangeCluster(ClusterChange change, Moment now, Action<ClusterChangeOutcome> answer)
    {
        _now = now;
        ClusterConfiguration? next = change.Apply(Configuration, out string fault);
        if (next is null)
        {
            answer(new ClusterChangeOutcome(0, IsUnknown: false, fault, MayRetry: false));
            return;
        }

        if (FaultOf(change) is { Length: > 0 } trouble)
        {
            answer(new ClusterChangeOutcome(0, IsUnknown: false, trouble));
            return;
        }

        NodeId leaving = change.Kind is ClusterChangeKind.Remove or ClusterChangeKind.Replace ? change.Server!.Name : default;
        _change = new PendingChange(
            new ConfigurationProposal(Configuration, next, leaving), ++_changeNumber, now.Now + ClosingPatience, answer);
        Close();
        AdvanceChange(now);
    }

    /// <summary>True once a version is in force without this disk: it is of no more use here, however often it is started.</summary>
    public bool IsExcluded { get; private set; }

    /// <summary>The newest version that is known here: the one in force, or that which excludes this disk.</summary>
    public ClusterConfiguration NewestConfiguration { get; private set; } = null!;

    /// <summary>A version was delivered by the feed. True if it follows the one that is, or is about to be, in force.</summary>
    internal bool ConfigurationDelivered(ConfigurationEntry entry, SequenceNumber number)
    {
        // The entry of the version that a joining server was told may be had from its catalog and by the feed.
        bool isJoined = _isJoining && _delivered.Count == 0 && entry.Configuration.Version == Configuration.Version;
        if (entry.Configuration.Version != _deliveredVersion + 1 && !isJoined)
        {
            return false;
        }

        _deliveredVersion = entry.Configuration.Version;
        _delivered.Enqueue((number, entry));
        return !isJoined;
    }

    /// <summary>What the catalog has, of versions that are not in force here: a checkpoint may have passed over them, and a crash come
    /// before they were written down.</summary>
    private void LearnConfigurations()
    {
        ulong version = _isJoining ? Configuration.Version : _deliveredVersion + 1;
        while (Reader.Current(ConfigurationEntry.TargetOf(version))?.Manifest is { Form: ContentForm.Inline } manifest
            && ConfigurationEntry.TryRead(manifest.Inline.Span, out ConfigurationEntry? entry))
        {
            if (ConfigurationDelivered(entry, Feed.Applied))
            {
                _feed.TakeUp(entry.Configuration);
            }

            version++;
        }
    }

    private string FaultOf(ClusterChange change) =>
        _change is not null ? "another change is being made; try again"
        : !MayVote ? "this server takes no part in agreement at present; ask another"
        : !Members.HasQuorum ? "no quorum is connected"
        : change.Kind == ClusterChangeKind.Add && Members.ConnectedVoters.Count < Configuration.Voters.Length
            ? "a server is added while all that vote are connected: replace or remove the one that is away first"
        : LeavesTooFew(change);

    /// <summary>A disk goes only while a quorum of the other servers votes: they alone have all that it held, and a new disk votes once it
    /// has that from them. Of two that were replaced at once, each would wait for the other.</summary>
    private string LeavesTooFew(ClusterChange change)
    {
        int bit = change.Kind is ClusterChangeKind.Remove or ClusterChangeKind.Replace ? Configuration.BitOf(change.Server!.Name) : -1;
        if (bit < 0)
        {
            return "";
        }

        int others = Configuration.Voters.Length - 1;
        int needed = change.Kind == ClusterChangeKind.Remove ? Quorum.Majority(others) : Math.Min(Configuration.Quorum.Size, others);
        int voting = Members.ConnectedVoters.Without(bit).Count;
        return voting >= needed
            ? ""
            : $"{voting} of the other servers vote at present, and {needed} must: wait until 'cluster status' says that they do";
    }

    /// <summary>No more bits and leases under the version in force, durably.</summary>
    private void Close()
    {
        if (Exchange.IsClosed)
        {
            return;
        }

        Sometimes.Reached("configuration-closed");
        try
        {
            if (!SeededBug.Is("closing-not-durable"))
            {
                _configurations.Close(Configuration.Version);
            }
        }
        catch (StorageException refusal)
        {
            // As if it had not been asked; it is asked again.
            Tell(NodeEventKind.StorageTrouble, Self.Name, $"the configuration's version can't be closed: {refusal.Message}");
            return;
        }

        Exchange.Close(Configuration.Version);
        Selection.Close(Configuration.Version);
        _renewAt = _now.Now + RenewAfter + _random.Below(RenewAfter);
    }

    private void AdvanceConfiguration(Moment now)
    {
        if (_change is not null && now.Now >= _change.AskAt)
        {
            AdvanceChange(now);
        }

        if (now.Now >= _lookAt)
        {
            _lookAt = now.Now + LookForVersions;
            foreach (NodeId peer in Members.WithLaterVersion())
            {
                // Who sequences may be gone, or have gone on without this server: a feed tells it only that it is to be fetched. One that
                // lost some of its feed may not have it, so all are asked.
                Sometimes.Reached("configuration-fetched");
                Post(peer, TrafficKind.Agreement, Protocol.Node, ClosingMessage.Ask(0, Configuration.Version).Encode(), 0);
            }
        }

        if (_change is null && now.Now >= _renewAt)
        {
            _renewAt = now.Now + RenewAfter + _random.Below(RenewAfter);
            if (Exchange.IsClosed)
            {
                Sometimes.Reached("closed-version-is-renewed");
                ChangeCluster(new ClusterChange(ClusterChangeKind.Renew, null), now, _ => { });
            }
            else
            {
                _renewAt = Instant.Never;
            }
        }
    }

    private void AdvanceChange(Moment now)
    {
        PendingChange change = _change!;
        if (now.Now >= change.Deadline && change.Made > 0)
        {
            EndChange(new ClusterChangeOutcome(change.Made, IsUnknown: false, ""));
            return;
        }

        if (now.Now >= change.Deadline)
        {
            string why = change.Proposal.Unsettled is { Length: > 0 } unsettled
                ? $"server {unsettled} has not got all yet that it should hold: wait until 'cluster status' says so no more"
                : "no quorum closed the present version in time, or too few of those that stay said that they have all";
            EndChange(new ClusterChangeOutcome(0, IsUnknown: false, why));
            return;
        }

        change.AskAt = Instant.Min(change.Deadline, now.Now + CloseAgain);
        if (change.IsProposed)
        {
            return;
        }

        change.Proposal.Hear(Self.Name, ReportClosing(change.Number));
        byte[] question = ClosingMessage.Ask(change.Number, Configuration.Version).Encode();
        foreach (NodeId voter in Configuration.Voters)
        {
            if (voter != Self.Name && !change.Proposal.Reported.Contains(voter) && Members.IsConnected(voter))
            {
                Post(voter, TrafficKind.Agreement, Protocol.Node, question, 0);
            }
        }

        Propose(change);
    }

    private bool ReceiveClosing(ServerIdentity from, ReadOnlySpan<byte> payload)
    {
        if (!Members.Accepts(from))
        {
            TellExclusion(from, payload);
            return true;
        }

        if (!ClosingMessage.TryRead(payload, out ClosingMessage message))
        {
            return false;
        }

        if (!message.IsQuestion)
        {
            if (message.Version > Configuration.Version)
            {
                _feed.Member.HearAny(new SequenceNumber(message.Committed), _now.Now);
                _feed.IsDirty = true;
            }

            if (_change is { IsProposed: false } change && message.Number == change.Number)
            {
                change.Proposal.Hear(from.Name, message);
                Propose(change);
            }

            return true;
        }

        if (message.Version == Configuration.Version && message.Number > 0 && MayVote)
        {
            Close();
        }

        Post(from.Name, TrafficKind.Agreement, Protocol.Node, ReportClosing(message.Number).Encode(), 0);
        return true;
    }

    /// <summary>A disk that the version in force does not name asks for a later version than its own: it did not hear its end.</summary>
    private void TellExclusion(ServerIdentity from, ReadOnlySpan<byte> payload)
    {
        if (ClosingMessage.TryRead(payload, out ClosingMessage message)
            && message.IsQuestion && message.Version < Configuration.Version
            && Configuration.Find(from.Name)?.Disk != from.Disk)
        {
            var told = new ExclusionMessage(Configuration.Version, from.Disk);
            Post(from.Name, TrafficKind.Agreement, Protocol.Node, told.Encode(), 0);
        }
    }

    private bool ReceiveExclusion(ServerIdentity from, ReadOnlySpan<byte> payload)
    {
        if (!ExclusionMessage.TryRead(payload, out ExclusionMessage message))
        {
            return false;
        }

        // Who has its name now may get what is meant for the disk before.
        if (Members.Accepts(from) && message.Disk == Self.Disk && message.Version > Configuration.Version)
        {
            Exclude(message.Version);
        }

        return true;
    }

    private void Exclude(ulong version)
    {
        // Kept nowhere: at its next start it finds the same.
        IsExcluded = true;
        _world.Stop($"this disk is not in version {version} of the configuration: its server was removed or replaced");
    }

    private ClosingMessage ReportClosing(ulong number)
    {
        if (!Exchange.IsClosed || !MayVote)
        {
            return new ClosingMessage(
                false, number, Configuration.Version, _feed.Member.Committed.Value, IsClosed: false, IsSettled: false, [], [], []);
        }

        ImmutableArray<CarriedTag> carried = Exchange.Carried();
        ImmutableArray<KeyValuePair<string, long>> fences = [.. Exchange.Fences(_now)];
        bool fits = carried.Length <= ConfigurationEntry.MaxCarried && fences.Length <= ConfigurationEntry.MaxFences;
        bool isSettled = fits && _groups.All.All(g => !g.IsForgotten || g.HasNothingToGet);
        return new ClosingMessage(
            false, number, Configuration.Version, _feed.Member.Committed.Value, IsClosed: fits, isSettled, fits ? carried : [],
            fits ? fences : [], Selection.PromisedEpochs);
    }

    private void Propose(PendingChange change)
    {
        if (change.IsProposed || !change.Proposal.IsReady)
        {
            return;
        }

        change.IsProposed = true;
        change.Deadline = Instant.Never;
        change.AskAt = Instant.Never;
        ConfigurationEntry entry = change.Proposal.ToEntry();
        byte[] content = entry.Write();
        var manifest = new ObjectManifest
        {
            Size = content.Length, Sha256 = Digest.Of(content), ContentType = "application/octet-stream", Inline = content,
            VersionsKept = 1,
        };
        ulong version = entry.Configuration.Version;
        var operation = new Operation(OperationKind.Put, ConfigurationEntry.TargetOf(version), manifest)
        {
            // Of several proposals the first in the feed counts.
            Precondition = Precondition.Absent,
        };
        var request = new SubmitRequest([operation], $"configuration/{version}/{Self}/{change.Number}", default);
        Submit(request, _now, outcome =>
        {
            if (outcome is SubmitOutcome.Accepted && Configuration.Version < version)
            {
                // Made, and soon in force here too: who made it may look at it then.
                change.Made = version;
                change.AskAt = change.Deadline = _now.Now + ClosingPatience;
                return;
            }

            EndChange(outcome switch
            {
                SubmitOutcome.Accepted => new ClusterChangeOutcome(version, IsUnknown: false, ""),
                SubmitOutcome.Refused => new ClusterChangeOutcome(0, IsUnknown: false, OtherFirst),
                SubmitOutcome.Rejected when Configuration.Version >= version => new ClusterChangeOutcome(0, IsUnknown: false, OtherFirst),
                SubmitOutcome.Rejected rejected => new ClusterChangeOutcome(0, IsUnknown: false, rejected.Detail),
                _ => new ClusterChangeOutcome(0, IsUnknown: true, "whether it is made is not known yet; look at the configuration again"),
            });
        });
    }

    private void EndChange(ClusterChangeOutcome outcome)
    {
        PendingChange? change = _change;
        _change = null;
        change?.Answer(outcome);
    }

    /// <summary>What the feed delivered takes effect, version by version.</summary>
    private void ApplyConfigurations()
    {
        // Not behind the record of an orderly stop: that has the leases as they are under the version before; the next start finds this.
        while (!HasRecordedStop && _delivered.TryPeek(out (SequenceNumber Number, ConfigurationEntry Entry) next)
            && (next.Number <= _feed.Store.CommittedDurable || SeededBug.Is("version-before-its-entry-is-durable")))
        {
            _delivered.Dequeue();
            ConfigurationEntry entry = next.Entry;
            if (_isJoining && entry.Configuration.Version == Configuration.Version)
            {
                Sometimes.Reached("configuration-joined");
                Keep(entry);
                Adopt(entry, isNew: true);
                Exchange.Hold(entry.Carried, _now);
                _isJoining = false;
            }
            else
            {
                Apply(entry);
            }
        }
    }

    private void Apply(ConfigurationEntry entry)
    {
        ClusterConfiguration next = entry.Configuration;
        Tell(NodeEventKind.Reconfigured, default, $"version {next.Version}: {string.Join(' ', next.Servers.Select(s => s.Name))}");
        if (next.Find(Self.Name) is not { } record || record.Disk != Self.Disk)
        {
            NewestConfiguration = next;
            if (_change is { IsProposed: true } own && own.Proposal.Next.Servers.SequenceEqual(next.Servers))
            {
                EndChange(new ClusterChangeOutcome(next.Version, IsUnknown: false, ""));
            }

            Exclude(next.Version);
            return;
        }

        Keep(entry);
        Configuration = NewestConfiguration = next;
        Exchange.Reconfigure(next, entry.Carried, _now);
        Adopt(entry, isNew: false);
        Members.Reconfigure(next, _now);
        DrainMembership();

        // The same bits may stand for other voters, which is no change that membership tells of.
        Exchange.SetConnected(Members.ConnectedVoters, _now);
        Selection.ConnectivityChanged(_now);
        Replication.Reconfigure(next, _now);
        RebuildUnder(next);
        foreach (Groups.GroupHost group in _groups.All)
        {
            group.Member.SetRoles(GroupRoles.Of(next), _now.Now);
            group.IsDirty = true;
        }

        _world.Reconfigured(next);
        SetTable();
        if (_change is { Made: > 0 } change && change.Made <= next.Version)
        {
            EndChange(new ClusterChangeOutcome(change.Made, IsUnknown: false, ""));
        }
        else if (_change is { IsProposed: false })
        {
            // It would go on to close this version.
            EndChange(new ClusterChangeOutcome(0, IsUnknown: false, OtherFirst));
        }

        _renewAt = Instant.Never;
        Manager.ConnectivityChanged(_now);
    }

    private void Adopt(ConfigurationEntry entry, bool isNew)
    {
        foreach ((string key, long until) in entry.Fences)
        {
            Exchange.AdoptFence(key, until);
        }

        Selection.Reconfigure(entry.Configuration, entry.Epochs, isNew, _now);
    }

    private void Keep(ConfigurationEntry entry)
    {
        try
        {
            _configurations.Apply(entry);
        }
        catch (StorageException refusal)
        {
            _world.Stop($"the configuration can't be kept: {refusal.Message}");
        }
    }

    /// <summary>A change that this server is making.</summary>
    private sealed class PendingChange(
        ConfigurationProposal proposal, ulong number, Instant deadline, Action<ClusterChangeOutcome> answer)
    {
        public ConfigurationProposal Proposal { get; } = proposal;

        public ulong Number { get; } = number;

        public Instant Deadline { get; set; } = deadline;

        public Instant AskAt { get; set; }

        public bool IsProposed { get; set; }

        /// <summary>The version that it made, once that stands in the feed; 0 before.</summary>
        public ulong Made { get; set; }

        public void Answer(ClusterChangeOutcome outcome) => answer(outcome);
    }
}
