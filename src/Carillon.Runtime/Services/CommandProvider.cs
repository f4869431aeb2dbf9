using Carillon.Protocols;
using Carillon.Protocols.Primacy;
using Carillon.Runtime.Guarding;
using Carillon.Storage;

namespace Carillon.Runtime.Services;

/// <summary>
/// Provides a service by a command under a guard. What is wanted (nothing, the primary of an epoch, a secondary) and what runs are kept
/// apart, and <see cref="Advance"/> brings the second to the first: one run at a time, the next only when nothing of the last is left.
/// </summary>
internal sealed class CommandProvider(ServiceDefinition definition, ProviderSurroundings around) : Provider(definition, around)
{
    /// <summary>With less of a lease than this nothing is started: it would be asked to stop before it is up.</summary>
    private static readonly TimeSpan ShortestStart = TimeSpan.FromMilliseconds(300);

    /// <summary>The next spare guard starts so long after a run that was asked to end: at the end of a move the processor is for the
    /// successor, which may be on the same machine.</summary>
    private static readonly TimeSpan SpareDelay = TimeSpan.FromSeconds(1);

    private GuardProcess? _spare;
    private Instant _spareAt = Instant.Never;
    private CommandRun? _run;
    private ServiceRole _wanted = ServiceRole.Spare;
    private Epoch _epoch;
    private Instant _leaseEnd;
    private ServiceOrder.Demote? _demotion;
    private Epoch _startedEpoch;
    private Freshness _state;
    private CheckpointWatch? _watch;
    private bool _provided;
    private bool _up;
    private bool _ending;
    private bool _left;
    private int _shortLives;
    private int _failures;
    private Instant _retryAt;
    private Instant _upAt;

    protected override bool HasFiles => true;

    protected override bool IsOver => _ending && _run is null;

    protected override void Carry(ServiceOrder order)
    {
        switch (order)
        {
            case ServiceOrder.Provide provide:
                Provide(provide.Definition);
                break;
            case ServiceOrder.BecomePrimary primary:
                _wanted = ServiceRole.Primary;
                _epoch = primary.Epoch;
                _leaseEnd = primary.LeaseEnd;
                _demotion = null;
                _retryAt = Now;
                _shortLives = 0;
                break;
            case ServiceOrder.ExtendLease lease when _wanted == ServiceRole.Primary && lease.Epoch == _epoch:
                _leaseEnd = lease.LeaseEnd > _leaseEnd ? lease.LeaseEnd : _leaseEnd;
                if (_run is { IsPrimary: true } run && run.Epoch == lease.Epoch)
                {
                    run.Guard.Extend(_leaseEnd);
                }

                break;
            case ServiceOrder.Demote demotion:
                _demotion = demotion;
                _wanted = ServiceRole.Spare;
                break;
            case ServiceOrder.BecomeStandby standby:
                _wanted = standby.Role;
                break;
            case ServiceOrder.ApplyCheckpoint checkpoint:
                Apply(checkpoint);
                break;
            case ServiceOrder.Leave:
                _left = true;
                End();
                break;
        }
    }

    protected override void End()
    {
        _ending = true;
        _wanted = ServiceRole.Spare;
    }

    protected override void Advance(Instant now)
    {
        if (_run is { } run)
        {
            if (!Fits(run))
            {
                Stop(run);
            }
            else if (run.IsPrimary)
            {
                TakeCheckpoint(now, last: false);
            }
        }
        else
        {
            Drain();
            StartWhatIsWanted(now);
        }

        LookForProgram(now);
        KeepSpare(now);
    }

    protected override async Task ReleaseAsync()
    {
        if (_left)
        {
            Place.ForgetState();
        }

        if (_spare is { } spare)
        {
            spare.Stop(Now);
            await spare.Completion;
        }
    }

    private void Provide(ServiceDefinition definition)
    {
        bool isNew = !_provided;
        _provided = true;
        Definition = definition;
        if (isNew)
        {
            _state = Place.ReadState();
            _upAt = Now;
        }
    }

