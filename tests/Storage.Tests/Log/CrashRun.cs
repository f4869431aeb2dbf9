using Carillon.Protocols;
using Carillon.Storage.Log;
using Xunit;

namespace Carillon.Storage.Tests.Log;

/// <summary>One log's life: the model beside it knows what was appended at each position, and what the log called durable.</summary>
internal sealed class CrashRun(ulong seed)
{
    private readonly RandomSource _random = new(seed);
    private readonly LogDriver _driver = new(options: LogDriver.Small with { MaxFreeSegments = 2 + (int)(seed % 3) });
    private readonly SortedDictionary<long, byte[]> _appended = [];
    private long _cut = 1;
    private long _snapshot;
    private long _snapshotEnd;
    private int _life = 1;

    private SegmentLog Log => _driver.Log;

    public void Go()
    {
        int steps = 20 + _random.Below(200);
        for (int step = 0; step < steps; step++)
        {
            switch (_random.Below(20))
            {
                case < 10:
                    Append();
                    break;
                case < 16:
                    Flush();
                    break;
                case 16:
                    Prepare();
                    break;
                case 17:
                    Snapshot();
                    break;
                case 18:
                    Cut();
                    break;
                default:
                    Crash();
                    break;
            }
        }

        Crash();
    }

    private void Append()
    {
        int length = _random.Chance(0.05) ? 12 + _random.Below(50_000) : 12 + _random.Below(2000);
        if (!Log.CanAppend(length, urgent: _random.Chance(0.2)))
        {
            return;
        }

        // The bytes differ from life to life: a record of a dropped tail must not come back in place of its successor.
        byte[] record = LogDriver.Record((Log.Appended.Value + 1) * 100 + _life, length);
        _appended[Log.Append(record).Value] = record;
    }

    private void Flush()
    {
        if (!Log.TryBeginBatch(out LogBatch? batch))
        {
            return;
        }

        switch (_random.Below(12))
        {
            case 0:
                Crash();
                break;
            case 1:
                batch.Write();
                Crash();
                break;
            case 2:
                batch.Write();
                batch.Flush();
                Crash();
                break;
            case 3:
                _driver.Device.FlushFailures.Enqueue(new StorageException("error 5"));
                Log.Complete(batch, LogDriver.Try(batch.Write, batch.Flush));
                Assert.Equal(LogCondition.Failed, Log.Health.Condition);
                Crash();
                break;
            default:
                Log.Complete(batch, LogDriver.Try(batch.Write, batch.Flush));
                break;
        }
    }

    private void Prepare()
    {
        if (!Log.TryBeginPreparation(out SegmentPreparation? preparation))
        {
            return;
        }

        preparation.Write();
        if (_random.Chance(0.2))
        {
            Crash();
            return;
        }

        preparation.Flush();
        Log.Complete(preparation, null);
    }

    private void Snapshot()
    {
        if (_snapshot == 0)
        {
            _snapshot = Log.BeginSnapshot().Value;
            Append();
            Append();
            _snapshotEnd = Log.Appended.Value;
        }
    }

    private void Cut()
    {
        if (_snapshot > 0 && Log.Durable.Value >= _snapshotEnd)
        {
            Log.CutBefore(new LogPosition(_snapshot));
            (_cut, _snapshot) = (_snapshot, 0);
        }
    }

    private void Crash()
    {
        long durable = Log.Durable.Value;
        if (_random.Chance(0.7))
        {
            _driver.Device.CutPower(_random);
        }

        _driver.Device.FlushFailures.Clear();
        _driver.Reopen();
        Assert.True(Log.Health.IsWritable, Log.Health.Reason);
        Assert.Equal(Log.Durable, Log.Appended);
        Assert.True(Log.Durable.Value >= durable, $"seed {seed}: {durable} were durable, {Log.Durable} came back");
        long expected = _driver.Recovered.Count > 0 ? _driver.Recovered[0].Position : Log.Durable.Value + 1;
        Assert.True(expected <= _cut, $"seed {seed}: starts at {expected}, needed from {_cut}");
        foreach ((long position, byte[] record) in _driver.Recovered)
        {
            Assert.Equal(expected++, position);
            Assert.Equal(_appended[position], record);
        }

        Assert.Equal(Log.Durable.Value + 1, expected);
        while (_appended.Count > 0 && _appended.Keys.Last() > Log.Durable.Value)
        {
            _appended.Remove(_appended.Keys.Last());
        }

        _life++;
        _snapshot = 0;
        Assert.InRange(_driver.Device.List(LogDriver.Folder).Count, 1, 200);
    }
}
