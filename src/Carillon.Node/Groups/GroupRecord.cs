using System.Buffers;
using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Submissions;

namespace Carillon.Node.Groups;

/// <summary>
/// A group as it was created: the content of its record <c>.system/groups/NAME</c>, as JSON. The identity tells a group that was removed
/// and created again from the one before: its messages, its log records and its files are never taken for the other's.
/// </summary>
/// <param name="Id">Its identity; never zero.</param>
/// <param name="Settings">What was asked for.</param>
/// <remarks>
/// <code>
/// {"id":"0123456789abcdef","durability":"durable","retainTime":604800000,"retainBytes":1073741824,"lifetime":1000000}
/// … ,"fifo":true} where senders' order is kept
/// </code>
/// </remarks>
public sealed record GroupRecord(ulong Id, GroupSettings Settings)
{
    /// <summary>Digits of an identity as text.</summary>
    public const int IdDigits = 16;

    private const string Folder = "groups/";
    private const int MaxJsonBytes = 4096;

    /// <summary>Prefix of all groups' records in the system's bucket.</summary>
    public static string Prefix => Folder;

    /// <summary>The identity that a creation gives: the same for each repetition under its key.</summary>
    public static ulong IdOf(GroupName name, string key)
    {
        ulong id = BinaryPrimitives.ReadUInt64BigEndian(SHA256.HashData(Encoding.UTF8.GetBytes($"group\n{name}\n{key}")));
        return id == 0 ? 1 : id;
    }

    /// <summary>The identity as the cores and the archive use it in place of a name.</summary>
    public static GroupName NameOf(ulong id) => GroupName.Parse(id.ToString("x16", CultureInfo.InvariantCulture));

    /// <summary>Reads what <see cref="NameOf"/> makes.</summary>
    public static bool TryParseId(GroupName name, out ulong id)
    {
        id = 0;
        return name.Name.Length == IdDigits
            && ulong.TryParse(name.Name, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out id);
    }

    /// <summary>Where a group's record is.</summary>
    public static ObjectName TargetOf(GroupName name) => new(ObjectName.SystemBucket, Folder + name.Name);

    /// <summary>The group whose record this is, if it is one.</summary>
    public static bool IsTarget(ObjectName target, out GroupName name)
    {
        name = default;
        return target.Bucket == ObjectName.SystemBucket && target.Name.StartsWith(Folder, StringComparison.Ordinal)
            && GroupName.TryParse(target.Name.AsSpan(Folder.Length), out name);
    }

    /// <summary>The record's content.</summary>
    public byte[] Write()
    {
        var buffer = new ArrayBufferWriter<byte>(256);
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteString("id", Id.ToString("x16", CultureInfo.InvariantCulture));
            json.WriteString("durability", Settings.Durability == GroupDurability.Memory ? "memory" : "durable");
            json.WriteNumber("retainTime", (long)Settings.RetainTime.TotalMilliseconds);
            json.WriteNumber("retainBytes", Settings.RetainBytes);
            json.WriteNumber("lifetime", Settings.Lifetime);
            if (Settings.Fifo)
            {
                json.WriteBoolean("fifo", true);
            }

            json.WriteEndObject();
        }

        return buffer.WrittenSpan.ToArray();
    }

    /// <summary>Reads a record's content; false for bytes that are none.</summary>
    public static bool TryRead(ReadOnlySpan<byte> json, [NotNullWhen(true)] out GroupRecord? record)
    {
        record = null;
        if (json.Length > MaxJsonBytes)
        {
            return false;
        }

        try
        {
            var reader = new Utf8JsonReader(json);
            record = Read(ref reader);
        }
        catch (Exception fault) when (fault is JsonException or InvalidOperationException or FormatException or OverflowException)
        {
            return false;
        }

        if (record.Id == 0 || record.Settings.Validate().Count > 0)
        {
            record = null;
        }

        return record is not null;
    }

    private static GroupRecord Read(ref Utf8JsonReader reader)
    {
        var record = new GroupRecord(0, new GroupSettings());
        if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject)
        {
            throw new JsonException("a group's record is a JSON object");
        }

        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string name = reader.GetString()!;
            reader.Read();
            GroupSettings settings = record.Settings;
            record = name switch
            {
                "id" => record with { Id = ulong.Parse(reader.GetString()!, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture) },
                "durability" => record with { Settings = settings with { Durability = DurabilityOf(reader.GetString()) } },
                "retainTime" => record with { Settings = settings with { RetainTime = TimeSpan.FromMilliseconds(reader.GetInt64()) } },
                "retainBytes" => record with { Settings = settings with { RetainBytes = reader.GetInt64() } },
                "lifetime" => record with { Settings = settings with { Lifetime = reader.GetUInt64() } },
                "fifo" => record with { Settings = settings with { Fifo = reader.GetBoolean() } },
                _ => throw new JsonException($"there is no group setting '{name}'"),
            };
        }

        reader.Read();
        return record;
    }

    private static GroupDurability DurabilityOf(string? text) => text switch
    {
        "durable" => GroupDurability.Durable,
        "memory" => GroupDurability.Memory,
        _ => throw new JsonException("durability is durable or memory"),
    };
}
