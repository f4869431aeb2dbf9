using System.Collections.Immutable;
using System.Text;
using Carillon.Protocols;
using Carillon.Protocols.Primacy;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.VectorExchange;
using Carillon.Simulator.World;

namespace Carillon.Simulator.Checkers;

/// <summary>
/// What must hold of primaries at every instant: at most one for each epoch, in increasing order (E1), never two that may act (E4), by the
/// world's own time; no effect of an epoch after one of a greater (E2); no read that misses an effect (E6).
/// </summary>
internal sealed class PrimacyChecker(Func<Instant> now)
{
    /// <summary>The bucket of the services' effects.</summary>
    public const string Bucket = "services";

    private readonly List<Acting> _actings = [];
    private readonly Dictionary<ServiceName, List<(Uid Uid, Epoch Epoch)>> _accepted = [];

    /// <summary>How many times a node became primary.</summary>
    public int Begun => _actings.Count;

    /// <summary>Effects that were refused.</summary>
    public int Refused { get; private set; }

    /// <summary>Where a service's effects go.</summary>
    public static ObjectName EffectOf(ServiceName service) => new(Bucket, service.Name);

    /// <summary>An effect.</summary>
    public static ImmutableArray<Operation> Effect(ServiceName service, Epoch epoch)
    {
        byte[] content = Encoding.UTF8.GetBytes($"{epoch}");
        return
        [
            new Operation(OperationKind.Put, EffectOf(service), new ObjectManifest
            {
                Size = content.Length, Sha256 = Digest.Of(content), Inline = content,
            }),
        ];
    }

    /// <summary>Called when a node begins to act.</summary>
    public Action<Acting>? Began { get; set; }

    /// <summary>Called when a node is told a lease's end, the first included.</summary>
    public Action<Acting>? Told { get; set; }

    /// <summary>A node begins to act.</summary>
    public void Begin(Acting acting)
    {
        foreach (Acting other in _actings)
        {
            if (other.Service == acting.Service && other.Epoch >= acting.Epoch)
            {
                throw Violation.Of("E1", $"{acting} after {other}");
            }
        }

        _actings.Add(acting);
        RequireAlone(acting);
        Began?.Invoke(acting);
        Told?.Invoke(acting);
    }

    /// <summary>A node's lease lasts longer.</summary>
    public void Extended(Acting acting)
    {
        RequireAlone(acting);
        Told?.Invoke(acting);
    }

    /// <summary>Who may act at present.</summary>
    public IEnumerable<Acting> InForce() => _actings.Where(acting => acting.IsInForce(now()));

    /// <summary>Who may act for a service.</summary>
    public IEnumerable<Acting> Primaries(ServiceName service) => InForce().Where(acting => acting.Service == service);

    private void RequireAlone(Acting acting)
    {
        foreach (Acting other in Primaries(acting.Service))
        {
            if (other.Node != acting.Node)
            {
                throw Violation.Of("E4", $"{acting}, while {other} may act");
            }
        }
    }

    /// <summary>The last effect that was accepted and told so.</summary>
    public Uid LastEffectOf(ServiceName service) =>
        _accepted.TryGetValue(service, out List<(Uid Uid, Epoch Epoch)>? effects) ? effects.Max(effect => effect.Uid) : default;

    /// <summary>A linearizable read sees every effect that was told as accepted before it began (E6).</summary>
    public static void Read(ServiceName service, Uid floor, ReadOutcome outcome)
    {
        Uid? seen = outcome switch
        {
            ReadOutcome.Found found => found.Uid,
            ReadOutcome.Absent => default(Uid),
            _ => null,
        };
        if (seen is { } uid && uid.CompareTo(floor) < 0)
        {
            throw Violation.Of("E6", $"a read of what {service} has done finds {uid}, after {floor} was told as accepted");
        }
    }

    /// <summary>An effect's answer.</summary>
    public void Answered(Acting acting, SubmitOutcome outcome)
    {
        switch (outcome)
        {
            case SubmitOutcome.Accepted accepted:
                if (!_accepted.TryGetValue(acting.Service, out List<(Uid Uid, Epoch Epoch)>? effects))
                {
                    _accepted.Add(acting.Service, effects = []);
                }

                effects.Add((accepted.Tag.Uid, acting.Epoch));
                break;
            case SubmitOutcome.Rejected { Reason: RejectionReason.Fenced }:
                Refused++;
                Sometimes.Reached("effect-fenced");
                break;
        }
    }

    /// <summary>At the end: accepted effects in order of their UIDs have epochs that never decrease.</summary>
    public void Check()
    {
        foreach ((ServiceName service, List<(Uid Uid, Epoch Epoch)> effects) in _accepted)
        {
            Epoch greatest = default;
            foreach ((Uid uid, Epoch epoch) in effects.OrderBy(e => e.Uid))
            {
                if (epoch < greatest)
                {
                    throw Violation.Of("E2", $"an effect of {service} of epoch {epoch} has the UID {uid}, after one of epoch {greatest}");
                }

                greatest = epoch;
            }
        }
    }
}
