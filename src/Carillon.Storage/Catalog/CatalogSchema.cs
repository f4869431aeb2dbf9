using System.Globalization;
using Carillon.Protocols;

namespace Carillon.Storage.Catalogs;

/// <summary>The catalog's tables (docs/formats/catalog.md says what each is for), and the checks of a catalog that is opened.</summary>
internal static class CatalogSchema
{
    /// <summary>The format that this program reads and writes; raised with every change of the tables.</summary>
    public const int Version = 4;

    /// <summary>"Carl" in SQLite's header: the file is a catalog of Carillon.</summary>
    private const int ApplicationId = 0x4361726C;

    private const string Tables = """
        CREATE TABLE facts(
          id INTEGER PRIMARY KEY CHECK(id = 1), position INTEGER NOT NULL, latest INTEGER NOT NULL, keys INTEGER NOT NULL,
          rejected INTEGER NOT NULL, trimmed INTEGER NOT NULL, record INTEGER NOT NULL, floor INTEGER NOT NULL,
          durable INTEGER NOT NULL, applied INTEGER NOT NULL, feedfloor INTEGER NOT NULL, collected INTEGER NOT NULL);
        INSERT INTO facts VALUES(1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0);
        CREATE TABLE sessions(id INTEGER PRIMARY KEY CHECK(id = 1), state BLOB NOT NULL);
        INSERT INTO sessions VALUES(1, x'');
        CREATE TABLE feed(number INTEGER PRIMARY KEY, tag BLOB NOT NULL, verdict INTEGER NOT NULL, operations BLOB NOT NULL);
        CREATE TABLE numbers(number INTEGER PRIMARY KEY, value BLOB NOT NULL, tag BLOB NOT NULL, record INTEGER NOT NULL);
        CREATE TABLE records(id INTEGER PRIMARY KEY, checksum INTEGER NOT NULL, record BLOB NOT NULL);
        CREATE TABLE tags(
          tag BLOB PRIMARY KEY, record INTEGER NOT NULL, kept INTEGER NOT NULL, number INTEGER NOT NULL,
          verdict INTEGER NOT NULL) WITHOUT ROWID;
        CREATE TABLE versions(
          bucket TEXT NOT NULL, name BLOB NOT NULL, tag BLOB NOT NULL, kind INTEGER NOT NULL, keeps INTEGER NOT NULL, form INTEGER NOT NULL,
          record INTEGER NOT NULL, start INTEGER NOT NULL, length INTEGER NOT NULL, size INTEGER NOT NULL, sha256 BLOB NOT NULL,
          head BLOB NOT NULL, number INTEGER NOT NULL,
          PRIMARY KEY(bucket, name, tag DESC)) WITHOUT ROWID;
        CREATE TABLE names(bucket TEXT PRIMARY KEY, live INTEGER NOT NULL) WITHOUT ROWID;
        CREATE TABLE chunks(id BLOB PRIMARY KEY, uses INTEGER NOT NULL) WITHOUT ROWID;
        CREATE TABLE lists(
          id INTEGER PRIMARY KEY AUTOINCREMENT, part BLOB UNIQUE, uses INTEGER NOT NULL, compression INTEGER NOT NULL,
          complete INTEGER NOT NULL);
        CREATE INDEX unread_lists ON lists(id) WHERE complete = 0 AND uses > 0;
        CREATE INDEX stale_lists ON lists(id) WHERE uses = 0;
        CREATE TABLE listed(chunk INTEGER NOT NULL, list INTEGER NOT NULL, PRIMARY KEY(chunk, list)) WITHOUT ROWID;
        CREATE INDEX listed_by_list ON listed(list);
        CREATE TABLE recent(tag BLOB PRIMARY KEY, key TEXT NOT NULL, fingerprint BLOB NOT NULL) WITHOUT ROWID;
        CREATE TABLE rejected(tag BLOB PRIMARY KEY, key TEXT NOT NULL, successor BLOB NOT NULL) WITHOUT ROWID;
        CREATE TABLE keys(key TEXT NOT NULL, tag BLOB NOT NULL, PRIMARY KEY(key, tag)) WITHOUT ROWID;
        CREATE TABLE trimmed(
          tag BLOB PRIMARY KEY, at INTEGER NOT NULL, number INTEGER NOT NULL, verdict INTEGER NOT NULL,
          detail BLOB NOT NULL) WITHOUT ROWID;
        CREATE INDEX trimmed_in_order ON trimmed(at);
        CREATE TABLE digests(id INTEGER PRIMARY KEY, count INTEGER NOT NULL, low INTEGER NOT NULL, high INTEGER NOT NULL);
        """;

