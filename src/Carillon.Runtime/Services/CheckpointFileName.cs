namespace Carillon.Runtime.Services;

/// <summary>The rule for the names of checkpoint files.</summary>
public static class CheckpointFileName
{
    /// <summary>Why a checkpoint file's name can't be one, or null: it stays below the service's folder.</summary>
    public static string? FaultOf(string file) =>
        file.Length == 0 ? null
        : Path.IsPathRooted(file) ? "the checkpoint file is named relative to the service's folder"
        : file.Split('/').Any(part => part is "" or "." or "..") || file.Contains('\0')
            ? "the checkpoint file must stay in the service's folder"
        : file.Length > 255 ? "the checkpoint file's name is too long"
        : null;
}
