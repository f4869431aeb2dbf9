using System.Text;
using SQLitePCL;

namespace Carillon.Storage.Catalogs;

/// <summary>One prepared statement. Parameters count from 1, columns from 0. It is reset when its last row was read, or by hand.</summary>
internal sealed class SqliteStatement(SqliteDatabase database, sqlite3_stmt handle) : IDisposable
{
    // It lives as long as this object, which whoever calls holds. None once that is disposed of: SQLite refuses calls without one.
    private nint _statement = handle.DangerousGetHandle();

    public SqliteStatement Bind(int parameter, long value)
    {
        database.Check(SqliteCalls.Bind(_statement, parameter, value));
        return this;
    }

    /// <summary>Binds bytes; they are copied. None at all are a blob of length zero.</summary>
    public SqliteStatement Bind(int parameter, ReadOnlySpan<byte> value)
    {
        database.Check(SqliteCalls.Bind(_statement, parameter, value));
        return this;
    }

    /// <summary>Binds UTF-8 as text; it is copied.</summary>
    public SqliteStatement BindText(int parameter, ReadOnlySpan<byte> utf8)
    {
        database.Check(SqliteCalls.BindText(_statement, parameter, utf8));
        return this;
    }

    public SqliteStatement BindText(int parameter, string text)
    {
        database.Check(raw.sqlite3_bind_text(handle, parameter, text));
        return this;
    }

    /// <summary>Goes to the next row; false, and reset, behind the last.</summary>
    public bool Step()
    {
        int result = SqliteCalls.Step(_statement);
        if (result == raw.SQLITE_ROW)
        {
            return true;
        }

        if (result != raw.SQLITE_DONE)
        {
            try
            {
                database.Check(result);
            }
            finally
            {
                Reset();
            }
        }

        Reset();
        return false;
    }

    /// <summary>Runs a statement that gives no rows.</summary>
    public void Run()
    {
        while (Step())
        {
        }
    }

    /// <summary>Ends the statement's read of the database, so that others may go on.</summary>
    public void Reset() => _ = SqliteCalls.Reset(_statement);

    /// <summary>Columns of a row.</summary>
    public int Columns => raw.sqlite3_column_count(handle);

    public long Number(int column) => raw.sqlite3_column_int64(handle, column);

    /// <summary>A blob's or a text's bytes (a number's text), in place: valid until the next step.</summary>
    public ReadOnlySpan<byte> Bytes(int column) => raw.sqlite3_column_blob(handle, column);

    public string Text(int column) => Encoding.UTF8.GetString(Bytes(column));

    public void Dispose()
    {
        _statement = 0;
        handle.Dispose();
    }
}
