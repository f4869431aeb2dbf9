using Carillon.Protocols;
using Carillon.Protocols.Primacy;

namespace Carillon.Runtime.Services;

/// <summary>
/// Provides a service by a program of the user's own that has a session with this server. The program keeps its lease by asking for it,
/// and stops by its own clock; a lost session is a provider that is down, but told so only when the program has stopped: not before the
/// end that it was told last.
/// </summary>
internal sealed class SessionProvider(ServiceDefinition definition, ProviderSurroundings around) : Provider(definition, around)
{
    private ProviderSession? _session;
    private bool _provided;
    private bool _ending;
    private bool _wasPrimary;
    private ServiceOrder.Demote? _demotion;
    private Instant _silentUntil;
    private bool _up;
    private bool _left;

    /// <summary>The program has its own.</summary>
    protected override bool HasFiles => false;

    /// <summary>Nothing acts any more: no session, and what the last one was told is over.</summary>
    protected override bool IsOver => _ending && _session is null && Now >= _silentUntil;

    /// <summary>A program opens its session; false if another one has it, or this provider has ended.</summary>
    public async Task<bool> OpenAsync(ProviderSession session)
    {
        var opened = new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
        bool isPosted = Post(() =>
        {
            if (_session is not null || _ending)
            {
                opened.TrySetResult(false);
                return;
            }

            _session = session;
            _left = false;
            opened.TrySetResult(true);
            _ = WakeAtEndAsync(session);
            ServiceLog.Session(Around.Logger, Name.Name, "a provider process has a session");
        });
        if (!isPosted)
        {
            return false;
        }

        // A loop that ends meanwhile answers nothing.
        await Task.WhenAny(opened.Task, Ended);
        return opened.Task.IsCompleted && await opened.Task;
    }

    // What is to be done about it, the loop sees when it looks at the session again.
    private async Task WakeAtEndAsync(ProviderSession session)
    {
        await session.Over;
        Post(static () => { });
    }

    /// <summary>News of a session; those of one that is over count no more.</summary>
    public void Hear(ProviderSession session, ServiceNews news) => Post(() =>
    {
        if (session == _session)
        {
            Hear(news);
        }
    });

    protected override void Carry(ServiceOrder order)
    {
        switch (order)
        {
            case ServiceOrder.Provide provide:
                Definition = provide.Definition;
                if (!_provided && _session is null)
                {
                    Tell(new ServiceNews.ProviderDown(Name, "no program has a session for it with this server", IsFailure: false));
                }

                _provided = true;
                break;
            case ServiceOrder.BecomePrimary when _session is null:
                Tell(new ServiceNews.ProviderDown(Name, "no program has a session for it with this server", IsFailure: false));
                break;
            case ServiceOrder.BecomePrimary primary:
                _wasPrimary = true;
                _demotion = null;
                _session.Lead(primary.Epoch, primary.LeaseEnd);
                _session.Take(order);
                break;
            case ServiceOrder.ExtendLease lease:
                _session?.Extend(lease.Epoch, lease.LeaseEnd);
                break;
            case ServiceOrder.Demote demotion:
                _demotion = demotion;
                _session?.Limit(demotion.Deadline);
                _session?.Take(order);
                break;
            case ServiceOrder.Leave:
                End();
                break;
            case ServiceOrder.BecomeStandby or ServiceOrder.ApplyCheckpoint:
                _session?.Take(order);
                break;
        }
    }

    protected override void End()
    {
        _ending = true;
        _session?.End();
    }

    protected override void Advance(Instant now)
    {
        if (_session is { } session)
        {
            Instant silence = session.Heard + Around.Hosting.SessionTimeout;
            if (now >= silence || session.Over.IsCompleted)
            {
                Lose(session);
            }
            else
            {
                Deadline = Instant.Min(Deadline, silence);
            }
        }

        if (now < _silentUntil)
        {
            Deadline = Instant.Min(Deadline, _silentUntil);
            return;
        }

        if (_session is null)
        {
            TellDown();
        }
        else if (!_up && _provided && !_left)
        {
            _up = true;
            Tell(new ServiceNews.ProviderUp(Name, _session.State));
        }

        EndDemotion(now);
    }

    private void Hear(ServiceNews news)
    {
        switch (news)
        {
            case ServiceNews.Drained when _demotion is null:
                // The program stops by itself, in good order.
                _session!.Stand();
                _wasPrimary = false;
                _up = false;
                _left = true;
                Tell(new ServiceNews.ProviderDown(Name, "its program stops", IsFailure: false));
                break;
            case ServiceNews.ProviderDown:
                // It has stopped, and says why; it may come back with another session.
                _session!.Stand();
                _session.End();
                _wasPrimary = false;
                _up = false;
                _left = true;
                Tell(news);
                break;
            case ServiceNews.Drained drained:
                _session!.Stand();
                _wasPrimary = false;
                _demotion = null;
                Tell(drained);
                break;
            default:
                Tell(news);
                break;
        }
    }

    private void Lose(ProviderSession session)
    {
        session.End();
        _session = null;
        _silentUntil = session.Told;
        ServiceLog.Session(Around.Logger, Name.Name, "the session of its provider process is lost");
    }

    private void TellDown()
    {
        if (!_up)
        {
            return;
        }

        _up = false;
        Tell(new ServiceNews.ProviderDown(Name, "the session of its provider process is lost", IsFailure: _wasPrimary));
        _wasPrimary = false;
    }

    /// <summary>A program that does not say that it has stopped has stopped by its own clock at the end that it was told.</summary>
    private void EndDemotion(Instant now)
    {
        if (_demotion is not { } demotion)
        {
            return;
        }

        if (_session is { } session && (now < demotion.Deadline || !session.TryStand(now)))
        {
            Deadline = Instant.Min(Deadline, now < demotion.Deadline ? demotion.Deadline : session.Told);
            return;
        }

        _demotion = null;
        _session?.End();
        Tell(new ServiceNews.Drained(Name, demotion.Epoch));
    }
}
