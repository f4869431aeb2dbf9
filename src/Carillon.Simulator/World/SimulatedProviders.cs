using Carillon.Protocols;
using Carillon.Protocols.Primacy;
using Carillon.Simulator.Checkers;

namespace Carillon.Simulator.World;

/// <summary>
/// The providers of services on one server, as the runtime would run them: each under a guard that outlives the server's process and ends
/// what acts at the lease's end that it was told of. They are slow, fail, and go on acting while the process is paused or killed.
/// </summary>
internal sealed class SimulatedProviders(SimulatedWorld world, SimulatedServer server, RandomSource random)
{
    private readonly SortedDictionary<ServiceName, Acting> _acting = [];

    /// <summary>Carries out an order of the server's node.</summary>
    public void Carry(ServiceOrder order, int life)
    {
        world.Trace?.Invoke($"{server.Name} is ordered {order}");
        switch (order)
        {
            case ServiceOrder.Provide provide:
                Tell(life, Within(200), new ServiceNews.ProviderUp(provide.Service, default));
                break;
            case ServiceOrder.BecomePrimary become:
                Begin(become, life);
                break;
            case ServiceOrder.ExtendLease extend when Find(extend.Service, extend.Epoch) is { } acting:
                Extend(acting, extend.LeaseEnd, life);
                break;
            case ServiceOrder.Demote demote:
                Stop(demote, life);
                break;
            case ServiceOrder.ApplyCheckpoint apply:
                Tell(life, Within(50), new ServiceNews.CheckpointApplied(apply.Service, apply.State));
                break;
        }
    }

    /// <summary>The machine lost its power: nothing acts any more.</summary>
    public void CutPower()
    {
        foreach (Acting acting in _acting.Values)
        {
            acting.Over = true;
        }

        _acting.Clear();
    }

    private Acting? Find(ServiceName service, Epoch epoch) =>
        _acting.TryGetValue(service, out Acting? acting) && acting.Epoch == epoch ? acting : null;

    private void Begin(ServiceOrder.BecomePrimary become, int life)
    {
        if (_acting.TryGetValue(become.Service, out Acting? former))
        {
            // The guard of a former life sees its server's pipe closed.
            former.Over = true;
        }

        var acting = new Acting(server.Name, server.Identity.Incarnation, server.Clock, become.Service, become.Epoch)
        {
            End = become.LeaseEnd,
        };
        _acting[become.Service] = acting;
        world.Primacy.Begin(acting);
        Tell(life, Within(20), new ServiceNews.Started(become.Service, become.Epoch));
        Live(acting, life, 0);
        ReadFirst(acting, life);
    }

    private void Extend(Acting acting, Instant end, int life)
    {
        if (acting.IsInForce(world.Queue.Now))
        {
            acting.End = end;
            world.Primacy.Extended(acting);
        }
        else if (!acting.Over)
        {
            // The guard has killed it at the end that it knew of.
            acting.Over = true;
            Tell(life, Within(20), new ServiceNews.ProviderDown(acting.Service, "its lease ended", IsFailure: true));
            Tell(life, TimeSpan.FromSeconds(1) + Within(1000), new ServiceNews.ProviderUp(acting.Service, default));
        }
    }

    /// <summary>Checkpoints, and now and then a failure.</summary>
    private void Live(Acting acting, int life, ulong number) => world.Queue.After(Within(2000), () =>
    {
        if (!acting.IsInForce(world.Queue.Now) || life != server.Life)
        {
            return;
        }

        if (world.ProvidersWork && random.Chance(world.Options.ProviderFailures))
        {
            acting.Over = true;
            Tell(life, Within(20), new ServiceNews.ProviderDown(acting.Service, "it crashed", IsFailure: true));
            Tell(life, TimeSpan.FromSeconds(1) + Within(3000), new ServiceNews.ProviderUp(acting.Service, default));
            return;
        }

        byte[] content = new byte[random.Below(2000)];
        Tell(life, default, new ServiceNews.CheckpointTaken(acting.Service, new Freshness(acting.Epoch, number + 1), content));
        Live(acting, life, number + 1);
    });

    /// <summary>A primary reads what its predecessors left before it writes: so it meets all that they got through.</summary>
    private void ReadFirst(Acting acting, int life) => world.Queue.After(Within(100), () =>
    {
        if (acting.IsInForce(world.Queue.Now) && life == server.Life)
        {
            Uid floor = world.Primacy.LastEffectOf(acting.Service);
            server.Input((node, now) => node.Read(PrimacyChecker.EffectOf(acting.Service), now, outcome =>
            {
                PrimacyChecker.Read(acting.Service, floor, outcome);
                if (outcome is Protocols.VectorExchange.ReadOutcome.Unavailable)
                {
                    ReadFirst(acting, life);
                }
                else
                {
                    Write(acting, life);
                }
            }));
        }
    });

    /// <summary>A fenced effect; a deposed primary that does not know it yet tries too.</summary>
    private void Write(Acting acting, int life) => world.Queue.After(Within(1500), () =>
    {
        if (life == server.Life && world.ProvidersWork && (acting.IsInForce(world.Queue.Now) || random.Chance(0.5)))
        {
            server.Input((node, now) => node.SubmitFenced(
                PrimacyChecker.Effect(acting.Service, acting.Epoch), $"effect-{acting.Service}-{acting.Epoch}-{random.Next():x}",
                new Fence(acting.Service, acting.Epoch), now, outcome => world.Primacy.Answered(acting, outcome)));
            Write(acting, life);
        }
    });

    private void Stop(ServiceOrder.Demote demote, int life)
    {
        if (Find(demote.Service, demote.Epoch) is not { } acting)
        {
            return;
        }

        acting.End = Instant.Min(acting.End, demote.Deadline);
        world.Queue.After(Within(300), () =>
        {
            acting.Over = true;
            if (demote.Reason == DemotionReason.Moved)
            {
                Tell(life, default, new ServiceNews.CheckpointTaken(acting.Service, new Freshness(acting.Epoch, 1_000_000), new byte[100]));
            }

            Tell(life, default, new ServiceNews.Drained(demote.Service, demote.Epoch));
        });
    }

    private void Tell(int life, TimeSpan delay, ServiceNews news) => world.Queue.After(delay, () =>
    {
        if (life == server.Life)
        {
            server.Input((node, now) => node.NoteService(news, now));
        }
    });

    private TimeSpan Within(int milliseconds) => new(random.Below(milliseconds * TimeSpan.TicksPerMillisecond) + 1);
}

/// <summary>One node's time as primary, as the world sees it.</summary>
internal sealed class Acting(NodeId node, Incarnation life, SimulatedClock clock, ServiceName service, Epoch epoch)
{
    public NodeId Node { get; } = node;

    /// <summary>The life of the node that was granted the epoch.</summary>
    public Incarnation Life { get; } = life;

    /// <summary>The node's clock, which its guard reads too.</summary>
    public SimulatedClock Clock { get; } = clock;

    public ServiceName Service { get; } = service;

    public Epoch Epoch { get; } = epoch;

    /// <summary>The lease's end that the guard was told of, by its server's monotonic clock.</summary>
    public Instant End { get; set; }

    /// <summary>It has stopped.</summary>
    public bool Over { get; set; }

    /// <summary>True while it may act.</summary>
    public bool IsInForce(Instant trueTime) => !Over && Clock.At(trueTime).Now < End;

    /// <inheritdoc/>
    public override string ToString() => $"{Node}#{Life} as primary of {Service} in epoch {Epoch}";
}
