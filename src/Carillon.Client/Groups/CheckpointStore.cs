using System.Globalization;
using System.Security.Cryptography;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Submissions;

namespace Carillon.Client.Groups;

/// <summary>
/// A table's checkpoints as objects, <c>PREFIX/GROUP/NUMBER</c> with 20 digits, so that their names stand in the order of their numbers.
/// Members that took one at the same number must have taken the same bytes. GROUP is the group's identity: another group that had the name,
/// or will have it, has other messages at the same numbers.
/// </summary>
internal sealed class CheckpointStore(CarillonClient client, ObjectName place, string groupId, int kept)
{
    private const int Digits = 20;

    private string Prefix => $"{(place.Name.Length == 0 || place.Name.EndsWith('/') ? place.Name : place.Name + "/")}{groupId}/";

    /// <summary>The newest whole checkpoint behind this number, or null.</summary>
    /// <exception cref="CarillonException">They can't be read now.</exception>
    public async Task<(SequenceNumber Number, List<KeyValuePair<byte[], byte[]>> Entries)?> ReadNewestAsync(
        SequenceNumber behind, CancellationToken cancellation)
    {
        foreach (ulong number in (await NumbersAsync(cancellation)).Where(n => n > behind.Value).Reverse())
        {
            try
            {
                byte[] bytes = await client.GetBytesAsync(NameOf(number), cancellation: cancellation);
                if (TableCheckpoint.TryDecode(bytes, out SequenceNumber told, out var entries) && told.Value == number)
                {
                    return (told, entries);
                }
            }
            catch (CarillonException gone) when (gone.Failure is Failure.NotFound or Failure.Integrity)
            {
                // Removed meanwhile, or harmed: there is one before it.
                continue;
            }
        }

        return null;
    }

    /// <summary>Keeps a checkpoint, unless it is there; false where another member's differs.</summary>
    /// <exception cref="CarillonException">It can't be kept now.</exception>
    public async Task<bool> KeepAsync(SequenceNumber number, byte[] bytes, CancellationToken cancellation)
    {
        string digest = Convert.ToHexStringLower(SHA256.HashData(bytes));
        ObjectName name = NameOf(number.Value);
        if (await DigestAsync(name, cancellation) is { } there)
        {
            return Same(there, digest);
        }

        (await client.PutAsync(name, PutSource.FromBytes(bytes), cancellation: cancellation)).AcceptedOrThrow();
        // Two members may have found nothing and put both; then both versions are there.
        bool same = true;
        var versions = new ListOptions { Prefix = name.Name, Versions = true };
        await foreach (ObjectPage page in client.ListAsync(name.Bucket, versions, cancellation))
        {
            same &= page.Objects.All(o => o.Kind == "delete" || o.Sha256 is not { } other || Same(other, digest));
        }

        if (same)
        {
            await TrimAsync(cancellation);
        }

        return same;
    }

    private static bool Same(string one, string other) => string.Equals(one, other, StringComparison.OrdinalIgnoreCase);

    private async Task<string?> DigestAsync(ObjectName name, CancellationToken cancellation)
    {
        try
        {
            return (await client.StatAsync(name, cancellation: cancellation)).Sha256;
        }
        catch (CarillonException absent) when (absent.Failure == Failure.NotFound)
        {
            return null;
        }
    }

    private async Task TrimAsync(CancellationToken cancellation)
    {
        List<ulong> numbers = await NumbersAsync(cancellation);
        foreach (ulong number in numbers.Take(Math.Max(0, numbers.Count - kept)))
        {
            (await client.DeleteAsync(NameOf(number), cancellation: cancellation)).AcceptedOrThrow();
        }
    }

    private async Task<List<ulong>> NumbersAsync(CancellationToken cancellation)
    {
        var numbers = new List<ulong>();
        await foreach (ObjectPage page in client.ListAsync(place.Bucket, new ListOptions { Prefix = Prefix }, cancellation))
        {
            foreach (ObjectEntry entry in page.Objects)
            {
                string text = entry.Name[Prefix.Length..];
                if (text.Length == Digits && ulong.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out ulong number))
                {
                    numbers.Add(number);
                }
            }
        }

        return numbers;
    }

    private ObjectName NameOf(ulong number) => new(place.Bucket, Prefix + number.ToString("D20", CultureInfo.InvariantCulture));
}
