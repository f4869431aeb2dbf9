using System.Collections.Immutable;
using Carillon.Protocols.Cluster;
using Carillon.Protocols.Wire;

namespace Carillon.Protocols.Primacy;

/// <summary>
/// One voter's promises, leases and fences for all services. Its bit for an epoch is durable before it is told, is the first lease from
/// that moment on ◆, and is given only to an epoch above every one that it promised ◆ while no other node's lease lasts. So at most one
/// node has a quorum's bits for an epoch, and no two nodes' leases are in force at once.
/// </summary>
/// <remarks>
/// Leases are kept in memory (Gray and Cheriton, 1989): a voter that restarts does not know which it gave, and grants nothing for a whole
/// duration, but for a clean stop, which is recorded with the leases that were not over, and for a disk that has never voted.
/// </remarks>
public sealed class EpochVoter
{
    /// <summary>The most services that a voter keeps promises for: beyond, bids for further ones are refused.</summary>
    public const int MaxServices = 16_384;

    /// <summary>More epochs than are bid for under one version after it was closed.</summary>
    private const ulong EpochsOfOneVersion = 1 << 20;

    private ClusterConfiguration _configuration;
    private readonly IPrimacyHost _host;
    private readonly SortedDictionary<ServiceName, Vote> _votes = [];
    private ImmutableArray<VoteRecord> _stoppedWith = [];
    private LogPast _past = LogPast.Virgin;
    private ulong _startedAt;
    private bool _hasStarted;
    private Instant _quietUntil;
    private ulong _closed;

    internal EpochVoter(ClusterConfiguration configuration, IPrimacyHost host)
    {
        _configuration = configuration;
        _host = host;
    }

    private enum LogPast
    {
        /// <summary>This disk has never promised or renewed anything.</summary>
        Virgin,

        /// <summary>It has, and what it renewed last is forgotten.</summary>
        Unknown,

        /// <summary>The last thing that it did was to stop in an orderly way.</summary>
        Stopped,
    }

    /// <summary>The greatest epochs that this voter knows of, by service.</summary>
    internal IEnumerable<KeyValuePair<ServiceName, Epoch>> KnownEpochs =>
        _votes.Where(v => !v.Value.Known.IsNone).Select(v => KeyValuePair.Create(v.Key, v.Value.Known));

    /// <summary>Answers to bids name at least this position: it says in the log that leases may have been given.</summary>
    internal ulong StartedAt => _startedAt;

    /// <summary>The greatest epoch of a service that this server promised, or accepted an effect of.</summary>
    public Epoch FenceOf(ServiceName service) => _votes.TryGetValue(service, out Vote? vote) ? vote.Known : default;

    /// <summary>Takes one record of the log; false for bytes that are none of its own.</summary>
    internal bool Restore(ReadOnlySpan<byte> record)
    {
        var reader = new WireReader(record);
        switch ((PrimacyRecordType)reader.U8())
        {
            case PrimacyRecordType.Promise:
                var promise = VoteRecord.Read(ref reader);
                if (reader.Failed)
                {
                    return false;
                }

                Vote vote = VoteOn(promise.Service);
                if (promise.Epoch >= vote.Promised)
                {
                    vote.Promised = promise.Epoch;
                    vote.PromisedTo = promise.Node;
                    vote.PromisedIncarnation = promise.Incarnation;
                }

                _past = LogPast.Unknown;
                return true;
            case PrimacyRecordType.Fence:
                ServiceName service = reader.Service();
                Epoch epoch = reader.Epoch();
                if (reader.Failed)
                {
                    return false;
                }

                VoteOn(service).Fenced = Epoch.Max(VoteOn(service).Fenced, epoch);
                return true;
            case PrimacyRecordType.Started:
                _past = LogPast.Unknown;
                return true;
            case PrimacyRecordType.Stopped:
                return RestoreStopped(ref reader);
            default:
                return false;
        }
    }

