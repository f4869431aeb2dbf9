using Carillon.Protocols;
using SQLitePCL;

namespace Carillon.Storage.Catalogs;

/// <summary>
/// One SQLite connection, spoken to directly: the catalog runs a few statements a hundred thousand times a second, and a provider's
/// objects per call would cost more than the statements. Used by one thread at a time.
/// </summary>
internal sealed class SqliteDatabase : IDisposable
{
    /// <summary>The path of a database without a file.</summary>
    public const string Memory = ":memory:";

    private readonly sqlite3 _handle;
    private readonly List<SqliteStatement> _statements = [];

    private SqliteDatabase(sqlite3 handle) => _handle = handle;

    /// <summary>Rows that the last statement inserted, changed or deleted.</summary>
    public int Changes => SqliteCalls.Changes(_handle.DangerousGetHandle());

    // SQLite's layer for files of one process: the locks between connections are in memory, so that a read needs no system call, and no
    // other process can open the file meanwhile. Only where there is POSIX.
    private static readonly string? OneProcess = OperatingSystem.IsWindows() ? null : "unix-excl";

    /// <summary>Opens a file, or <c>:memory:</c>.</summary>
    public static SqliteDatabase Open(string path, bool readOnly)
    {
        _ = SqliteLibrary.Description;
        int access = readOnly ? raw.SQLITE_OPEN_READONLY : raw.SQLITE_OPEN_READWRITE | raw.SQLITE_OPEN_CREATE;
        int result = raw.sqlite3_open_v2(path, out sqlite3 handle, access | raw.SQLITE_OPEN_NOMUTEX, path == Memory ? null : OneProcess);
        var database = new SqliteDatabase(handle);
        try
        {
            database.Check(result);
            _ = raw.sqlite3_extended_result_codes(handle, 1);
            _ = raw.sqlite3_busy_timeout(handle, 10_000);
        }
        catch
        {
            database.Dispose();
            throw;
        }

        return database;
    }

    /// <summary>Runs statements that give no rows.</summary>
    public void Execute(string sql) => Check(raw.sqlite3_exec(_handle, sql));

    /// <summary>Prepares a statement for many runs; it ends with the connection at the latest.</summary>
    public SqliteStatement Prepare(string sql)
    {
        Check(raw.sqlite3_prepare_v3(_handle, sql, raw.SQLITE_PREPARE_PERSISTENT, out sqlite3_stmt handle));
        var statement = new SqliteStatement(this, handle);
        _statements.Add(statement);
        return statement;
    }

    /// <summary>Runs a statement once and gives the first column of its first row, or null if there is none.</summary>
    public long? Number(string sql)
    {
        Check(raw.sqlite3_prepare_v2(_handle, sql, out sqlite3_stmt handle));
        using var statement = new SqliteStatement(this, handle);
        return statement.Step() ? statement.Number(0) : null;
    }

    /// <summary>Runs a statement once and gives the first column of its first row as text; empty if there is none.</summary>
    public string Text(string sql)
    {
        Check(raw.sqlite3_prepare_v2(_handle, sql, out sqlite3_stmt handle));
        using var statement = new SqliteStatement(this, handle);
        return statement.Step() ? statement.Text(0) : "";
    }

    /// <summary>Makes another connection's database an exact copy of this one's.</summary>
    public void CopyTo(SqliteDatabase target)
    {
        using sqlite3_backup backup = raw.sqlite3_backup_init(target._handle, "main", _handle, "main");
        int result = raw.sqlite3_backup_step(backup, -1);
        Invariant.That(result == raw.SQLITE_DONE);
    }

    /// <summary>Ends a transaction without effect; SQLite may have done so itself when it failed.</summary>
    public void Rollback()
    {
        if (raw.sqlite3_get_autocommit(_handle) == 0)
        {
            _ = raw.sqlite3_exec(_handle, "ROLLBACK");
        }
    }

    /// <summary>Throws unless a result is a success.</summary>
    /// <exception cref="StorageException">It is not; a damaged database is the inner exception.</exception>
    public void Check(int result)
    {
        if (result is raw.SQLITE_OK or raw.SQLITE_ROW or raw.SQLITE_DONE)
        {
            return;
        }

        string text = $"{raw.sqlite3_errmsg(_handle).utf8_to_string()} (SQLite result {result})";
        throw (result & 0xFF) switch
        {
            raw.SQLITE_FULL => new StorageException(StorageFault.Full, $"The catalog's disk is full: {text}."),
            raw.SQLITE_READONLY => new StorageException(StorageFault.ReadOnly, $"The catalog can't be written: {text}."),
            raw.SQLITE_CORRUPT or raw.SQLITE_NOTADB => CatalogDamagedException.AsFault(text),
            _ => new StorageException(StorageFault.Failed, $"The catalog's disk failed: {text}."),
        };
    }

    public void Dispose()
    {
        foreach (SqliteStatement statement in _statements)
        {
            statement.Dispose();
        }

        _statements.Clear();
        _handle.Dispose();
    }
}
