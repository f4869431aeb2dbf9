using Carillon.Protocols;
using System.Globalization;
using Carillon.Gateway.Problems;
using Carillon.Protocols.Primacy;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Primitives;

namespace Carillon.Gateway.Objects;

/// <summary>The request header that fences a write: <c>Carillon-Fence: service=NAME;epoch=E</c>.</summary>
internal static class FenceHeader
{
    private const string Name = "Carillon-Fence";

    /// <summary>Reads it; false with the problem where it is not right. Without it there is no fence.</summary>
    public static bool TryRead(IHeaderDictionary headers, out Fence fence, out Problem? problem)
    {
        fence = default;
        problem = null;
        StringValues values = headers[Name];
        if (values.Count == 0 || (values.Count == 1 && TryParse(values[0], out fence)))
        {
            return true;
        }

        problem = new Problem(
            ProblemTypes.BadRequest, $"{Name} is 'service=NAME;epoch=NUMBER', once, not '{Shown.Text(values.ToString())}'.");
        return false;
    }

    private static bool TryParse(ReadOnlySpan<char> text, out Fence fence)
    {
        fence = default;
        ServiceName service = default;
        Epoch epoch = default;
        foreach (Range range in text.Split(';'))
        {
            ReadOnlySpan<char> part = text[range].Trim(' ');
            bool good = part.StartsWith("service=") && service.IsNone ? ServiceName.TryParse(part["service=".Length..], out service)
                : part.StartsWith("epoch=") && epoch.IsNone && TryParse(part["epoch=".Length..], out epoch);
            if (!good)
            {
                return false;
            }
        }

        fence = new Fence(service, epoch);
        return !service.IsNone && !epoch.IsNone;
    }

    private static bool TryParse(ReadOnlySpan<char> text, out Epoch epoch)
    {
        bool good = ulong.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out ulong number);
        epoch = new Epoch(number);
        return good;
    }
}
