using System.CommandLine;

namespace Carillon.CommandLine;

/// <summary>A command whose help ends with examples.</summary>
internal sealed class DocumentedCommand(string name, string description) : Command(name, description)
{
    /// <summary>Whole lines as one would type them.</summary>
    public string[] Examples { get; init; } = [];
}
