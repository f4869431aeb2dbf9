using Carillon.Protocols;
using Carillon.Simulator.World;
using Carillon.Storage.Groups;
using Xunit;

namespace Carillon.Storage.Tests.Groups;

/// <summary>One archive's life with power cuts at any step; the model beside it knows what the archive has promised.</summary>
internal sealed class ArchiveCrashRun(ulong seed) : IDisposable
{
    private readonly ArchiveUnderTest _test = new(seed);
    private readonly RandomSource _random = new(seed * 31);

    // What was promised, and up to where a record that is not durable yet may bring it.
    private ulong _first = 1;
    private ulong _durable;
    private ulong _wanted = 1;
    private bool _replaces;

    private MessageArchive Archive => _test.Archive;

    public void Go()
    {
        int steps = 20 + _random.Below(150);
        for (int step = 0; step < steps; step++)
        {
            _test.Now += _random.Below(100_000_000);
            switch (_random.Below(20))
            {
                case < 9:
                    Append();
                    break;
                case < 16:
                    Work();
                    break;
                case 16:
                    Trim();
                    break;
                case 17 when _random.Chance(0.3):
                    StartAt();
                    break;
                case 18:
                    Check();
                    break;
                case 19:
                    Crash();
                    break;
            }
        }

        Crash();
    }

    public void Dispose() => _test.Dispose();

    private void Append()
    {
        for (int i = _random.Below(30); i > 0; i--)
        {
            if (!Archive.TryAppend(ArchiveUnderTest.At(Archive.Appended.Value + 1)))
            {
                return;
            }
        }
    }

    private void Work()
    {
        if (!Archive.TryBeginWork(_test.Now, out ArchiveWork? work, all: _random.Chance(0.3)))
        {
            return;
        }

        switch (_random.Below(14))
        {
            case 0:
                Crash();
                return;
            case 1:
                work.Write();
                Crash();
                return;
            case 2:
                work.Write();
                work.Flush();
                Crash();
                return;
            case 3:
                Refuse(work, full: true);
                return;
            case 4 when _random.Chance(0.5):
                Refuse(work, full: false);
                return;
            default:
                work.Write();
                work.Flush();
                Archive.Complete(work, null);
                Note();
                return;
        }
    }

    private void Refuse(ArchiveWork work, bool full)
    {
        _test.Device.Faults.Full = full;
        _test.Device.Faults.FailNextFlushIn = full ? null : ArchiveUnderTest.Folder;
        StorageException? failure = null;
        try
        {
            work.Write();
            work.Flush();
        }
        catch (StorageException e)
        {
            failure = e;
        }

        Archive.Complete(work, failure);
        _test.Device.Faults.Full = false;
        _test.Device.Faults.FailNextFlushIn = null;
        Note();
        if (failure?.Fault == StorageFault.Failed)
        {
            Assert.Equal(ArchiveHealth.Failed, Archive.Health);
            Assert.False(Archive.TryAppend(ArchiveUnderTest.At(1)));
            Assert.False(Archive.TryBeginWork(_test.Now, out _, all: true));
            Crash();
        }
    }

    private void Note()
    {
        Assert.True(_test.First >= _first, $"seed {seed}: the first number went back");
        Assert.True(_test.Durable >= _durable || _replaces, $"seed {seed}: the durable number went back");
        Assert.True(_test.Durable + 1 >= _test.First);
        _replaces &= _test.First != _wanted;
        (_first, _durable) = (_test.First, _test.Durable);
    }

    private void Trim()
    {
        if (_test.Durable + 1 > _test.First && !_replaces)
        {
            ulong first = _random.Chance(0.1)
                ? _test.Durable + 1
                : Archive.RetentionPoint(_test.Now, TimeSpan.FromHours(_random.Below(30)), _random.Below(100_000)).Value;
            first = _random.Chance(0.3) ? _test.First + (ulong)_random.Below((int)(_test.Durable - _test.First + 1)) : first;
            _test.Trim(first);
            _wanted = Math.Max(_wanted, first);
        }
    }

    private void StartAt()
    {
        ulong first = Math.Max(_wanted, _test.First) + 1 + (ulong)_random.Below(200);
        _test.StartAt(first);
        (_wanted, _replaces) = (first, true);
    }

    private void Check()
    {
        _test.AssertServesAll();
        Assert.Equal(_first, _test.First);
        Assert.Equal(_durable, _test.Durable);
    }

    private void Crash()
    {
        bool mayBeReplaced = _replaces;
        if (_random.Chance(0.3))
        {
            _test.Restart();
        }
        else
        {
            _test.CutPower((CrashStyle)_random.Below(4));
        }

        Assert.Equal(ArchiveHealth.Good, Archive.Health);
        Assert.InRange(_test.First, _first, Math.Max(_first, _wanted));
        Assert.True(_test.Durable >= _durable || mayBeReplaced, $"seed {seed}: {_durable} was durable, {_test.Durable} came back");
        Assert.True(_test.Durable + 1 >= _test.First);
        Assert.Equal(Archive.Durable, Archive.Appended);
        (_first, _durable, _wanted, _replaces) = (_test.First, _test.Durable, _test.First, false);
        Check();
        Assert.InRange(_test.Device.List(ArchiveUnderTest.Folder).Count, 1, 300);
    }
}
