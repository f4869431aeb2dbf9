using System.Collections.Immutable;
using Carillon.Protocols.Primacy;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.Wire;

namespace Carillon.Protocols.Cluster;

/// <summary>Lists that both a report and an entry hold: tags, key fences, epochs.</summary>
internal static class CarriedLists
{
    public static int SizeOf(
        ImmutableArray<CarriedTag> tags, ImmutableArray<KeyValuePair<string, long>> fences,
        ImmutableArray<KeyValuePair<ServiceName, Epoch>> epochs)
    {
        int size = 4 + 4 + 4;
        foreach (CarriedTag carried in tags)
        {
            size += WireSize.Tag(carried.Tag) + Digest.Size + 4 + 1 + DiskId.Size;
        }

        foreach ((string key, _) in fences)
        {
            size += WireSize.Text(key) + 8;
        }

        foreach ((ServiceName service, _) in epochs)
        {
            size += WireSize.Text(service.Name) + 8;
        }

        return size;
    }

    public static void Write(
        ref WireWriter writer, ImmutableArray<CarriedTag> tags, ImmutableArray<KeyValuePair<string, long>> fences,
        ImmutableArray<KeyValuePair<ServiceName, Epoch>> epochs)
    {
        writer.U32((uint)tags.Length);
        foreach (CarriedTag carried in tags)
        {
            writer.Tag(carried.Tag);
            writer.Digest(carried.Hash);
            writer.U32(carried.Round);
            writer.Bool(carried.Value);
            writer.Disk(carried.Disk);
        }

        writer.U32((uint)fences.Length);
        foreach ((string key, long until) in fences)
        {
            writer.Text(key);
            writer.I64(until);
        }

        writer.U32((uint)epochs.Length);
        foreach ((ServiceName service, Epoch epoch) in epochs)
        {
            writer.Service(service);
            writer.Epoch(epoch);
        }
    }

    public static ImmutableArray<CarriedTag> ReadTags(ref WireReader reader)
    {
        int count = reader.Count(ConfigurationEntry.MaxCarried, 17 + Digest.Size + 5 + DiskId.Size);
        var tags = ImmutableArray.CreateBuilder<CarriedTag>(count);
        for (int i = 0; i < count; i++)
        {
            tags.Add(new CarriedTag(reader.Tag(), reader.Digest(), reader.U32(), reader.Bool()) { Disk = reader.Disk() });
        }

        return tags.DrainToImmutable();
    }

    public static ImmutableArray<KeyValuePair<string, long>> ReadFences(ref WireReader reader)
    {
        int count = reader.Count(ConfigurationEntry.MaxFences, 10);
        var fences = ImmutableArray.CreateBuilder<KeyValuePair<string, long>>(count);
        for (int i = 0; i < count; i++)
        {
            fences.Add(new(reader.Text(Submission.MaxKeyBytes), reader.I64()));
        }

        return fences.DrainToImmutable();
    }

    public static ImmutableArray<KeyValuePair<ServiceName, Epoch>> ReadEpochs(ref WireReader reader)
    {
        int count = reader.Count(ConfigurationEntry.MaxFences, 10);
        var epochs = ImmutableArray.CreateBuilder<KeyValuePair<ServiceName, Epoch>>(count);
        for (int i = 0; i < count; i++)
        {
            epochs.Add(new(reader.Service(), reader.Epoch()));
        }

        return epochs.DrainToImmutable();
    }
}
