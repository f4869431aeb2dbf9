using System.Collections.Immutable;
using Carillon.Node.Requests;
using Carillon.Protocols;
using Carillon.Protocols.Primacy;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.VectorExchange;
using Carillon.Protocols.Wire;

namespace Carillon.Node;

/// <content>Primacy: who is primary of each service, what the providers here are told, and the replica manager's table.</content>
public sealed partial class ServerNode
{
    private static readonly TimeSpan ReportTime = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan ReportSoon = TimeSpan.FromMilliseconds(20);

    private readonly Queue<ServiceOrder> _orders = new();
    private readonly Queue<(ServiceName Service, NodeId Primary, Epoch Epoch, TimeSpan? Silence)> _primaries = new();
    private ServiceTable _serviceTable = ServiceTable.Empty;
    private Instant _reportAt = Instant.Never;
    private ulong _stopPosition;

    /// <summary>Selection, epochs and leases.</summary>
    public SelectionMechanism Selection { get; }

    /// <summary>The replica manager: active on one server.</summary>
    public ReplicaManager Manager { get; }

    /// <summary>True while services act here, or their ends are under way: an orderly stop waits for that.</summary>
    public bool HoldsServices => Selection.HoldsAny;

    /// <summary>True once the record of an orderly stop is durable, or can't be written.</summary>
    public bool IsStopRecorded => HasRecordedStop && (ulong)Log.Durable.Value >= _stopPosition;

    internal bool HasRecordedStop { get; private set; }

    private Instant PrimacyDeadline => Instant.Min(Instant.Min(Selection.NextDeadline, Manager.NextDeadline), _reportAt);

    /// <summary>Something that the world tells of a provider on this server.</summary>
    public void NoteService(ServiceNews news, Moment now)
    {
        _now = now;
        Selection.Note(news, now);
        _reportAt = Instant.Min(_reportAt, now.Now + ReportSoon);
    }

    /// <summary>Asks the replica manager, wherever it is.</summary>
    public void AskManager(ServiceRequest request, Moment now, Action<ServiceAnswer> answer)
    {
        _now = now;
        Manager.Ask(request, now, answer);
    }

    /// <summary>What is known here of every service.</summary>
    public ImmutableArray<ServiceStatus> Services(Moment now)
    {
        _now = now;
        return Selection.Status(now.Now);
    }

    /// <summary>Who is primary of a service, as far as is known here.</summary>
    public (NodeId Primary, Epoch Epoch) PrimaryOf(ServiceName service) => Selection.PrimaryOf(service, _now.Now);

    /// <summary>The last step of an orderly stop: from now on this server gives no leases, and its next life knows which it gave.</summary>
    public void RecordStop(Moment now)
    {
        _now = now;
        if (!HasRecordedStop)
        {
            _stopPosition = Selection.RecordStop(now);
            HasRecordedStop = true;
        }
    }

    internal bool IsFenced(Submission submission) => !submission.Fence.IsNone && !Selection.Voter.Accept(submission.Fence);

    internal void QueueOrder(ServiceOrder order) => _orders.Enqueue(order);

    internal void QueuePrimary(ServiceName service, NodeId primary, Epoch epoch, TimeSpan? silence) =>
        _primaries.Enqueue((service, primary, epoch, silence));

    internal void YieldHere(YieldMessage message) =>
        Selection.Yield(message.Service, message.Epoch, message.Successor, message.Manager, _now);

    internal void SendPrimacyDatagram(NodeId peer, ReadOnlySpan<byte> message)
    {
        _world.SendDatagram(peer, NodeDatagram.Of(Protocol.Primacy, message));
    }

    internal void ReadTable(Action<ServiceTable?, Moment> then) => Exchange.Read(ObjectName.ServiceTable, _now, outcome =>
    {
        ServiceTable? table = outcome switch
        {
            ReadOutcome.Found found when ServiceTable.TryRead(found.Manifest.Inline.Span, out ServiceTable read) => read,
            ReadOutcome.Absent => ServiceTable.Empty,
            _ => null,
        };
        then(table, _now);
    });

    internal void WriteTable(ServiceTable table, Action<TableWrite, Moment> then)
    {
        byte[] content = table.Encode();
        var manifest = new ObjectManifest { Size = content.Length, Sha256 = Digest.Of(content), Inline = content, VersionsKept = 1 };
        var request = new SubmitRequest(
            [new Operation(OperationKind.Put, ObjectName.ServiceTable, manifest)],
            $"{ObjectName.ServiceTable.Name}/{table.Epoch}/{table.Number}/{Self}", default,
            new Fence(ServiceName.ReplicaManager, table.Epoch))
        {
            // Services are not to wait for a sequencer.
            Ack = AckWanted.Agreed,
        };
        Submit(request, _now, outcome =>
        {
            TableWrite result = outcome switch
            {
                SubmitOutcome.Accepted => TableWrite.Done,
                SubmitOutcome.Rejected { Reason: RejectionReason.Fenced } => TableWrite.Fenced,
                _ => TableWrite.Failed,
            };
            then(result, _now);
            if (result == TableWrite.Fenced && Selection.ActingEpoch(ServiceName.ReplicaManager, _now.Now) == table.Epoch)
            {
                Selection.StepDown(ServiceName.ReplicaManager, _now);
            }
        });
    }

