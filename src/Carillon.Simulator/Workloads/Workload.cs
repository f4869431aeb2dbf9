using System.Collections.Immutable;
using Carillon.Node.Requests;
using Carillon.Protocols;
using Carillon.Protocols.Submissions;
using Carillon.Simulator.World;
using Carillon.Storage.Catalogs;

namespace Carillon.Simulator.Workloads;

/// <summary>All clients of a run, the names that they share, and the evidence of what they did.</summary>
internal sealed class Workload
{
    /// <summary>The bucket that is there throughout.</summary>
    public const string Bucket = "bucket";

    /// <summary>The bucket that clients create and remove, under each other's eyes.</summary>
    public const string RacedBucket = "raced";

    /// <summary>Servers that shall hold each chunk.</summary>
    public const int Replicas = 3;

    /// <summary>Versions that the common bucket keeps of a name.</summary>
    public const int VersionsKept = 5;

    // Glances of the onlooker in a run (and writes that are repeated at a rare moment), and how many of the moments that are worth one
    // get it.
    private const int MostGlances = 40;
    private const double GlanceShare = 0.3;

    private static readonly TimeSpan GlanceDelayMost = TimeSpan.FromMilliseconds(30);

    private readonly SimulatedWorld _world;
    private readonly RandomSource _random;
    private readonly List<SimulatedClient> _clients = [];
    private readonly SimulatedClient _onlooker;
    private int _glances;
    private int _repeats;
    private int _turns;
    private int _underWay;
    private int _keys;
    private bool _stopped;

    public Workload(SimulatedWorld world, WorkloadOptions options, RandomSource random)
    {
        _world = world;
        _random = random;
        Options = options;
        Contents = new Contents(options, Evidence);
        Connection = new Connection(world, random.Fork(), options);
        for (int i = 0; i < options.Clients; i++)
        {
            _clients.Add(new SimulatedClient(world, this, FormattableString.Invariant($"c{i + 1}"), random.Fork()));
        }

        _onlooker = new SimulatedClient(world, this, "onlooker", random.Fork());
    }

    public WorkloadOptions Options { get; }

    public Evidence Evidence { get; } = new();

    public Contents Contents { get; }

    public Connection Connection { get; }

    /// <summary>True when no operation is under way.</summary>
    public bool IsQuiet => _underWay == 0 && !_clients.Exists(client => client.Busy);

    /// <summary>True when all turns are taken and nothing is under way.</summary>
    public bool IsExhausted => _turns >= Options.Operations && IsQuiet;

    /// <summary>Names in use, in order.</summary>
    public IEnumerable<ObjectName> Names => Enumerable.Range(0, Options.Names).Select(NameOf);

    /// <summary>The common bucket's settings.</summary>
    public static BucketSettings SettingsOf(bool allowsAgreed) => new() { Versions = VersionsKept, AckAgreed = allowsAgreed };

    /// <summary>Lets all clients begin.</summary>
    public void Start()
    {
        foreach (SimulatedClient client in _clients)
        {
            client.Start();
        }
    }

    /// <summary>No client begins anything any more.</summary>
    public void Stop() => _stopped = true;

    /// <summary>True if there is a turn left for a client.</summary>
    public bool TakeTurn() => !_stopped && _turns++ < Options.Operations;

    /// <summary>One of the names.</summary>
    public ObjectName AnyName(RandomSource random) => NameOf(random.Below(Options.Names));

    /// <summary>A key that was not used.</summary>
    public string NewKey() => FormattableString.Invariant($"key-{++_keys}");

    /// <summary>The key that the next write will have.</summary>
    public string NextKey() => FormattableString.Invariant($"key-{_keys + 1}");