    /// <summary>The log is replayed: from now on this voter answers, and grants after its quiet time.</summary>
    internal void Start(Moment now)
    {
        switch (_past)
        {
            case LogPast.Unknown when !SeededBug.Is("grants-after-restart"):
                _quietUntil = now.Now + _configuration.LeaseDuration;
                break;
            case LogPast.Stopped:
                foreach (VoteRecord lease in _stoppedWith)
                {
                    VoteOn(lease.Service).SetLease(lease.Node, lease.Incarnation, lease.Epoch, now.Now + _configuration.LeaseDuration);
                }

                break;
        }

        NoteStart();
    }

    /// <summary>Neither bits nor renewals under this version any more, but for the feed's sequencer: the entry of the next one needs that.
    /// What it may do without leases does not rest on them.</summary>
    internal void Close(ulong version) => _closed = Math.Max(_closed, version);

    /// <summary>Another version is in force.</summary>
    /// <param name="configuration">The version.</param>
    /// <param name="epochs">What voters of the one before promised: nobody is given one of these again ◆.</param>
    /// <param name="isNew">True if this disk did not vote before: as after a start, it does not know what leases others gave.</param>
    /// <param name="now">The time.</param>
    internal void Reconfigure(
        ClusterConfiguration configuration, IEnumerable<KeyValuePair<ServiceName, Epoch>> epochs, bool isNew, Moment now)
    {
        TimeSpan longest = TimeSpan.FromTicks(Math.Max(_configuration.LeaseDuration.Ticks, configuration.LeaseDuration.Ticks));
        foreach (Vote vote in _votes.Values.Where(v => IsAnotherDisk(v.Holder, configuration)))
        {
            vote.KeepFromAll();
        }

        _configuration = configuration;
        foreach ((ServiceName service, Epoch promised) in epochs)
        {
            // The feed's sequencer may have been given further epochs since that was told, one a bid: far fewer than this.
            Epoch floor = service == ServiceName.CatalogSequencer ? new Epoch(promised.Value + EpochsOfOneVersion) : promised;
            if (SeededBug.Is("epochs-given-again"))
            {
                continue;
            }

            // Also where it promised that itself: a new disk begins with the incarnation of the one before (seed 548 with changes).
            Know(service, floor);
        }

        if (isNew)
        {
            _quietUntil = Instant.Max(_quietUntil, now.Now + longest);
        }
    }

    /// <summary>An epoch was given, as this voter hears: neither it nor one below it is given again ◆.</summary>
    internal void Know(ServiceName service, Epoch epoch)
    {
        if (epoch > VoteOn(service).Fenced)
        {
            VoteOn(service).Fenced = epoch;
            _host.Append(PrimacyRecords.Fence(service, epoch));
        }
    }

    private bool IsAnotherDisk(NodeId node, ClusterConfiguration next) =>
        !node.IsNone && !SeededBug.Is("lease-of-a-replaced-disk-is-the-new-ones")
            && next.Find(node)?.Disk != _configuration.Find(node)?.Disk;

    /// <summary>This server answers no more after this: the next start knows which leases it gave.</summary>
    /// <returns>The record's position; 0 if it could not be written.</returns>
    internal ulong Stop(Moment now)
    {
        if (!_hasStarted || now.Now < _quietUntil || _votes.Values.Any(v => v.IsKeptFromAll(now.Now)))
        {
            return 0;
        }

        byte[] record = PrimacyRecords.Stopped(
        [
            .. _votes.Where(v => v.Value.LeaseEnd > now.Now)
                .Select(v => new VoteRecord(v.Key, v.Value.LeaseEpoch, v.Value.Holder, v.Value.LeaseIncarnation)),
        ]);
        return _host.CanAppend(record.Length) ? _host.Append(record) : 0;
    }

