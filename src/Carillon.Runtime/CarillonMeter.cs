using System.Diagnostics.Metrics;

namespace Carillon.Runtime;

/// <summary>The one meter of the program. Instruments are named <c>carillon.COMPONENT.WHAT</c>; the gateway shows them as Prometheus
/// text.</summary>
public static class CarillonMeter
{
    /// <summary>The meter's name, for listeners.</summary>
    public const string Name = "Carillon";

    /// <summary>The meter that every component makes its instruments from.</summary>
    public static Meter Instance { get; } = new(Name);
}