    /// <summary>Tells that the provider is there as soon as it is: the program exists, and the wait after a failure is over.</summary>
    private void LookForProgram(Instant now)
    {
        if (!_provided || _up || _ending)
        {
            return;
        }

        if (now >= _upAt)
        {
            string program = Definition.Command.Arguments[0];
            if (Around.Hosting.Guard is null || !OperatingSystem.IsLinux())
            {
                string why = OperatingSystem.IsLinux() ? "services.commands is off" : "they need Linux";
                Tell(new ServiceNews.ProviderDown(Name, $"this server runs no commands: {why}", IsFailure: false));
                _upAt = Instant.Never;
            }
            else if (CommandPrograms.Exists(program, Place.Work))
            {
                _up = true;
                _spareAt = _spare is null ? now : Instant.Never;
                Tell(new ServiceNews.ProviderUp(Name, _state));
                return;
            }
            else
            {
                Tell(new ServiceNews.ProviderDown(Name, $"the program {program} is not on this server", IsFailure: false));
                _upAt = now + Around.Hosting.ProgramInterval;
            }
        }

        Deadline = Instant.Min(Deadline, _upAt);
    }

    /// <summary>A guard waits ahead of need where the service may start: it is up in a moment then.</summary>
    private void KeepSpare(Instant now)
    {
        if (_spareAt == Instant.Never || _ending || _run is not null || _spare is not null)
        {
            return;
        }

        if (now < _spareAt)
        {
            Deadline = Instant.Min(Deadline, _spareAt);
            return;
        }

        _spareAt = Instant.Never;
        _spare = StartGuard();
    }

    private bool Fits(CommandRun run) => run.StopAsked || _wanted switch
    {
        ServiceRole.Primary => run.IsPrimary && run.Epoch == _epoch && run.Command.SequenceEqual(Definition.Command.Arguments),
        ServiceRole.Secondary => !run.IsPrimary && run.Command.SequenceEqual(Definition.Command.Secondary),
        _ => false,
    };

    private void Stop(CommandRun run)
    {
        run.StopAsked = true;
        Instant deadline = run.IsPrimary ? Instant.Min(_demotion?.Deadline ?? Instant.Never, _leaseEnd)
            : Instant.Never;
        ServiceLog.Stops(Around.Logger, Name.Name, _demotion?.Reason.ToString() ?? (_ending ? "the server stops" : "its role has changed"));
        run.Guard.Stop(deadline);
    }

    /// <summary>Nothing runs: a demotion is complete, and the last state goes to the secondaries before it is told so.</summary>
    private void Drain()
    {
        if (_demotion is not { } demotion)
        {
            return;
        }

        TakeCheckpoint(Now, last: true);
        _demotion = null;
        _watch = null;
        Tell(new ServiceNews.Drained(Name, demotion.Epoch));
    }

    private void StartWhatIsWanted(Instant now)
    {
        bool primary = _wanted == ServiceRole.Primary;
        var command = primary ? Definition.Command.Arguments
            : _wanted == ServiceRole.Secondary ? Definition.Command.Secondary : [];
        if (_ending || command.IsEmpty || Around.Hosting.Guard is null)
        {
            return;
        }

        if (now < _retryAt)
        {
            Deadline = Instant.Min(Deadline, _retryAt);
            return;
        }

        // A lease that is nearly over may be extended: that order brings us here again.
        if (primary && _leaseEnd - now < ShortestStart)
        {
            return;
        }

        GuardProcess? guard = _spare ?? StartGuard();
        _spare = null;
        if (guard is null)
        {
            Fail("its guard can't be started", now);
            return;
        }

        ServiceLog.Starts(Around.Logger, Name.Name, primary ? "primary" : "secondary", primary ? _epoch.Value : 0);
        _run = new CommandRun(guard, primary, _epoch, command, now);
        if (primary && _startedEpoch != _epoch)
        {
            BeginCheckpoints();
        }

        guard.Run(new GuardRun
        {
            Arguments = command,
            Environment = CommandPrograms.EnvironmentOf(
                Name, Around.Node, primary ? ServiceRole.Primary : ServiceRole.Secondary, _epoch, Around.Hosting.ServerAddress),
            LockFile = primary ? Place.PrimaryLock : Place.SecondaryLock,
            GraceMilliseconds = (long)Definition.Command.Grace.TotalMilliseconds,
            LeaseEnd = primary ? _leaseEnd.Ticks : Instant.Never.Ticks,
        });
    }

    private GuardProcess? StartGuard()
    {
        try
        {
            return GuardProcess.Start(
                Around.Hosting.Guard!, Place.Work, (guard, signal, text) => Post(() => Hear(guard, signal, text)),
                line => ServiceLog.Output(Around.Logger, Name.Name, line));
        }
        catch (IOException fault)
        {
            ServiceLog.Trouble(Around.Logger, Name.Name, fault.Message);
            return null;
        }
    }

