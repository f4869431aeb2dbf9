using Carillon.Protocols.Wire;

namespace Carillon.Protocols.Primacy;

/// <content>Requests of users: each server passes them on to the active replica manager, and repeats until it answers.</content>
public sealed partial class ReplicaManager
{
    /// <summary>The most requests that a server has under way; further ones are told to come again.</summary>
    public const int MaxAsking = 256;

    private readonly SortedDictionary<ulong, Asking> _asking = [];
    private readonly SortedDictionary<(NodeId Server, ulong Number), bool> _handling = [];
    private readonly Queue<(NodeId Server, RequestAnswerMessage Message)> _answered = new();
    private ulong _lastNumber;
    private Instant _askAt = Instant.Never;

    /// <summary>Asks the replica manager, wherever it is; requests may be made again, so each is passed on until it is answered.</summary>
    public void Ask(ServiceRequest request, Moment now, Action<ServiceAnswer> then)
    {
        if (_asking.Count >= MaxAsking)
        {
            then(new ServiceAnswer(ServiceResult.Unavailable, "this server has too many requests under way; try again"));
            return;
        }

        if (_lastNumber == 0)
        {
            // Numbers of a former life of this server must not be met again while the manager still handles one.
            _lastNumber = (ulong)now.Wall.Milliseconds << 16;
        }

        ulong number = ++_lastNumber;
        _asking.Add(number, new Asking(request, then, now.Now + _options.RequestTimeout));
        PassOn(number, now);
    }

    /// <summary>A request, or an answer, of another server.</summary>
    public bool Receive(NodeId from, PrimacyMessageType type, ref WireReader reader, Moment now)
    {
        switch (type)
        {
            case PrimacyMessageType.Report when ReportMessage.TryRead(ref reader, out ReportMessage m):
                OnReport(from, m, now);
                return true;
            case PrimacyMessageType.Request when RequestMessage.TryRead(ref reader, out RequestMessage m):
                OnRequest(from, m, now);
                return true;
            case PrimacyMessageType.RequestAnswer when RequestAnswerMessage.TryRead(ref reader, out RequestAnswerMessage m):
                OnAnswer(m.Number, m.Answer, now);
                return true;
            default:
                return false;
        }
    }

    private void OnRequest(NodeId from, RequestMessage message, Moment now)
    {
        if (_answered.FirstOrDefault(a => a.Server == from && a.Message.Number == message.Number) is { Message.Number: > 0 } again)
        {
            // The answer was lost on its way: what was done is not done again.
            _host.Send(from, PrimacyCodec.Encode(again.Message));
            return;
        }

        if (_handling.Count >= MaxAsking * 4 || !_handling.TryAdd((from, message.Number), true))
        {
            return;
        }

        Handle(message.Request, now, answer =>
        {
            _handling.Remove((from, message.Number));
            string detail = answer.Detail.Length > 600 ? answer.Detail[..600] : answer.Detail;
            var told = new RequestAnswerMessage(message.Number, answer with { Detail = detail });
            if (answer.Result != ServiceResult.Unavailable)
            {
                _answered.Enqueue((from, told));
                while (_answered.Count > MaxAsking)
                {
                    _answered.Dequeue();
                }
            }

            _host.Send(from, PrimacyCodec.Encode(told));
        });
    }

    private void OnAnswer(ulong number, ServiceAnswer answer, Moment now)
    {
        if (!_asking.TryGetValue(number, out Asking? asking))
        {
            return;
        }

        if (answer.Result == ServiceResult.Unavailable && now.Now < asking.Until)
        {
            asking.RetryAt = now.Now + RetryTime;
            _askAt = Instant.Min(_askAt, asking.RetryAt);
            return;
        }

        _asking.Remove(number);
        asking.Then(answer);
    }

    private void PassOn(ulong number, Moment now)
    {
        Asking asking = _asking[number];
        asking.RetryAt = now.Now + RetryTime;
        _askAt = Instant.Min(_askAt, asking.RetryAt);
        if (Phase == ManagerPhase.Active)
        {
            if (_handling.TryAdd((_self, number), true))
            {
                Handle(asking.Request, now, answer =>
                {
                    _handling.Remove((_self, number));
                    OnAnswer(number, answer, now);
                });
            }

            return;
        }

        (NodeId manager, _) = _host.PrimaryOf(ServiceName.ReplicaManager);
        if (!manager.IsNone && manager != _self && _host.IsConnected(manager))
        {
            _host.Send(manager, PrimacyCodec.Encode(new RequestMessage(number, asking.Request)));
        }
    }

    private void AdvanceRequests(Moment now)
    {
        if (now.Now < _askAt)
        {
            return;
        }

        _askAt = Instant.Never;
        foreach ((ulong number, Asking asking) in _asking.ToArray())
        {
            if (now.Now >= asking.Until)
            {
                _asking.Remove(number);
                asking.Then(new ServiceAnswer(
                    ServiceResult.Unavailable, "no replica manager answered in time: is a quorum of the servers connected? It may still be done"));
            }
            else if (now.Now >= asking.RetryAt)
            {
                PassOn(number, now);
            }
            else
            {
                _askAt = Instant.Min(_askAt, asking.RetryAt);
            }
        }
    }

    /// <summary>A request on its way.</summary>
    private sealed class Asking(ServiceRequest request, Action<ServiceAnswer> then, Instant until)
    {
        public ServiceRequest Request { get; } = request;

        public Action<ServiceAnswer> Then { get; } = then;

        public Instant Until { get; } = until;

        public Instant RetryAt { get; set; }
    }
}
