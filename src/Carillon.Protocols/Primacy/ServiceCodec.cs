using System.Collections.Immutable;
using Carillon.Protocols.Wire;

namespace Carillon.Protocols.Primacy;

/// <summary>
/// Definitions as they travel and are stored:
/// <c>service │ u8 count │ nodes… │ node preferred │ u8 wanted secondaries │ service with, or empty │ u16 count │ texts (arguments)
/// │ u16 count │ texts (the secondary's) │ text checkpoint file │ u32 grace, ms</c>.
/// </summary>
internal static class ServiceCodec
{
    /// <summary>The most arguments of a command.</summary>
    public const int MaxArguments = 256;

    /// <summary>The longest argument, and the longest path of a checkpoint file, in bytes.</summary>
    public const int MaxArgumentBytes = 8 << 10;

    /// <summary>The most bytes of a whole definition, so that a thousand of them fit a table.</summary>
    public const int MaxDefinitionBytes = 32 << 10;

    public static int SizeOf(ServiceDefinition definition) =>
        PrimacyCodec.SizeOf(definition.Name) + SizeOf(definition.Providers) + WireSize.Node(definition.Preferred) + 1
        + PrimacyCodec.SizeOf(definition.With)
        + SizeOf(definition.Command.Arguments) + SizeOf(definition.Command.Secondary)
        + WireSize.Text(definition.Command.CheckpointFile) + 4;

    public static void Write(ref WireWriter writer, ServiceDefinition definition)
    {
        writer.Service(definition.Name);
        Write(ref writer, definition.Providers);
        writer.Node(definition.Preferred);
        writer.U8((byte)definition.WantedSecondaries);
        writer.Service(definition.With);
        Write(ref writer, definition.Command.Arguments);
        Write(ref writer, definition.Command.Secondary);
        writer.Text(definition.Command.CheckpointFile);
        writer.Milliseconds(definition.Command.Grace);
    }

    public static ServiceDefinition ReadDefinition(ref WireReader reader)
    {
        ServiceName name = reader.Service();
        ImmutableArray<NodeId> providers = ReadNodes(ref reader);
        NodeId preferred = reader.Node();
        int secondaries = reader.U8();
        ServiceName with = reader.ServiceOrNone();
        return new ServiceDefinition
        {
            Name = name,
            Providers = providers,
            Preferred = preferred,
            WantedSecondaries = secondaries,
            With = with,
            Command = new ServiceCommand
            {
                Arguments = ReadTexts(ref reader),
                Secondary = ReadTexts(ref reader),
                CheckpointFile = reader.Text(MaxArgumentBytes),
                Grace = reader.Milliseconds(),
            },
        };
    }

    public static int SizeOf(ImmutableArray<NodeId> nodes) => 1 + nodes.Sum(WireSize.Node);

    public static void Write(ref WireWriter writer, ImmutableArray<NodeId> nodes)
    {
        writer.U8((byte)nodes.Length);
        foreach (NodeId node in nodes)
        {
            writer.Node(node);
        }
    }

    public static ImmutableArray<NodeId> ReadNodes(ref WireReader reader)
    {
        int count = reader.U8();
        if (count > ServiceDefinition.MaxProviders)
        {
            reader.Fail();
        }

        var nodes = ImmutableArray.CreateBuilder<NodeId>();
        for (int i = 0; i < count && !reader.Failed; i++)
        {
            NodeId node = reader.Node();
            if (node.IsNone || nodes.Contains(node))
            {
                reader.Fail();
            }

            nodes.Add(node);
        }

        return nodes.ToImmutable();
    }

    private static int SizeOf(ImmutableArray<string> texts) => 2 + texts.Sum(WireSize.Text);

    private static void Write(ref WireWriter writer, ImmutableArray<string> texts)
    {
        writer.U16((ushort)texts.Length);
        foreach (string text in texts)
        {
            writer.Text(text);
        }
    }

    private static ImmutableArray<string> ReadTexts(ref WireReader reader)
    {
        int count = reader.U16();
        if (count > MaxArguments || count * 2 > reader.Remaining)
        {
            reader.Fail();
            return [];
        }

        var texts = ImmutableArray.CreateBuilder<string>(count);
        for (int i = 0; i < count && !reader.Failed; i++)
        {
            texts.Add(reader.Text(MaxArgumentBytes));
        }

        return texts.ToImmutable();
    }
}
