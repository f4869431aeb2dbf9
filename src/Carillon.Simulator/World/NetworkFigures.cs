namespace Carillon.Simulator.World;

/// <summary>What the network did in a run.</summary>
internal sealed class NetworkFigures
{
    public long Messages { get; set; }

    public long Datagrams { get; set; }

    public long DatagramsLost { get; set; }

    public long DatagramsDoubled { get; set; }

    public long DatagramsDelayed { get; set; }

    public long Corrupted { get; set; }

    public long TunnelsOpened { get; set; }

    public long TunnelsBroken { get; set; }
}
