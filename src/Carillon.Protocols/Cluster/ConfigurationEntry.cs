using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using Carillon.Protocols.Primacy;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.Wire;

namespace Carillon.Protocols.Cluster;

/// <summary>
/// A tag that may have been accepted, or decided *no*, under a closed version: the value of the greatest round in which one that closed it
/// had set a bit, as in Paxos. Whoever applies the next version holds it, and decides it so ◆.
/// </summary>
/// <param name="Tag">The tag.</param>
/// <param name="Hash">SHA-256 of its record; zeros where nobody told.</param>
/// <param name="Round">The greatest round; <see cref="Decided"/> for one that is known to be agreed.</param>
/// <param name="Value">What the bits say.</param>
public readonly record struct CarriedTag(Tag Tag, Digest Hash, uint Round, bool Value)
{
    /// <summary>Above every round.</summary>
    public const uint Decided = uint.MaxValue;

    /// <summary>Which disk made it, in whose session of the feed it is once it has a number; none where nobody told, which had the record.
    /// Its server may have another one by now ◆.</summary>
    public DiskId Disk { get; init; }
}

/// <summary>
/// One version of a cluster's configuration with what its predecessor left undecided, as it stands in the feed: the record
/// <c>.system/configuration/VERSION</c>. A version is in force at a server from its delivery on.
/// <code>
/// u8 version = 1 │ text cluster │ u64 version │ u16 quorum │ i64 lease ms │ u32 count │ servers │ u32 count │ carried tags
/// │ u32 count │ (text key │ i64 until ms)* │ u32 count │ (service │ epoch)*
/// server:      node │ disk 16 │ text host │ u16 http │ u16 tunnel │ u16 datagrams │ u8 flags │ text domain │ u32 weight
/// flags:       1 entry │ 2 storage
/// carried tag: tag │ hash 32 │ u32 round │ bool value │ disk 16, zeros where nobody told
/// </code>
/// </summary>
/// <param name="Configuration">The version.</param>
/// <param name="Carried">What those that closed the version before had set a bit for, or knew to be agreed and not in the feed.</param>
/// <param name="Fences">Idempotency keys that any of them refused, each with the end of that.</param>
/// <param name="Epochs">The greatest epoch of each service that any of them had promised.</param>
public sealed record ConfigurationEntry(
    ClusterConfiguration Configuration, ImmutableArray<CarriedTag> Carried, ImmutableArray<KeyValuePair<string, long>> Fences,
    ImmutableArray<KeyValuePair<ServiceName, Epoch>> Epochs)
{
    /// <summary>The most carried tags; a version with more that is open is closed when there is less.</summary>
    public const int MaxCarried = 50_000;

    /// <summary>The most fences, and services.</summary>
    public const int MaxFences = 50_000;

    private const string Folder = "configuration/";
    private const byte FormatVersion = 1;

    /// <summary>A version from a file, with nothing left of another one.</summary>
    public static ConfigurationEntry Of(ClusterConfiguration configuration) => new(configuration, [], [], []);

    /// <summary>Where the record of a version is.</summary>
    public static ObjectName TargetOf(ulong version) =>
        new(ObjectName.SystemBucket, string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{Folder}{version}"));

    /// <summary>True for the record of a version.</summary>
    public static bool IsTarget(ObjectName target) =>
        target.Bucket == ObjectName.SystemBucket && target.Name.StartsWith(Folder, StringComparison.Ordinal);

    /// <summary>True for the submission of a version: the one kind that gets bits under a closed one.</summary>
    public static bool IsOne(Submission? submission) => submission is not null && IsTarget(submission.Operations[0].Target);

    /// <summary>Reads the version that a submission holds.</summary>
    public static bool TryRead(Submission submission, [NotNullWhen(true)] out ConfigurationEntry? entry)
    {
        entry = null;
        return IsOne(submission) && submission.Operations is [{ Manifest: { Form: ContentForm.Inline } manifest }]
            && TryRead(manifest.Inline.Span, out entry)
            && submission.Operations[0].Target == TargetOf(entry.Configuration.Version);
    }

    /// <summary>The record's bytes.</summary>
    public byte[] Write()
    {
        byte[] bytes = new byte[SizeOf()];
        var writer = new WireWriter(bytes);
        writer.U8(FormatVersion);
        writer.Text(Configuration.Cluster);
        writer.U64(Configuration.Version);
        writer.U16((ushort)Configuration.Quorum.Size);
        writer.I64((long)Configuration.LeaseDuration.TotalMilliseconds);
        writer.U32((uint)Configuration.Servers.Length);
        foreach (ServerRecord server in Configuration.Servers)
        {
            Write(ref writer, server);
        }

        CarriedLists.Write(ref writer, Carried, Fences, Epochs);

        return bytes;
    }

    /// <summary>Reads a record's bytes; false for what is none.</summary>
    public static bool TryRead(ReadOnlySpan<byte> bytes, [NotNullWhen(true)] out ConfigurationEntry? entry)
    {
        entry = null;
        var reader = new WireReader(bytes);
        byte format = reader.U8();
        string cluster = reader.Text(128);
        ulong version = reader.U64();
        int quorum = reader.U16();
        long lease = reader.I64();
        int count = reader.Count(ClusterConfiguration.MaxServers, 20);
        var servers = ImmutableArray.CreateBuilder<ServerRecord>(count);
        for (int i = 0; i < count; i++)
        {
            servers.Add(ReadServer(ref reader));
        }

        ImmutableArray<CarriedTag> carried = CarriedLists.ReadTags(ref reader);
        ImmutableArray<KeyValuePair<string, long>> fences = CarriedLists.ReadFences(ref reader);
        ImmutableArray<KeyValuePair<ServiceName, Epoch>> epochs = CarriedLists.ReadEpochs(ref reader);
        int voters = servers.Count(s => s.Entry);
        if (reader.Failed || reader.Remaining > 0 || format != FormatVersion || voters == 0 || quorum > voters || quorum * 2 <= voters
            || lease is < 1 or > 3_600_000 || servers.DistinctBy(s => s.Name).Count() != count)
        {
            return false;
        }

        var configuration = new ClusterConfiguration(cluster, version, servers.DrainToImmutable(), quorum)
        {
            LeaseDuration = TimeSpan.FromMilliseconds(lease),
        };
        entry = new ConfigurationEntry(configuration, carried, fences, epochs);
        return true;
    }

    private int SizeOf()
    {
        int size = 1 + WireSize.Text(Configuration.Cluster) + 8 + 2 + 8 + 4 + CarriedLists.SizeOf(Carried, Fences, Epochs);
        foreach (ServerRecord server in Configuration.Servers)
        {
            size += WireSize.Node(server.Name) + DiskId.Size + WireSize.Text(server.Host) + 6 + 1 + WireSize.Text(server.FailureDomain) + 4;
        }

        return size;
    }

    private static void Write(ref WireWriter writer, ServerRecord server)
    {
        writer.Node(server.Name);
        writer.Disk(server.Disk);
        writer.Text(server.Host);
        writer.U16((ushort)server.HttpPort);
        writer.U16((ushort)server.TunnelPort);
        writer.U16((ushort)server.DatagramPort);
        writer.U8((byte)((server.Entry ? 1 : 0) | (server.Storage ? 2 : 0)));
        writer.Text(server.FailureDomain);
        writer.U32((uint)server.Weight);
    }

    private static ServerRecord ReadServer(ref WireReader reader)
    {
        NodeId name = reader.Node();
        DiskId disk = reader.Disk();
        string host = reader.Text(512);
        int http = reader.U16();
        int tunnel = reader.U16();
        int datagrams = reader.U16();
        byte flags = reader.U8();
        return new ServerRecord
        {
            Name = name, Disk = disk, Host = host, HttpPort = http, TunnelPort = tunnel, DatagramPort = datagrams,
            Entry = (flags & 1) != 0, Storage = (flags & 2) != 0, FailureDomain = reader.Text(512), Weight = (int)reader.U32(),
        };
    }
}