    /// <summary>The stores are open: what the catalog has of the table is told, and selection begins.</summary>
    private void OpenPrimacy()
    {
        if (Reader.Current(ObjectName.ServiceTable)?.Manifest is { } manifest)
        {
            LearnTable(manifest);
            Selection.Know(_serviceTable);
        }

        _groupsVersion = _groups.Version;
        SetTable();
        Selection.Start(_now);
        _reportAt = _now.Now;
    }

    /// <summary>A submission is agreed: the table, if it is that.</summary>
    private void LearnTable(Submission submission)
    {
        if (submission.Operations[0] is { Manifest: { } manifest } operation && operation.Target == ObjectName.ServiceTable
            && LearnTable(manifest) && _isOpen)
        {
            SetTable();
            _reportAt = Instant.Min(_reportAt, _now.Now + ReportSoon);
        }
    }

    private bool LearnTable(ObjectManifest manifest)
    {
        if (manifest.Form != ContentForm.Inline || !ServiceTable.TryRead(manifest.Inline.Span, out ServiceTable table)
            || !table.IsAfter(_serviceTable))
        {
            return false;
        }

        _serviceTable = table;
        return true;
    }

    private bool ReceivePrimacy(ServerIdentity from, ReadOnlySpan<byte> payload, bool isDatagram)
    {
        if (!Members.Accepts(from))
        {
            // Another disk under that name, or a restored backup, has not made that voter's promises.
            return true;
        }

        var reader = new WireReader(payload);
        return PrimacyCodec.TryReadHead(ref reader, out PrimacyMessageType type)
            && (SelectionMechanism.Takes(type) ? Selection.Receive(from, payload, isDatagram, _now)
                : !isDatagram && Manager.Receive(from.Name, type, ref reader, _now));
    }

    private bool TakeDatagram(ServerIdentity from, ReadOnlySpan<byte> message)
    {
        if (!NodeDatagram.TryRead(message, out Protocol protocol, out ReadOnlySpan<byte> payload))
        {
            return false;
        }

        switch (protocol)
        {
            case Protocol.Primacy:
                Members.HeardFrom(from, _now);
                _ = ReceivePrimacy(from, payload, isDatagram: true);
                break;
            case Protocol.Groups:
                Members.HeardFrom(from, _now);
                _ = ReceiveGroup(from, payload);
                break;
            case Protocol.Feed:
                Members.HeardFrom(from, _now);
                _ = ReceiveFeed(from, payload);
                break;
            case Protocol.VectorExchange when Members.Accepts(from) && MessageCodec.IsSentAgain(payload):
                Members.HeardFrom(from, _now);
                _ = Exchange.Receive(from.Name, payload, _now);
                break;
            case Protocol.Paths when Members.Accepts(from):
                Span<byte> answer = stackalloc byte[DatagramPaths.AnswerBytes];
                if (_paths.Receive(from.Name, payload, _now.Now, answer))
                {
                    _world.SendDatagram(from.Name, NodeDatagram.Of(Protocol.Paths, answer));
                }

                break;
        }

        return true;
    }

    private void AdvancePrimacy(Moment now)
    {
        Selection.Advance(now);
        Manager.Advance(now);
        if (now.Now >= _reportAt)
        {
            Report(now);
        }
    }

    /// <summary>What is provided here, to the replica manager.</summary>
    private void Report(Moment now)
    {
        _reportAt = now.Now + ReportTime;
        (NodeId manager, _) = PrimaryOf(ServiceName.ReplicaManager);
        if (manager.IsNone || _serviceTable.Entries.IsEmpty)
        {
            return;
        }

        ReportMessage report = Selection.Report();
        if (manager == Self.Name)
        {
            Manager.OnReport(Self.Name, report, now);
        }
        else if (report.Items.Length > 0)
        {
            Post(manager, TrafficKind.Agreement, Protocol.Primacy, PrimacyCodec.Encode(report), 0);
        }
    }

    /// <summary>Carries out what the cores decided: the servers' own services here, the others by the world.</summary>
    private void DrainPrimacy()
    {
        while (_orders.Count > 0 || _primaries.Count > 0)
        {
            while (_primaries.TryDequeue(out (ServiceName Service, NodeId Primary, Epoch Epoch, TimeSpan? Silence) known))
            {
                Tell(NodeEventKind.PrimaryChanged, known.Primary, $"primary of {known.Service} in epoch {known.Epoch}");
                Manager.PrimaryKnown(known.Service, known.Primary, known.Epoch, known.Silence, _now);
                if (known.Service == ServiceName.ReplicaManager)
                {
                    _reportAt = _now.Now;
                }
            }

            if (_orders.TryDequeue(out ServiceOrder? order))
            {
                if (order.Service == ServiceName.ReplicaManager)
                {
                    CarryOut(order);
                }

                if (order.Service.IsSequencer)
                {
                    CarryOutSequencing(order);
                }
                else if (!order.Service.IsCore || order is ServiceOrder.HoldRequesters or ServiceOrder.ReleaseRequesters)
                {
                    _world.Serve(order);
                }
            }
        }
    }

    private void CarryOut(ServiceOrder order)
    {
        switch (order)
        {
            case ServiceOrder.BecomePrimary become:
                Manager.Begin(become.Epoch, _now);
                break;
            case ServiceOrder.Demote demote:
                Manager.End();
                Selection.Note(new ServiceNews.Drained(demote.Service, demote.Epoch), _now);
                break;
        }
    }
}