    /// <summary>Considers a bid, this server's own included: they obey the same rules ◆.</summary>
    /// <param name="from">Who bids, as the tunnel vouches for it.</param>
    /// <param name="bid">The bid.</param>
    /// <param name="now">The time, read after the bid was received.</param>
    /// <param name="after">The position that must be durable before the answer leaves or counts.</param>
    internal BidAnswerMessage Consider(ServerIdentity from, BidMessage bid, Moment now, out ulong after)
    {
        after = _startedAt;
        if (!_host.MayVote || !NoteStart())
        {
            return Answer(bid, BidVerdict.NotVoting, null, now);
        }

        if (IsClosedFor(bid.Service))
        {
            return Answer(bid, BidVerdict.Configuration, null, now);
        }

        if (bid.Configuration != _configuration.Version || bid.Duration != _configuration.LeaseDuration)
        {
            return Answer(bid, BidVerdict.Configuration, null, now);
        }

        if (now.Now < _quietUntil)
        {
            return Answer(bid, BidVerdict.Quiet, _votes.GetValueOrDefault(bid.Service), now);
        }

        if (_votes.Count >= MaxServices && !_votes.ContainsKey(bid.Service))
        {
            return Answer(bid, BidVerdict.NotVoting, null, now);
        }

        after = _startedAt;
        Vote vote = VoteOn(bid.Service);
        if (SeededBug.Is("fence-raised-by-bid"))
        {
            vote.Fenced = Epoch.Max(vote.Fenced, bid.Epoch);
        }

        if (vote.IsLeasedToAnother(from.Name, now.Now))
        {
            return Answer(bid, BidVerdict.Leased, vote, now);
        }

        bool isRepeated = vote.IsRepeated(from, bid.Epoch);
        if (!isRepeated && bid.Epoch <= vote.Known && !SeededBug.Is("epoch-not-above-promise"))
        {
            return Answer(bid, BidVerdict.Promised, vote, now);
        }

        if (!isRepeated)
        {
            byte[] record = PrimacyRecords.Promise(new VoteRecord(bid.Service, bid.Epoch, from.Name, from.Incarnation));
            if (!_host.CanAppend(record.Length))
            {
                return Answer(bid, BidVerdict.NotVoting, vote, now);
            }

            vote.Promised = bid.Epoch;
            vote.PromisedTo = from.Name;
            vote.PromisedIncarnation = from.Incarnation;
            vote.PromisedAt = SeededBug.Is("epoch-promise-not-durable") ? 0 : _host.Append(record);
        }

        after = Math.Max(after, vote.PromisedAt);
        if (!SeededBug.Is("grant-without-lease"))
        {
            vote.SetLease(from.Name, from.Incarnation, bid.Epoch, now.Now + bid.Duration);
        }

        return Answer(bid, BidVerdict.Granted, vote, now);
    }

    /// <summary>Renews a lease of an epoch that was granted, if nothing greater was promised and no other node's lease lasts ◆.</summary>
    internal bool Renew(ServerIdentity from, ServiceName service, Epoch epoch, Moment now)
    {
        if (!_host.MayVote || !NoteStart() || _host.Durable < _startedAt || epoch.IsNone
            || (_votes.Count >= MaxServices && !_votes.ContainsKey(service)))
        {
            return false;
        }

        if (IsClosedFor(service) || (!_host.SharesConfiguration(from.Name) && !SeededBug.Is("renews-under-another-version")))
        {
            // Who still counts voters of an earlier version must not go on beside one that counts those of this ◆.
            return false;
        }

        Vote vote = VoteOn(service);
        if (vote.Known > epoch || vote.IsLeasedToAnother(from.Name, now.Now) || vote.IsWithdrawn(epoch, from.Name))
        {
            return false;
        }

        vote.SetLease(from.Name, from.Incarnation, epoch, now.Now + _configuration.LeaseDuration);
        return true;
    }

    /// <summary>
    /// A node will not act in this epoch any more: its lease is over at once, the promise stays. It speaks for its present life alone:
    /// what a former one started may still run until the lease that that one had is over ◆.
    /// </summary>
    internal void Withdraw(ServerIdentity from, ServiceName service, Epoch epoch, Moment now)
    {
        if (_votes.TryGetValue(service, out Vote? vote))
        {
            vote.Withdraw(from, epoch, now.Now);
        }
    }

