using System.Net.Sockets;
using System.Security.Authentication;

namespace Carillon.Runtime.Tunnels;

/// <summary>Tells trouble with a connection, which is expected, from defects, which are not; and puts it into few words.</summary>
internal static class TunnelFailure
{
    /// <summary>True for what a peer or a network can cause.</summary>
    public static bool IsOfConnection(Exception failure) => failure is
        IOException or HttpRequestException or SocketException or OperationCanceledException or ObjectDisposedException
        or TunnelProtocolException or AuthenticationException or TimeoutException;

    /// <summary>
    /// What a stream of the framework throws once its connection has broken under it: an error of use by its type, and so to be
    /// translated where it is met, lest it be taken for a defect of ours.
    /// </summary>
    public static IOException Broken(InvalidOperationException broken) => new("The connection broke.", broken);

    /// <summary>The innermost reason in one line.</summary>
    public static string Describe(Exception failure)
    {
        Exception inmost = failure;
        while (inmost is not TunnelProtocolException && inmost.InnerException is { } inner)
        {
            inmost = inner;
        }

        return inmost switch
        {
            SocketException socket => socket.SocketErrorCode switch
            {
                SocketError.ConnectionRefused => "nobody listens there",
                SocketError.ConnectionReset or SocketError.Shutdown => "the connection broke",
                SocketError.HostNotFound or SocketError.TryAgain or SocketError.NoData => "its host name is not known",
                _ => socket.Message,
            },
            InvalidOperationException => "the connection broke",
            OperationCanceledException => "it took too long",
            _ => inmost.Message.ReplaceLineEndings(" "),
        };
    }
}
