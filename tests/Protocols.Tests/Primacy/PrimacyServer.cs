using Carillon.Protocols.Primacy;

namespace Carillon.Protocols.Tests.Primacy;

/// <summary>One server of a <see cref="PrimacyLab"/>: the core, its log, its clock, and providers that do as they are told.</summary>
internal sealed class PrimacyServer(PrimacyLab lab, NodeId name, double pace) : IPrimacyHost
{
    private readonly List<byte[]> _durableLog = [];
    private readonly List<byte[]> _log = [];
    private readonly Queue<(ulong After, NodeId To, ReadOnlyMemory<byte> Message)> _gated = new();
    private readonly Queue<Action<Moment>> _whilePaused = new();
    private Instant _wakeAt = Instant.Never;

    public NodeId Name => name;

    public SelectionMechanism Core { get; private set; } = null!;

    public bool IsUp { get; private set; }

    public bool IsPaused { get; private set; }

    public int Life { get; private set; }

    public ServerIdentity Identity => new(name, lab.Configuration.Find(name)!.Disk, new Incarnation((ulong)Life));

    /// <summary>Services whose providers fail to start.</summary>
    public HashSet<string> Broken { get; } = [];

    public List<ServiceOrder> Orders { get; } = [];

    public bool MayVote { get; set; } = true;

    public bool HasQuorum => lab.Configuration.Quorum.IsReachedBy(lab.Configuration.Voters.Count(v => IsConnected(v)));

    public ulong Durable { get; private set; }

    public Instant LocalNow => Now.Now;

    private Moment Now => new(Local(lab.Now), new WallTime(lab.Now / TimeSpan.TicksPerMillisecond));

    public bool IsConnected(NodeId node) => node == name || lab.Reaches(name, node);

    public TimeSpan? RoundTrip(NodeId node) => 2 * lab.Delay;

    public bool CanAppend(int bytes) => true;

    public ulong Append(ReadOnlySpan<byte> record)
    {
        _log.Add(record.ToArray());
        ulong position = (ulong)_log.Count;
        int life = Life;
        lab.At(lab.FlushTime, () =>
        {
            if (life == Life && IsUp)
            {
                while (_durableLog.Count < (int)position)
                {
                    _durableLog.Add(_log[_durableLog.Count]);
                }

                Input(now =>
                {
                    Durable = Math.Max(Durable, position);
                    while (_gated.TryPeek(out var next) && next.After <= Durable)
                    {
                        _gated.Dequeue();
                        lab.Carry(name, next.To, next.Message);
                    }

                    Core.Persisted(Durable, now);
                });
            }
        });
        return position;
    }

    public void Send(NodeId peer, ReadOnlyMemory<byte> message, ulong after)
    {
        if (after > Durable)
        {
            _gated.Enqueue((after, peer, message));
        }
        else
        {
            lab.Carry(name, peer, message);
        }
    }

    public void SendDatagram(NodeId peer, ReadOnlyMemory<byte> message) => lab.CarryDatagram(name, peer, message);

    public void PrimaryKnown(ServiceName service, NodeId primary, Epoch epoch, TimeSpan? silence) =>
        lab.OnEffect?.Invoke(name, $"knows {primary} as primary of {service} in epoch {epoch}");

    public void Start()
    {
        Life++;
        IsUp = true;
        IsPaused = false;
        _whilePaused.Clear();
        _gated.Clear();
        _log.Clear();
        _log.AddRange(_durableLog);
        Durable = (ulong)_durableLog.Count;
        Core = new SelectionMechanism(lab.Configuration, Identity, lab.Options, lab.Random.Fork(), this);
        foreach (byte[] record in _durableLog)
        {
            if (!Core.Restore(record))
            {
                lab.Faults.Add($"{name} can't read its log");
            }
        }

        Core.Start(Now);
        SetTable();
        Wake();
    }

    /// <summary>The server dies; what was flushed stays. Guards go on until the leases that they were told of end.</summary>
    public void Crash()
    {
        IsUp = false;
        Life++;
    }

    public void Stop()
    {
        Input(now => Core.BeginStop(now));
        lab.Run(TimeSpan.FromMilliseconds(500));
        Input(now => Core.RecordStop(now));
        lab.Run(TimeSpan.FromMilliseconds(50));
        Crash();
    }

    public void Pause() => IsPaused = true;

    public void Resume()
    {
        IsPaused = false;
        while (!IsPaused && _whilePaused.TryDequeue(out Action<Moment>? input))
        {
            Input(input);
        }

        Input(now => Core.Advance(now));
    }