    private void Hear(GuardProcess guard, GuardSignal signal, string text)
    {
        if (guard == _spare && signal is GuardSignal.Gone or GuardSignal.Failed && _run?.Guard != guard)
        {
            _spare = null;
            return;
        }

        if (_run is not { } run || run.Guard != guard)
        {
            return;
        }

        switch (signal)
        {
            case GuardSignal.Started when run.IsPrimary && _startedEpoch != run.Epoch:
                _startedEpoch = run.Epoch;
                Tell(new ServiceNews.Started(Name, run.Epoch));
                break;
            case GuardSignal.Lapsed:
                run.Lapsed = true;
                ServiceLog.Stops(Around.Logger, Name.Name, "its lease ends");
                break;
            case GuardSignal.Exited:
                run.Status = text;
                break;
            case GuardSignal.Failed:
                run.Status = text;
                RunEnded(run);
                break;
            case GuardSignal.Gone:
                RunEnded(run);
                break;
        }
    }

    private void RunEnded(CommandRun run)
    {
        _run = null;
        Instant now = Now;
        if (run.StopAsked || run.Lapsed)
        {
            _spareAt = now + SpareDelay;
            ServiceLog.Stopped(Around.Logger, Name.Name);
            return;
        }

        _spareAt = now;
        _shortLives = now - run.Since >= Around.Hosting.WellAfter ? 1 : _shortLives + 1;
        if (run.IsPrimary && _shortLives >= Around.Hosting.MaxShortLives)
        {
            Fail($"its command ended {_shortLives} times in a row, at last with status {run.Status}", now);
            return;
        }

        TimeSpan delay = Delay(_shortLives);
        _retryAt = now + delay;
        ServiceLog.Ended(Around.Logger, Name.Name, run.Status, delay.TotalSeconds);
    }

    /// <summary>The provider has failed: somebody else may have the service, and this one offers itself again after a while.</summary>
    private void Fail(string reason, Instant now)
    {
        ServiceLog.Trouble(Around.Logger, Name.Name, reason);
        TakeCheckpoint(now, last: true);
        _wanted = ServiceRole.Spare;
        _up = false;
        _failures++;
        _upAt = now + Delay(_failures + Around.Hosting.MaxShortLives);
        Tell(new ServiceNews.ProviderDown(Name, reason, IsFailure: true));
    }

    private void Apply(ServiceOrder.ApplyCheckpoint checkpoint)
    {
        // A primary's state is its own; and one that is older than what is here would be a step back.
        if (_run is { IsPrimary: true } || checkpoint.State < _state)
        {
            return;
        }

        try
        {
            if (Definition.Command.CheckpointFile is { Length: > 0 } file)
            {
                Place.WriteCheckpoint(file, checkpoint.State, checkpoint.Content);
            }

            _state = checkpoint.State;
            Tell(new ServiceNews.CheckpointApplied(Name, checkpoint.State));
        }
        catch (Exception fault) when (fault is IOException or UnauthorizedAccessException or StorageException)
        {
            ServiceLog.Trouble(Around.Logger, Name.Name, $"a checkpoint can't be kept: {fault.Message}");
        }
    }

    private void BeginCheckpoints()
    {
        string file = Definition.Command.CheckpointFile;
        _watch = file.Length > 0 ? new CheckpointWatch(Place.CheckpointPath(file)) : null;
        _state = new Freshness(_epoch, 0);
    }

    private void TakeCheckpoint(Instant now, bool last)
    {
        if (_watch is not { } watch || _state.Epoch.IsNone)
        {
            return;
        }

        Deadline = Instant.Min(Deadline, now + Around.Hosting.CheckpointInterval);
        if (watch.Look(last) is not { } content)
        {
            if (watch.TooLarge)
            {
                ServiceLog.Trouble(
                    Around.Logger, Name.Name,
                    $"its checkpoint file has more than {ServiceNews.MaxCheckpointBytes} bytes and is not carried");
            }

            return;
        }

        _state = _state with { Number = _state.Number + 1 };
        try
        {
            Place.WriteState(_state);
        }
        catch (Exception fault) when (fault is IOException or UnauthorizedAccessException or StorageException)
        {
            ServiceLog.Trouble(Around.Logger, Name.Name, $"its state can't be noted: {fault.Message}");
        }

        Tell(new ServiceNews.CheckpointTaken(Name, _state, content));
    }
}
