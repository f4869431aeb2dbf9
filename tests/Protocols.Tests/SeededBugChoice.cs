#if SEEDED_BUGS
using System.Runtime.CompilerServices;

namespace Carillon.Protocols.Tests;

/// <summary>
/// Built with <c>-p:SeededBugs=true</c>, these tests run with the deliberate bug that CARILLON_SEEDED_BUG names switched on, and some
/// must then fail: a rule whose breach no test notices is not tested.
/// </summary>
internal static class SeededBugChoice
{
    [ModuleInitializer]
    internal static void SwitchOn() => SeededBug.Active = Environment.GetEnvironmentVariable("CARILLON_SEEDED_BUG");
}
#endif
