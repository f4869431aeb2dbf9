namespace Carillon.Runtime.Tunnels;

/// <summary>A peer sent what the tunnel's protocol excludes; its tunnel is given up. The message continues "…, because".</summary>
internal sealed class TunnelProtocolException : Exception
{
    public TunnelProtocolException()
    {
    }

    public TunnelProtocolException(string message) : base(message)
    {
    }

    public TunnelProtocolException(string message, Exception inner) : base(message, inner)
    {
    }
}
