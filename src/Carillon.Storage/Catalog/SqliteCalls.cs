using System.Runtime.InteropServices;

namespace Carillon.Storage.Catalogs;

/// <summary>
/// The few functions of SQLite that are called some fifty times a submission, by their plain handles: the library that is used for all else
/// counts the users of a handle around each call. <see cref="SqliteLibrary"/> chooses the file behind the name.
/// </summary>
internal static class SqliteCalls
{
    /// <summary>The name by which both ask for SQLite.</summary>
    public const string Library = "e_sqlite3";

    /// <summary>SQLITE_TRANSIENT: SQLite makes a copy.</summary>
    private const nint Copied = -1;

    // What is nothing must still have an address, or it would be bound as NULL.
    private static readonly byte[] Nothing = [0];

    public static int Bind(nint statement, int parameter, long value) => BindInt64(statement, parameter, value);

    public static int Bind(nint statement, int parameter, ReadOnlySpan<byte> value) =>
        BindBlob(statement, parameter, in First(value), value.Length, Copied);

    public static int BindText(nint statement, int parameter, ReadOnlySpan<byte> utf8) =>
        BindText(statement, parameter, in First(utf8), utf8.Length, Copied);

    [DllImport(Library, EntryPoint = "sqlite3_step")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    public static extern int Step(nint statement);

    [DllImport(Library, EntryPoint = "sqlite3_reset")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    public static extern int Reset(nint statement);

    [DllImport(Library, EntryPoint = "sqlite3_changes")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    [SuppressGCTransition]
    public static extern int Changes(nint database);

    private static ref readonly byte First(ReadOnlySpan<byte> bytes) =>
        ref bytes.IsEmpty ? ref Nothing[0] : ref MemoryMarshal.GetReference(bytes);

    [DllImport(Library, EntryPoint = "sqlite3_bind_int64")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    [SuppressGCTransition]
    private static extern int BindInt64(nint statement, int parameter, long value);

    [DllImport(Library, EntryPoint = "sqlite3_bind_blob")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int BindBlob(nint statement, int parameter, in byte value, int length, nint destructor);

    [DllImport(Library, EntryPoint = "sqlite3_bind_text")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int BindText(nint statement, int parameter, in byte value, int length, nint destructor);
}