    /// <summary>Notes that a write begins.</summary>
    public WriteRecord NewWrite(string client, ImmutableArray<PlannedOperation> operations)
    {
        var record = new WriteRecord(Evidence.Writes.Count + 1, client, NewKey(), operations, _world.Queue.Now)
        {
            Ack = _random.Chance(Options.AgreedShare) ? AckWanted.Agreed : AckWanted.Sequenced,
        };
        Evidence.Writes.Add(record);
        return record;
    }

    /// <summary>Runs a write.</summary>
    public void Write(WriteRecord record, RandomSource random, Action done) =>
        Write(record, random, random.Below(_world.Servers.Count), done);

    private void Write(WriteRecord record, RandomSource random, int place, Action done)
    {
        _underWay++;
        new WriteCall(_world, Connection, random, Options, Evidence, record, place, () =>
        {
            _underWay--;
            _world.Digest.Add((ulong)record.Verdict);
            if (record.Verdict == LibraryVerdict.Accepted)
            {
                foreach (PlannedOperation operation in record.Operations)
                {
                    Evidence.See(operation.Target, record.Tag.Uid, operation.Value);
                }
            }

            done();
        }).Start();
    }

    /// <summary>Runs a write a second time, under the same key, beside the first.</summary>
    public void Repeat(WriteRecord record, RandomSource random) => Repeat(record, random, random.Below(_world.Servers.Count));

    private void Repeat(WriteRecord record, RandomSource random, int place)
    {
        var again = new WriteRecord(Evidence.Writes.Count + 1, $"{record.Client}-again", record.Key, record.Operations, _world.Queue.Now);
        Evidence.Writes.Add(again);
        Write(again, random, place, static () => { });
    }

    /// <summary>Something rare happens to a submission: a client reads its name just then, now and then.</summary>
    public void Glance(Tag tag)
    {
        if (_stopped || _glances >= MostGlances || Evidence.Submissions.FirstNameOf(tag) is not { Bucket: Bucket } name
            || !_random.Chance(GlanceShare))
        {
            return;
        }

        _glances++;
        Look(name, _random.Below(_world.Servers.Count));
    }

    /// <summary>A server is cut off with a submission of its own: somebody reads the name elsewhere, so that the others decide without
    /// it.</summary>
    public void ReadElsewhere(int place, Tag tag)
    {
        if (!_stopped && Evidence.Submissions.FirstNameOf(tag) is { Bucket: Bucket } name)
        {
            Look(name, OtherThan(place));
        }
    }

    /// <summary>A submission was rejected, and a server that set its yes for it does not know: its user runs the same command again,
    /// at a server that does.</summary>
    public void RepeatAt(Tag tag, int place)
    {
        if (!_stopped && _repeats < MostGlances && Evidence.Submissions.KeyOf(tag) is { } key
            && !Evidence.Writes.Exists(write => write.Key == key && write.Verdict == LibraryVerdict.Accepted)
            && Evidence.Writes.Find(write => write.Key == key) is { } record)
        {
            _repeats++;
            _world.Queue.After(default, () => Repeat(record, _random, place));
        }
    }

    /// <summary>Puts one new content through a given server, in the quiet at the end.</summary>
    public WriteRecord PutQuietly(ObjectName name, int place)
    {
        WriteRecord record = NewWrite("quiet", [Contents.Put(name, _random)]);
        Write(record, _random, place, static () => { });
        return record;
    }

    /// <summary>Reads a name through a given server, in the quiet at the end.</summary>
    public void GetQuietly(ObjectName name, int place, Action done) =>
        _clients[0].Get(name, _world.Queue.Now, place, 1, done);

    private void Look(ObjectName name, int place)
    {
        _underWay++;
        _world.Queue.After(
            _random.Below(GlanceDelayMost), () => _onlooker.Get(name, _world.Queue.Now, place, 1, () => _underWay--));
    }

    private int OtherThan(int place) => (place + 1 + _random.Below(_world.Servers.Count - 1)) % _world.Servers.Count;

    private static ObjectName NameOf(int number) => new(Bucket, FormattableString.Invariant($"name-{number:D3}"));
}
