using System.Net;
using Carillon.Node;
using Carillon.Protocols;
using Microsoft.AspNetCore.Connections;

namespace Carillon.Runtime.Tunnels;

/// <summary>One connection that came in: what is known of its other end, and its streams until they make a link.</summary>
internal sealed class ListenerConnection
{
    private static readonly object Key = new();

    private readonly ConnectionContext _context;
    private readonly TaskCompletionSource _closed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Lock _gate = new();
    private readonly Dictionary<TrafficKind, TunnelStream> _streams = [];
    private Step _step;

    public ListenerConnection(ConnectionContext context)
    {
        _context = context;
        context.Items[Key] = this;
    }

    private enum Step
    {
        /// <summary>No control stream yet.</summary>
        New,

        /// <summary>The greeting is on its way.</summary>
        Greeting,

        /// <summary>The peer is welcome and opens its streams.</summary>
        Open,

        /// <summary>The streams belong to a link.</summary>
        Linked,
    }

    /// <summary>Where it comes from, for logs.</summary>
    public string Address => _context.RemoteEndPoint?.ToString() ?? "unknown";

    /// <summary>The address alone, without the port that changes with each call.</summary>
    public IPAddress Host => (_context.RemoteEndPoint as IPEndPoint)?.Address ?? IPAddress.None;

    /// <summary>The server that its certificate names.</summary>
    public NodeId Certified { get; set; }

    /// <summary>What is wrong with its certificate.</summary>
    public string? Fault { get; set; }

    /// <summary>True once TLS is up.</summary>
    public bool IsEncrypted { get; set; }

    /// <summary>Ends when the connection is to end.</summary>
    public Task Closed => _closed.Task;

    /// <summary>The connection that a request or a handshake belongs to.</summary>
    public static ListenerConnection Of(ConnectionContext context) => Of(context.Items);

    /// <summary>The connection that a request or a handshake belongs to.</summary>
    public static ListenerConnection Of(IDictionary<object, object?> items) => (ListenerConnection)items[Key]!;

    /// <summary>Takes the control stream; false for a second one.</summary>
    public bool TryBegin()
    {
        lock (_gate)
        {
            if (_step != Step.New)
            {
                return false;
            }

            _step = Step.Greeting;
            return true;
        }
    }

    /// <summary>From now on the peer may open its streams.</summary>
    public void AcceptStreams()
    {
        lock (_gate)
        {
            _step = Step.Open;
        }
    }

    /// <summary>Takes a kind's stream; false before the greeting, after the start, or for a second one.</summary>
    public bool TryAttach(TrafficKind kind, TunnelStream stream)
    {
        lock (_gate)
        {
            return _step == Step.Open && _streams.TryAdd(kind, stream);
        }
    }

    /// <summary>All streams, for the link; none can be added any more.</summary>
    public IReadOnlyDictionary<TrafficKind, TunnelStream> Detach()
    {
        lock (_gate)
        {
            _step = Step.Linked;
            return _streams;
        }
    }

    /// <summary>Breaks the connection; any thread, any number of times.</summary>
    public void Abort(string reason)
    {
        _context.Abort(new ConnectionAbortedException(reason));
        _closed.TrySetResult();
    }
}
