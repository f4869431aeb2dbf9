using System.Reflection;

namespace Carillon;

/// <summary>How this program starts itself again: as a server of a development cluster, as a guard.</summary>
internal static class ThisProgram
{
    /// <summary>The executable itself, or the host with the assembly where that is how this process was started.</summary>
    /// <exception cref="IOException">It can't be found out.</exception>
    public static (string Program, IReadOnlyList<string> Before) Find()
    {
        string program = Environment.ProcessPath ?? throw new IOException("this process does not know its own executable");
        return Path.GetFileNameWithoutExtension(program) == "dotnet"
            ? (program, [Assembly.GetExecutingAssembly().Location])
            : (program, []);
    }
}