    /// <summary>
    /// An effect of a primary comes in. It is refused if its epoch is below one that was promised or accepted here, or above all that this
    /// voter gave its bit for or renews: who claims an epoch that nobody granted must not depose anyone. What it accepts raises the fence.
    /// </summary>
    /// <returns>False: fenced.</returns>
    public bool Accept(Fence fence)
    {
        Epoch known = FenceOf(fence.Service);
        if (fence.Epoch < known)
        {
            return SeededBug.Is("fence-ignored");
        }

        if (!_votes.TryGetValue(fence.Service, out Vote? vote) || fence.Epoch > Epoch.Max(known, vote.LeaseEpoch))
        {
            return false;
        }

        if (fence.Epoch > known)
        {
            byte[] record = PrimacyRecords.Fence(fence.Service, fence.Epoch);
            if (!_host.CanAppend(record.Length))
            {
                return false;
            }

            vote.Fenced = fence.Epoch;
            _host.Append(record);
        }

        return true;
    }

    /// <summary>Copies promises and fences forward, before the log is cut.</summary>
    internal void WriteSnapshot(Action<ReadOnlyMemory<byte>> append)
    {
        if (_past == LogPast.Virgin && !_hasStarted)
        {
            return;
        }

        append(PrimacyRecords.Started());
        foreach ((ServiceName service, Vote vote) in _votes)
        {
            if (!vote.Promised.IsNone)
            {
                append(PrimacyRecords.Promise(new VoteRecord(service, vote.Promised, vote.PromisedTo, vote.PromisedIncarnation)));
            }

            if (!vote.Fenced.IsNone && vote.Fenced >= vote.Promised)
            {
                append(PrimacyRecords.Fence(service, vote.Fenced));
            }
        }
    }

    /// <summary>Until when this voter gives its bit to no other node than this one: what the simulator compares with the lease that the
    /// node believes to have.</summary>
    public Instant KeptFor(ServiceName service, NodeId node) => Instant.Max(
        _quietUntil, _votes.TryGetValue(service, out Vote? vote) && (vote.Holder == node || vote.Holder.IsNone) ? vote.LeaseEnd : default);

    /// <summary>Who has a lease here that is not over, or none; for status.</summary>
    internal NodeId HolderOf(ServiceName service, Moment now) =>
        _votes.TryGetValue(service, out Vote? vote) && vote.LeaseEnd > now.Now ? vote.Holder : default;

    /// <summary>How long the lease of another node than this one lasts here; zero if there is none.</summary>
    internal TimeSpan LeaseOfAnother(ServiceName service, NodeId than, Moment now) =>
        _votes.TryGetValue(service, out Vote? vote) && vote.IsLeasedToAnother(than, now.Now) ? vote.LeaseEnd - now.Now : TimeSpan.Zero;

    private bool IsClosedFor(ServiceName service) => _closed >= _configuration.Version && service != ServiceName.CatalogSequencer;

    // The record that says that leases may have been given comes before the first of them; where the log was full it is tried again.
    private bool NoteStart()
    {
        if (_hasStarted)
        {
            return true;
        }

        byte[] record = PrimacyRecords.Started();
        if (!_host.CanAppend(record.Length))
        {
            return false;
        }

        _hasStarted = true;
        _startedAt = _host.Append(record);
        return true;
    }

    private bool RestoreStopped(ref WireReader reader)
    {
        int count = reader.Count(MaxServices, 18);
        var leases = ImmutableArray.CreateBuilder<VoteRecord>(count);
        for (int i = 0; i < count && !reader.Failed; i++)
        {
            leases.Add(VoteRecord.Read(ref reader));
        }

        if (reader.Failed)
        {
            return false;
        }

        _past = LogPast.Stopped;
        _stoppedWith = leases.ToImmutable();
        return true;
    }

