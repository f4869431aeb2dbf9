using System.Collections.Immutable;
using Carillon.Protocols.Primacy;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.Wire;

namespace Carillon.Protocols.Cluster;

/// <summary>Lists that both a report and an entry hold.</summary>
internal static class CarriedTags
{
    public static int SizeOf(ImmutableArray<CarriedTag> tags)
    {
        int size = 4;
        foreach (CarriedTag carried in tags)
        {
            size += WireSize.Tag(carried.Tag) + Digest.Size + 4 + 1;
        }

        return size;
    }

    public static void Write(ref WireWriter writer, ImmutableArray<CarriedTag> tags)
    {
        writer.U32((uint)tags.Length);
        foreach (CarriedTag carried in tags)
        {
            writer.Tag(carried.Tag);
            writer.Digest(carried.Hash);
            writer.U32(carried.Round);
            writer.Bool(carried.Value);
        }
    }

    public static ImmutableArray<CarriedTag> Read(ref WireReader reader)
    {
        int count = reader.Count(ConfigurationEntry.MaxCarried, 17 + Digest.Size + 5);
        var tags = ImmutableArray.CreateBuilder<CarriedTag>(count);
        for (int i = 0; i < count; i++)
        {
            tags.Add(new CarriedTag(reader.Tag(), reader.Digest(), reader.U32(), reader.Bool()));
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
