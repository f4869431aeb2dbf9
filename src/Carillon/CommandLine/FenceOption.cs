using System.CommandLine;
using System.Globalization;
using Carillon.Protocols.Primacy;

namespace Carillon.CommandLine;

/// <summary><c>--fence service=NAME,epoch=E</c>: a write that is refused once a newer epoch of the service was granted.</summary>
internal static class FenceOption
{
    public static Option<string?> Create() => new("--fence")
    {
        Description = "Refuse it once a newer epoch of the service was granted (exit code 5)", HelpName = "service=NAME,epoch=E",
    };

    /// <summary>Its value; <c>default</c> where it is not given.</summary>
    /// <exception cref="UsageException">It is none.</exception>
    public static Fence Of(string? text)
    {
        if (text is null)
        {
            return default;
        }

        string? service = null;
        string? epoch = null;
        foreach (string part in text.Split(',', ';'))
        {
            string[] pair = part.Split('=', 2);
            string? value = pair.Length == 2 ? pair[1] : null;
            switch (pair[0])
            {
                case "service" when service is null:
                    service = value;
                    break;
                case "epoch" when epoch is null:
                    epoch = value;
                    break;
                default:
                    throw Wrong(text);
            }
        }

        return ServiceName.TryParse(service, out ServiceName name)
            && ulong.TryParse(epoch, NumberStyles.None, CultureInfo.InvariantCulture, out ulong number) && number > 0
            ? new Fence(name, new Epoch(number)) : throw Wrong(text);
    }

    private static UsageException Wrong(string text) =>
        new($"--fence {text}: use service=NAME,epoch=E, as with $CARILLON_SERVICE and $CARILLON_EPOCH");
}
