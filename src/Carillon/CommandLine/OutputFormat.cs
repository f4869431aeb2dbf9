namespace Carillon.CommandLine;

/// <summary>How results are written.</summary>
internal enum OutputFormat
{
    /// <summary>For people.</summary>
    Table,

    /// <summary>One JSON document.</summary>
    Json,

    /// <summary>One JSON document a line.</summary>
    JsonLines,

    /// <summary>Names only, one a line.</summary>
    Name,
}

/// <summary>How a transfer's progress is shown, on standard error.</summary>
internal enum ProgressMode
{
    /// <summary>Bars on a terminal, else nothing.</summary>
    Auto,

    /// <summary>A line a second.</summary>
    Plain,

    /// <summary>A JSON document a second, each on its line.</summary>
    Json,

    /// <summary>Nothing.</summary>
    None,
}
