using System.Globalization;
using Carillon.Protocols.Primacy;

namespace Carillon.Client;

/// <summary>The header that fences a write: <c>service=NAME;epoch=E</c>.</summary>
internal static class FenceHeader
{
    public const string Name = "Carillon-Fence";

    /// <summary>The header's value; null for no fence.</summary>
    public static string? Of(Fence fence) =>
        fence.IsNone ? null : string.Create(CultureInfo.InvariantCulture, $"service={fence.Service};epoch={fence.Epoch}");
}