    public void SetTable() => Input(now => Core.SetTable(lab.Table, now));

    public void Input(Action<Moment> input)
    {
        if (!IsUp)
        {
            return;
        }

        if (IsPaused)
        {
            _whilePaused.Enqueue(input);
            return;
        }

        input(Now);
        Wake();
    }

    public void Order(ServiceOrder order)
    {
        Orders.Add(order);
        if (order is not ServiceOrder.ExtendLease)
        {
            lab.OnEffect?.Invoke(name, Describe(order));
        }

        switch (order)
        {
            case ServiceOrder.Provide provide:
                Tell(TimeSpan.Zero, new ServiceNews.ProviderUp(provide.Service, default));
                break;
            case ServiceOrder.BecomePrimary become:
                lab.Begin(this, become.Service, become.Epoch, True(become.LeaseEnd));
                Tell(TimeSpan.FromMilliseconds(1), Broken.Contains(become.Service.Name)
                    ? new ServiceNews.ProviderDown(become.Service, "it does not start", IsFailure: true)
                    : new ServiceNews.Started(become.Service, become.Epoch));
                break;
            case ServiceOrder.ExtendLease extend:
                Current(extend.Service, extend.Epoch).EndsAt = True(extend.LeaseEnd);
                break;
            case ServiceOrder.Demote demote:
                Stopping(demote);
                break;
            case ServiceOrder.ApplyCheckpoint apply:
                Tell(TimeSpan.FromMilliseconds(2), new ServiceNews.CheckpointApplied(apply.Service, apply.State));
                break;
        }
    }

    /// <summary>The runtime's word, after a while, unless the server dies before.</summary>
    public void Tell(TimeSpan delay, ServiceNews news)
    {
        int life = Life;
        lab.At(delay, () =>
        {
            if (life == Life)
            {
                if (news is ServiceNews.ProviderDown)
                {
                    foreach (PrimacyLab.Acting acting in lab.Actings.Where(a => a.Node == name && a.Service == news.Service))
                    {
                        acting.EndsAt = Math.Min(acting.EndsAt, lab.Now);
                    }
                }

                Input(now => Core.Note(news, now));
            }
        });
    }

    private void Stopping(ServiceOrder.Demote demote)
    {
        PrimacyLab.Acting acting = Current(demote.Service, demote.Epoch);
        acting.EndsAt = Math.Min(acting.EndsAt, True(demote.Deadline));
        int life = Life;
        lab.At(TimeSpan.FromMilliseconds(20), () =>
        {
            if (life == Life)
            {
                acting.EndsAt = Math.Min(acting.EndsAt, lab.Now);
                Input(now => Core.Note(new ServiceNews.Drained(demote.Service, demote.Epoch), now));
            }
        });
    }

    private PrimacyLab.Acting Current(ServiceName service, Epoch epoch) =>
        lab.Actings.Last(a => a.Node == name && a.Service == service && a.Epoch == epoch);

    private void Wake()
    {
        Instant due = Core.NextDeadline;
        if (due == Instant.Never || due == _wakeAt)
        {
            return;
        }

        _wakeAt = due;
        int life = Life;
        lab.At(new TimeSpan(Math.Max(0, True(due) - lab.Now)), () =>
        {
            if (life == Life && _wakeAt == due)
            {
                _wakeAt = Instant.Never;
                Input(now => Core.Advance(now));
            }
        });
    }

    private Instant Local(long ticks) => new((long)(ticks * pace));

    private long True(Instant local) => (long)Math.Ceiling((local.Ticks + 1) / pace);

    private static string Describe(ServiceOrder order) => order switch
    {
        ServiceOrder.BecomePrimary b => $"become-primary {b.Service} epoch {b.Epoch} state {b.State}",
        ServiceOrder.Demote d => $"demote {d.Service} epoch {d.Epoch} {d.Reason}",
        ServiceOrder.BecomeStandby b => $"become {b.Role} {b.Service}",
        ServiceOrder.ApplyCheckpoint a => $"apply-checkpoint {a.Service} {a.State}",
        ServiceOrder.ReleaseRequesters r => $"release-requesters {r.Service} to {r.Primary} epoch {r.Epoch}",
        ServiceOrder.HoldRequesters h => $"hold-requesters {h.Service}",
        ServiceOrder.Provide p => $"provide {p.Service}",
        _ => $"leave {order.Service}",
    };
}
