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
/// world's own time; and no effect of an epoch after one of a greater (E2).
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

    /// <summary>A node begins to act.</summary>
    public void Begin(Acting acting)
    {
        foreach (Acting other in _actings)
        {
            if (other.Service != acting.Service)
            {
                continue;
            }

            if (other.Epoch >= acting.Epoch)
            {
                throw Violation.Of("E1",
                    $"{acting.Server.Name} acts for {acting.Service} in epoch {acting.Epoch} after {other.Server.Name} in {other.Epoch}");
            }

            if (other.Server != acting.Server && other.IsInForce(now()))
            {
                throw Violation.Of("E4",
                    $"{acting.Server.Name} acts for {acting.Service} in epoch {acting.Epoch}, {other.Server.Name} may in {other.Epoch}");
            }
        }

        _actings.Add(acting);
    }

    /// <summary>Who may act for a service.</summary>
    public IEnumerable<Acting> Primaries(ServiceName service) =>
        _actings.Where(acting => acting.Service == service && acting.IsInForce(now()));

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