    private BidAnswerMessage Answer(BidMessage bid, BidVerdict verdict, Vote? vote, Moment now)
    {
        TimeSpan left = verdict switch
        {
            BidVerdict.Leased => vote!.LeaseEnd - now.Now,
            BidVerdict.Quiet => _quietUntil - now.Now,
            _ => default,
        };
        NodeId holder = verdict == BidVerdict.Leased ? vote!.Holder : default;
        return new BidAnswerMessage(bid.Service, bid.Epoch, bid.Counter, verdict, vote?.Known ?? default, holder, left);
    }

    private Vote VoteOn(ServiceName service)
    {
        if (!_votes.TryGetValue(service, out Vote? vote))
        {
            _votes.Add(service, vote = new Vote());
        }

        return vote;
    }

    /// <summary>What this voter knows of one service.</summary>
    private sealed class Vote
    {
        private (NodeId Node, Epoch Epoch) _withdrawn;
        private Instant _formerEnd;

        /// <summary>Never decreases; durable before it is told.</summary>
        public Epoch Promised { get; set; }

        public NodeId PromisedTo { get; set; }

        public Incarnation PromisedIncarnation { get; set; }

        public ulong PromisedAt { get; set; }

        /// <summary>The greatest epoch of which an effect was accepted; never decreases.</summary>
        public Epoch Fenced { get; set; }

        public Epoch Known => Epoch.Max(Promised, Fenced);

        public NodeId Holder { get; private set; }

        /// <summary>The holder's life that asked last.</summary>
        public Incarnation LeaseIncarnation { get; private set; }

        public Epoch LeaseEpoch { get; private set; }

        public Instant LeaseEnd { get; private set; }

        public bool IsLeasedToAnother(NodeId node, Instant now) => Holder != node && LeaseEnd > now;

        /// <summary>The holder's disk is no longer a server's: its process may still run until the lease is over, and whoever has its name
        /// now is not it ◆.</summary>
        public void KeepFromAll() => Holder = default;

        public bool IsKeptFromAll(Instant now) => Holder.IsNone && LeaseEnd > now;

        /// <summary>True if a bid is one that was granted, come again. An epoch belongs to one incarnation ◆: a later life of the same node
        /// does not know whether it acted there; and nobody's is what an earlier version gave.</summary>
        public bool IsRepeated(ServerIdentity from, Epoch epoch) =>
            epoch == Promised && epoch > Fenced && PromisedTo == from.Name && !IsWithdrawn(epoch, from.Name)
            && (PromisedIncarnation == from.Incarnation || SeededBug.Is("epoch-of-any-incarnation"));

        public bool IsWithdrawn(Epoch epoch, NodeId node) => _withdrawn.Node == node && _withdrawn.Epoch >= epoch;

        public void SetLease(NodeId holder, Incarnation incarnation, Epoch epoch, Instant end)
        {
            if (Holder != holder)
            {
                _formerEnd = default;
            }
            else if (LeaseIncarnation != incarnation)
            {
                _formerEnd = Instant.Max(_formerEnd, LeaseEnd);
            }

            Holder = holder;
            LeaseIncarnation = incarnation;
            LeaseEpoch = epoch;
            LeaseEnd = end;
        }

        public void Withdraw(ServerIdentity by, Epoch epoch, Instant now)
        {
            bool isItsOwn = LeaseIncarnation == by.Incarnation || SeededBug.Is("withdrawal-frees-a-former-life");
            if (Holder == by.Name && isItsOwn && LeaseEpoch <= epoch)
            {
                Instant former = SeededBug.Is("withdrawal-frees-a-former-life") ? default : _formerEnd;
                LeaseEnd = Instant.Min(LeaseEnd, Instant.Max(now, former));
            }

            if (_withdrawn.Node != by.Name || _withdrawn.Epoch < epoch)
            {
                _withdrawn = (by.Name, epoch);
            }
        }
    }
}
