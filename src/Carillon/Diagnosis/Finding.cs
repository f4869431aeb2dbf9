namespace Carillon.Diagnosis;

/// <summary>How much a finding matters.</summary>
internal enum Grade
{
    /// <summary>As it should be.</summary>
    Good,

    /// <summary>Works, but not as well or as safely as it could.</summary>
    Doubtful,

    /// <summary>A server would not start, or not keep what it promises.</summary>
    Bad,
}

/// <summary>One thing that was looked at.</summary>
/// <param name="Grade">How much it matters.</param>
/// <param name="Check">What was looked at.</param>
/// <param name="Found">What was found.</param>
/// <param name="Advice">What to do, if anything.</param>
internal sealed record Finding(Grade Grade, string Check, string Found, string Advice = "");
