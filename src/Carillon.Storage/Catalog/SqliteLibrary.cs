using System.Globalization;
using System.Reflection;
using System.Runtime.InteropServices;
using SQLitePCL;

namespace Carillon.Storage.Catalogs;

/// <summary>
/// Chooses the SQLite that the process uses, once: the system's libsqlite3, which its distributor keeps patched, or the bundled one
/// where there is none that is new enough and safe for use from several threads.
/// </summary>
internal static class SqliteLibrary
{
    /// <summary>UPSERT, WITHOUT ROWID with descending keys and the backup interface are older; this is what the bundled library
    /// has.</summary>
    private const int LeastVersion = 3_035_000;

    private static readonly string[] SystemNames = ["libsqlite3.so.0", "libsqlite3.dylib"];
    private static readonly Lazy<string> Loaded = new(Load);

    /// <summary>Loads the library if that has not happened, and says which one it is.</summary>
    public static string Description => Loaded.Value;

    private static string Load()
    {
        bool fromSystem = false;
        nint Resolve(string name, Assembly assembly, DllImportSearchPath? path) =>
            name == SqliteCalls.Library && TryLoadSystem(out nint handle) && (fromSystem = true) ? handle : 0;
        NativeLibrary.SetDllImportResolver(typeof(SQLite3Provider_e_sqlite3).Assembly, Resolve);
        NativeLibrary.SetDllImportResolver(typeof(SqliteCalls).Assembly, Resolve);
        raw.SetProvider(new SQLite3Provider_e_sqlite3());
        raw.FreezeProvider();

        // Nobody reads its sums of allocated memory, and they cost a lock around every allocation, shared by all threads.
        _ = raw.sqlite3_config(raw.SQLITE_CONFIG_MEMSTATUS, 0);
        int version = raw.sqlite3_libversion_number();
        return string.Create(
            CultureInfo.InvariantCulture,
            $"SQLite {version / 1_000_000}.{version / 1000 % 1000}.{version % 1000} ({(fromSystem ? "the system's" : "bundled")})");
    }

    private static bool TryLoadSystem(out nint handle)
    {
        foreach (string name in SystemNames)
        {
            if (!NativeLibrary.TryLoad(name, Assembly.GetExecutingAssembly(), DllImportSearchPath.SafeDirectories, out handle))
            {
                continue;
            }

            if (Ask(handle, "sqlite3_libversion_number") >= LeastVersion && Ask(handle, "sqlite3_threadsafe") != 0)
            {
                return true;
            }

            NativeLibrary.Free(handle);
        }

        handle = 0;
        return false;
    }

    private static int Ask(nint library, string function) =>
        NativeLibrary.TryGetExport(library, function, out nint address) ? Marshal.GetDelegateForFunctionPointer<Answer>(address)() : 0;

    [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
    private delegate int Answer();
}