    /// <summary>Opens the writing connection and makes the tables if there are none.</summary>
    /// <exception cref="CatalogDamagedException">The file is not a sound catalog.</exception>
    /// <exception cref="CatalogTooNewException">A newer program wrote it.</exception>
    public static SqliteDatabase OpenWriter(string path, CatalogOptions options)
    {
        SqliteDatabase? database = null;
        try
        {
            database = SqliteDatabase.Open(path, readOnly: false);
            bool isNew = CheckFormat(database, path);
            Configure(database, options.WriterCacheBytes);
            if (isNew)
            {
                Create(database);
            }
            else
            {
                CheckStructure(database, path, options.CheckedBytes);
            }

            return database;
        }
        catch (StorageException failure) when (failure.InnerException is CatalogDamagedException)
        {
            database?.Dispose();
            throw new CatalogDamagedException($"The catalog {path} can't be opened. {failure.Message}", failure);
        }
        catch
        {
            database?.Dispose();
            throw;
        }
    }

    /// <summary>Opens a connection that only reads.</summary>
    public static SqliteDatabase OpenReader(string path, CatalogOptions options)
    {
        SqliteDatabase database = SqliteDatabase.Open(path, readOnly: true);
        database.Execute(string.Create(CultureInfo.InvariantCulture, $"PRAGMA cache_size = -{options.ReaderCacheBytes >> 10}"));
        return database;
    }

    /// <summary>Opens an empty database in memory; <see cref="Create"/> or a copy fills it.</summary>
    public static SqliteDatabase OpenMemory() => SqliteDatabase.Open(SqliteDatabase.Memory, readOnly: false);

    /// <summary>Makes the tables, all or none.</summary>
    public static void Create(SqliteDatabase database)
    {
        database.Execute("BEGIN IMMEDIATE");
        database.Execute(Tables);
        database.Execute(string.Create(
            CultureInfo.InvariantCulture, $"PRAGMA application_id = {ApplicationId}; PRAGMA user_version = {Version}"));
        database.Execute("COMMIT");
    }

    /// <summary>True for a database without anything in it.</summary>
    private static bool CheckFormat(SqliteDatabase database, string path)
    {
        long application = database.Number("PRAGMA application_id") ?? 0;
        long version = database.Number("PRAGMA user_version") ?? 0;
        if (application == 0 && version == 0 && database.Number("SELECT count(*) FROM sqlite_master") == 0)
        {
            return true;
        }

        if (application != ApplicationId || version < 1)
        {
            throw new CatalogDamagedException($"{path} is a database, but not a catalog of Carillon.");
        }

        if (version < Version)
        {
            throw new CatalogDamagedException($"{path} has format {version}, of a build before the first release.");
        }

        if (version > Version)
        {
            throw new CatalogTooNewException(
                $"The catalog {path} has format {version}; this program reads format {Version}. "
                + "Use the version of Carillon that wrote it, or a later one.");
        }

        return false;
    }

    private static void Configure(SqliteDatabase database, long cacheBytes)
    {
        // NORMAL never flushes at a commit, and flushes the write-ahead log before a checkpoint copies it: a power cut loses the last
        // commits at worst and leaves no half of one. With OFF the copy could overtake the log.
        string mode = database.Text("PRAGMA journal_mode = WAL");
        Invariant.That(mode == "wal");
        database.Execute(string.Create(
            CultureInfo.InvariantCulture,
            $"""
            PRAGMA synchronous = NORMAL; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -{cacheBytes >> 10};
            PRAGMA wal_autocheckpoint = 12288; PRAGMA journal_size_limit = 67108864; PRAGMA cell_size_check = ON
            """));
    }

    private static void CheckStructure(SqliteDatabase database, string path, long checkedBytes)
    {
        long bytes = (database.Number("PRAGMA page_count") ?? 0) * (database.Number("PRAGMA page_size") ?? 0);
        string verdict = bytes <= checkedBytes ? database.Text("PRAGMA quick_check(1)") : "ok";
        if (verdict != "ok")
        {
            throw new CatalogDamagedException($"The catalog {path} is damaged: {verdict}.");
        }

        if (database.Number("SELECT count(*) FROM facts") != 1)
        {
            throw new CatalogDamagedException($"The catalog {path} is damaged: it does not say what it has applied.");
        }
    }
}
