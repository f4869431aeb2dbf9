namespace Conventions.Tests;

/// <summary>A type or a method as it stands in a file: its first line (attributes included) and how many lines it takes.</summary>
internal sealed record Declaration(string Name, int Line, int Length, bool IsInner);
